"""Buckets: names, versioning state and stored sub-resources."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mlparity.clock import Clock
from mlparity.errors import BucketExistsError, BucketNotEmptyError, InvalidBucketNameError
from mlparity.state import Database
from mlparity.state.schema.storage import buckets, objects, upload_parts, upload_sessions, uploads
from mlparity.storage.bucketstore import BucketInfo
from mlparity.storage.rows import bucket_info, lock_bucket, to_bucket
from mlparity.storage.sessions import drop_sessions
from mlparity.storage.transactions import BlobTransactions

Check = Callable[[BucketInfo], None]
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def check_bucket_name(name: str) -> None:
    """Raise ``InvalidBucketNameError`` unless S3 would take the name.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    hint = "3 to 63 characters: a-z, 0-9, '-' and '.', beginning and ending with a letter or digit"
    if not _NAME.fullmatch(name):
        raise InvalidBucketNameError(f"{name!r} cannot be a bucket's name", "", hint)
    if name.startswith(_RESERVED_STARTS) or name.endswith(_RESERVED_ENDS):
        raise InvalidBucketNameError(f"{name!r} cannot be a bucket's name", "S3 reserves it", hint)
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return
    raise InvalidBucketNameError(f"{name!r} cannot be a bucket's name", "it is an IP address", hint)


class BucketTable:
    """The buckets of a store."""

    def __init__(self, database: Database, transactions: BlobTransactions, clock: Clock, region: str) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock
        self._region = region

    def list(self) -> Sequence[BucketInfo]:
        """All, by name."""
        with self._database.read() as connection:
            return [to_bucket(row) for row in connection.execute(select(buckets).order_by(buckets.c.name))]

    def get(self, name: str) -> BucketInfo:
        """Look one up. Raises ``NoSuchBucketError``."""
        with self._database.read() as connection:
            return bucket_info(connection, name)

    def create(
        self, name: str, region: str = "", *, versioning: str = "", settings: Mapping[str, str] | None = None
    ) -> BucketInfo:
        """Make one. Raises ``BucketExistsError`` or ``InvalidBucketNameError``."""
        check_bucket_name(name)
        info = BucketInfo(name, self._clock.now(), region or self._region, versioning, dict(settings or {}))
        try:
            with self._database.write() as connection:
                connection.execute(
                    insert(buckets).values(
                        name=name,
                        created_at=info.created_at,
                        region=info.region,
                        versioning=versioning,
                        settings=info.settings,
                    )
                )
        except IntegrityError as error:
            raise BucketExistsError(f"bucket {name!r} exists already") from error
        return info

    def delete(self, name: str, *, despite_markers: bool = False, check: Check | None = None) -> None:
        """Delete an empty one; uploads under way go with it. Raises ``BucketNotEmptyError``.

        ``despite_markers``: delete markers do not count, and go too. ``check`` may raise, seeing the bucket.
        """
        with self._transactions.write() as change:
            connection = change.connection
            lock_bucket(connection, name)
            if check is not None:
                check(bucket_info(connection, name))
            if despite_markers:
                _drop_markers(connection, name)
            if connection.execute(select(objects.c.key).where(objects.c.bucket == name).limit(1)).first():
                raise BucketNotEmptyError(
                    f"bucket {name!r} is not empty", "it holds objects or versions", "delete them first"
                )
            of_bucket = select(uploads.c.upload_id).where(uploads.c.bucket == name)
            parts = upload_parts.c.upload_id.in_(of_bucket)
            change.doom(connection.execute(select(upload_parts.c.blob).where(parts)).all())
            connection.execute(delete(upload_parts).where(parts))
            connection.execute(delete(uploads).where(uploads.c.bucket == name))
            drop_sessions(change, upload_sessions.c.bucket == name)
            connection.execute(delete(buckets).where(buckets.c.name == name))

    def revise(self, name: str, change: Callable[[BucketInfo], BucketInfo]) -> BucketInfo:
        """Give it the versioning state and the settings that ``change`` makes of it, in one transaction."""
        with self._database.write() as connection:
            lock_bucket(connection, name)
            revised = change(bucket_info(connection, name))
            connection.execute(
                update(buckets)
                .where(buckets.c.name == name)
                .values(versioning=revised.versioning, settings=dict(revised.settings))
            )
        return revised

    def set_versioning(self, name: str, state: str) -> None:
        """``state`` is "Enabled" or "Suspended"."""
        with self._database.write() as connection:
            lock_bucket(connection, name)
            connection.execute(update(buckets).where(buckets.c.name == name).values(versioning=state))

    def put_setting(self, name: str, setting: str, document: str | None) -> None:
        """Store a sub-resource document; None deletes it."""
        with self._database.write() as connection:
            lock_bucket(connection, name)
            settings = dict(bucket_info(connection, name).settings)
            if document is None:
                settings.pop(setting, None)
            else:
                settings[setting] = document
            connection.execute(update(buckets).where(buckets.c.name == name).values(settings=settings))


def _drop_markers(connection: Connection, name: str) -> None:
    """The delete markers of keys that have nothing else."""
    connection.execute(delete(objects).where(objects.c.bucket == name, objects.c.is_delete_marker.is_(True)))
