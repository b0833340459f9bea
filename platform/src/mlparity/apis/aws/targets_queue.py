"""Deliveries that have been decided and not made: written down first, tried again as their target's policy says.

A crash repeats at most the one that was under way; pipelines are started once all the same, by their token.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Connection, delete, func, select, update

from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.targets import SCHEDULER, Delivery, is_transient
from mlparity.clock import Clock
from mlparity.errors import MlparityError
from mlparity.state import Database
from mlparity.state.schema.aws import aws_invocations

_LOG = logging.getLogger(__name__)
_BATCH = 50
_MOST_ATTEMPTS = 185
_MOST_AGE = 86400  # seconds
_LONGEST_BACKOFF = 480  # seconds: 185 attempts then fill the 24 hours
_ATTEMPT = "<aws.scheduler.attempt-number>"


@dataclass(frozen=True)
class Invocation:
    """One delivery that is due at ``due_at``, for the occurrence of ``scheduled_at``."""

    id: str
    scheduled_at: datetime
    due_at: datetime
    delivery: Delivery
    attempts: int = 0


def invocation_id(source: str, *parts: str) -> str:
    """The id of an occurrence: the same whenever it is made."""
    return str(uuid5(NAMESPACE_URL, "\n".join((source, *parts))))


class DeliveryQueue:
    """Timed work: delivers what is due. ``deliver`` raises ``MlparityError`` where the target does not take it.

    ``dead_letter`` is given the queue's ARN, a body and the message's attributes. ``changed`` is called when there is a
    new due time.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        deliver: Callable[[Delivery], None],
        dead_letter: Callable[[str, str, Mapping[str, str]], None],
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._deliver = deliver
        self._dead_letter = dead_letter
        self.changed = changed

    def add(self, invocations: Sequence[Invocation]) -> None:
        """Write them down. Those that are there already stay as they are."""
        if invocations:
            with self._database.write() as connection:
                self.insert(connection, invocations)
            self.changed()

    def insert(self, connection: Connection, invocations: Sequence[Invocation]) -> None:
        """The same within somebody's own write; who calls ``changed`` when it is committed."""
        ids = [each.id for each in invocations]
        query = select(aws_invocations.c.id).where(aws_invocations.c.id.in_(ids))
        known = set(connection.execute(query).scalars())
        rows = [
            {
                "id": each.id,
                "scheduled_at": each.scheduled_at,
                "due_at": each.due_at,
                "attempts": each.attempts,
                "body": asdict(each.delivery),
            }
            for each in invocations
            if each.id not in known
        ]
        if rows:
            connection.execute(aws_invocations.insert(), rows)

    def retry_later(self, delivery: Delivery, error: MlparityError) -> None:
        """Keep a first delivery that failed: for another attempt, or for its dead-letter queue."""
        now = self._clock.now()
        found = invocation_id(delivery.source, str(delivery.event["id"]), str(delivery.target.get("Id", "")))
        self.add([Invocation(found, now, now, delivery)])
        self._failed(Invocation(found, now, now, delivery), error)

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        with self._database.read() as connection:
            due = connection.execute(select(func.min(aws_invocations.c.due_at))).scalar_one_or_none()
        return due if isinstance(due, datetime) or due is None else None

    def run_due(self) -> None:
        """See ``TimedWork``."""
        now = self._clock.now()
        while batch := self._due(now):
            for invocation in batch:
                self._attempt(invocation)

    def _due(self, now: datetime) -> list[Invocation]:
        table = aws_invocations
        query = select(table).where(table.c.due_at <= now).order_by(table.c.due_at, table.c.id).limit(_BATCH)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Invocation(row.id, row.scheduled_at, row.due_at, Delivery(**row.body), row.attempts) for row in rows]

    def _attempt(self, invocation: Invocation) -> None:
        delivery = invocation.delivery
        text = delivery.text.replace(_ATTEMPT, str(invocation.attempts + 1))
        try:
            self._deliver(Delivery(delivery.target, text, delivery.event, delivery.source, delivery.principal))
        except MlparityError as error:
            self._failed(invocation, error)
        except Exception as error:  # noqa: BLE001 - a defect must not be tried for ever
            _LOG.exception("delivery of %s", delivery.source)
            self._failed(invocation, AwsError("InternalFailure", f"{type(error).__name__}: {error}"))
        else:
            self._forget(invocation)

    def _failed(self, invocation: Invocation, error: MlparityError) -> None:
        delivery = invocation.delivery
        attempts = invocation.attempts + 1
        policy = delivery.target.get("RetryPolicy", {})
        next_at = self._clock.now() + timedelta(seconds=min(2**attempts, _LONGEST_BACKOFF))
        oldest = invocation.scheduled_at + timedelta(seconds=policy.get("MaximumEventAgeInSeconds", _MOST_AGE))
        exhausted = ""
        if attempts > policy.get("MaximumRetryAttempts", _MOST_ATTEMPTS):
            exhausted = "MaximumRetryAttempts"
        elif next_at > oldest:
            exhausted = "MaximumEventAgeInSeconds"
        if is_transient(error) and not exhausted:
            where = aws_invocations.c.id == invocation.id
            with self._database.write() as connection:
                connection.execute(update(aws_invocations).where(where).values(attempts=attempts, due_at=next_at))
            self.changed()
            _LOG.info("%s to %s: attempt %d failed: %s", delivery.source, delivery.target["Arn"], attempts, error)
            return
        _LOG.warning("%s not delivered to %s: %s", delivery.source, delivery.target["Arn"], error)
        self._bury(invocation, error, exhausted if is_transient(error) else "")
        self._forget(invocation)

    def _bury(self, invocation: Invocation, error: MlparityError, exhausted: str) -> None:
        delivery = invocation.delivery
        queue = delivery.target.get("DeadLetterConfig", {}).get("Arn")
        if not queue:
            return
        attributes = {
            "ERROR_CODE": error.code if isinstance(error, AwsError) else "InternalFailure",
            "ERROR_MESSAGE": error.what or "failed",
            "RETRY_ATTEMPTS": str(invocation.attempts),
            "TARGET_ARN": str(delivery.target["Arn"]),
        }
        if exhausted:
            attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
        body = json.dumps(delivery.event)
        if delivery.principal == SCHEDULER:
            body = delivery.text
            attributes |= {
                "EXECUTION_ID": invocation.id,
                "IS_PAYLOAD_TRUNCATED": "false",
                "SCHEDULED_TIME": invocation.scheduled_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "SCHEDULE_ARN": delivery.source,
            }
        else:
            attributes["RULE_ARN"] = delivery.source
        try:
            self._dead_letter(queue, body, attributes)
        except MlparityError as second:
            _LOG.warning("dead letter of %s lost: %s, then %s", delivery.source, error, second)

    def _forget(self, invocation: Invocation) -> None:
        with self._database.write() as connection:
            connection.execute(delete(aws_invocations).where(aws_invocations.c.id == invocation.id))
