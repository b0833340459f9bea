"""Whose key pair is whose: the local pair, sessions issued by STS, and IAM users' access keys.

Sessions are kept in the state database until they expire.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from mlparity.clock import Clock
from mlparity.ids import IdSource
from mlparity.state import Database
from mlparity.state.schema.documents import documents

_API, _KIND = "aws", "StsSession"


@dataclass(frozen=True)
class KeyPair:
    """A secret and whom it stands for. ``user_id`` and ``arn`` are what GetCallerIdentity answers."""

    access_key: str
    secret: str
    arn: str
    user_id: str
    session_token: str = ""
    expires_at: datetime | None = None


class Credentials(Mapping[str, str]):
    """Access key → secret of every pair that is valid now. A view, not a copy; any thread may read it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: IdSource,
        local: tuple[str, str],
        identity: Callable[[], tuple[str, str]],
        users: Callable[[], Mapping[str, KeyPair]],
        role_id: Callable[[str], str],
    ) -> None:
        """``local`` is the fixed access key and secret.

        ``identity`` (ARN and user id of the local pair), ``users`` and ``role_id`` (of a role's ARN) are asked only
        when needed: they may have to wait for IAM to load.
        """
        self._database = database
        self._clock = clock
        self._ids = ids
        self._local = local
        self._identity = identity
        self._users = users
        self._role_id = role_id
        self._sessions: dict[str, KeyPair] = {}
        self._roles: dict[str, str] = {}  # access key of a derived pair -> the role's ARN
        self._lock = threading.Lock()

    def recover(self) -> None:
        """Read the sessions that were issued before the last stop and have not expired."""
        query = select(documents.c.body).where(documents.c.api == _API, documents.c.kind == _KIND)
        with self._database.read() as connection:
            bodies = connection.execute(query).scalars().all()
        with self._lock:
            for body in bodies:
                pair = KeyPair(**{**body, "expires_at": datetime.fromisoformat(body["expires_at"])})
                self._sessions[pair.access_key] = pair

    def issue(self, arn: str, user_id: str, seconds: int) -> KeyPair:
        """A new temporary pair, durable once this returns."""
        now = self._clock.now()
        pair = KeyPair(
            access_key=f"ASIA{self._ids.token(16).upper()}",
            secret=self._ids.token(40),
            arn=arn,
            user_id=user_id,
            session_token=self._ids.token(160),
            expires_at=now + timedelta(seconds=seconds),
        )
        self._forget_expired(now)
        body = {**asdict(pair), "expires_at": pair.expires_at.isoformat() if pair.expires_at else ""}
        row = {"api": _API, "kind": _KIND, "name": pair.access_key, "created_at": now, "modified_at": now}
        with self._database.write() as connection:
            connection.execute(insert(documents).values(**row, body=body))
        with self._lock:
            self._sessions[pair.access_key] = pair
        return pair

    def of_role(self, role_arn: str, session: str) -> KeyPair:
        """The pair with which a service's own work (a job, a model server) acts as a role.

        It is derived from the local secret: the same for the same role at every call, and stored nowhere.
        """
        digest = hmac.new(self._local[1].encode(), f"{role_arn} {session}".encode(), hashlib.sha512).hexdigest()
        account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
        pair = KeyPair(
            access_key=f"ASIA{digest[:16].upper()}",
            secret=digest[16:56],
            arn=f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            user_id=f":{session}",
            session_token=digest[56:],
        )
        with self._lock:
            self._sessions[pair.access_key] = pair
            self._roles[pair.access_key] = role_arn
        return pair

    def pair(self, access_key: str) -> KeyPair | None:
        """Whose key it is; None where it is nobody's, or has expired."""
        with self._lock:
            session, role = self._sessions.get(access_key), self._roles.get(access_key)
        if session is not None and role is not None:
            return replace(session, user_id=f"{self._role_id(role)}{session.user_id}")
        if session is not None:
            return None if session.expires_at and session.expires_at <= self._clock.now() else session
        if access_key == self._local[0]:
            return KeyPair(*self._local, *self._identity())
        return self._users().get(access_key)

    def is_expired(self, access_key: str) -> bool:
        """Whether it was a session and its time is over."""
        with self._lock:
            session = self._sessions.get(access_key)
        return session is not None and session.expires_at is not None and session.expires_at <= self._clock.now()

    def session_token(self, access_key: str) -> str:
        """The token that must come with a temporary key; "" for the others."""
        with self._lock:
            session = self._sessions.get(access_key)
        return session.session_token if session else ""

    def __getitem__(self, access_key: str) -> str:
        if access_key == self._local[0]:  # the usual one; it must not wait for IAM
            return self._local[1]
        with self._lock:
            if access_key in self._roles:  # a job's, nor must this
                return self._sessions[access_key].secret
        pair = self.pair(access_key)
        if pair is None:
            raise KeyError(access_key)
        return pair.secret

    def __iter__(self) -> Iterator[str]:
        now = self._clock.now()
        with self._lock:
            sessions = [key for key, pair in self._sessions.items() if pair.expires_at is None or pair.expires_at > now]
        yield from (self._local[0], *sessions, *self._users())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _forget_expired(self, now: datetime) -> None:
        with self._lock:
            # An hour later than needed, so that clients hear "expired" and not "unknown".
            limit = now - timedelta(hours=1)
            old = [key for key, pair in self._sessions.items() if pair.expires_at and pair.expires_at < limit]
            for key in old:
                del self._sessions[key]
        if old:
            mine = (documents.c.api == _API) & (documents.c.kind == _KIND) & documents.c.name.in_(old)
            with self._database.write() as connection:
                connection.execute(delete(documents).where(mine))
