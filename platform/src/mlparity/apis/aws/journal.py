"""The journal of mutating calls: what was acknowledged is written down, and replayed in order after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from mlparity.apis.aws.message import AwsRequest, unsigned
from mlparity.state import Database
from mlparity.state.schema.documents import aws_journal

# What the replay needs. Signatures and tokens are left out.
_KEPT_HEADERS = ("content-type", "host", "x-amz-target")
_SEED, _SCOPE = "x-mlparity-seed", "x-mlparity-scope"
_BATCH = 500


@dataclass(frozen=True)
class JournalEntry:
    """One acknowledged call: the request, the moment it was made, and the seed of the ids that it made."""

    at: datetime
    operation: str
    request: AwsRequest
    seed: str


class Journal:
    """The ``aws_journal`` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entry: JournalEntry) -> None:
        """Write down one call. Returns once it is durable; raises ``StateError`` where the database refuses."""
        request = entry.request
        headers = {name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers}
        with self._database.write() as connection:
            connection.execute(
                aws_journal.insert().values(
                    at=entry.at,
                    service=request.service,
                    operation=entry.operation,
                    method=request.method,
                    url=f"{request.path}?{request.query}" if request.query else request.path,
                    headers={**headers, _SEED: entry.seed, _SCOPE: request.scope()},
                    body=request.body,
                )
            )

    def entries(self, service: str) -> Iterator[JournalEntry]:
        """The service's calls in the order they were made, a batch in memory at a time."""
        last = 0
        while True:
            query = (
                select(aws_journal)
                .where(aws_journal.c.service == service, aws_journal.c.sequence > last)
                .order_by(aws_journal.c.sequence)
                .limit(_BATCH)
            )
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                headers = dict(row.headers)
                seed = headers.pop(_SEED)
                headers["authorization"] = unsigned(headers.pop(_SCOPE))
                path, _, text = row.url.partition("?")
                request = AwsRequest(row.service, row.method, path, text, headers, bytes(row.body))
                yield JournalEntry(row.at, row.operation, request, seed)
            if len(rows) < _BATCH:
                return
            last = rows[-1].sequence

    def services(self) -> frozenset[str]:
        """The services that have anything to replay."""
        with self._database.read() as connection:
            return frozenset(connection.execute(select(aws_journal.c.service).distinct()).scalars())
