"""Schedules and their groups in the state database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlparity.clock import Clock
from mlparity.errors import ConflictError
from mlparity.state import Database
from mlparity.state.documents import Document, DocumentFilter, DocumentRepository, TagRepository
from mlparity.state.paging import PageRequest

DEFAULT_GROUP = "default"
_SCHEDULE, _GROUP = "Schedule", "ScheduleGroup"
_BATCH = 100


@dataclass(frozen=True)
class Schedule:
    """A schedule; ``body`` has the members of CreateSchedule with their defaults, times as ISO text."""

    region: str
    group: str
    name: str
    body: Mapping[str, Any]
    created_at: datetime
    modified_at: datetime

    @property
    def key(self) -> str:
        """Unique among all."""
        return f"{self.region}/{self.group}/{self.name}"

    def arn(self, account_id: str) -> str:
        """The schedule's ARN."""
        return f"arn:aws:scheduler:{self.region}:{account_id}:schedule/{self.group}/{self.name}"

    def time(self, member: str) -> datetime | None:
        """StartDate or EndDate."""
        text = self.body.get(member)
        return None if text is None else datetime.fromisoformat(text)


class SchedulerStore:
    """One method a question."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._documents = DocumentRepository(database, clock, "aws")
        self.tags = TagRepository(database)

    def create(self, schedule: Schedule) -> Schedule:
        """Store a new one. Raises ``ConflictError``."""
        return _read(self._documents.create(_SCHEDULE, schedule.key, schedule.body))

    def get(self, region: str, group: str, name: str) -> Schedule:
        """Raises ``NotFoundError``."""
        return _read(self._documents.get(_SCHEDULE, f"{region}/{group}/{name}"))

    def replace(self, region: str, group: str, name: str, body: Mapping[str, Any]) -> Schedule:
        """Give a schedule another body. Raises ``NotFoundError``."""
        key = f"{region}/{group}/{name}"
        dropped = dict.fromkeys(self._documents.get(_SCHEDULE, key).body)
        return _read(self._documents.merge(_SCHEDULE, key, {**dropped, **body}))

    def delete(self, schedule: Schedule) -> None:
        """Forget it. Raises ``NotFoundError``."""
        self._documents.delete(_SCHEDULE, schedule.key)

    def all_of(self, region: str = "", group: str = "") -> list[Schedule]:
        """Every schedule; of one group where one is given."""
        prefix = f"{region}/{group}/" if group else ""
        return [_read(document) for document in self._walk(_SCHEDULE, prefix, None)]

    def page(
        self, region: str, group: str | None, wanted: Callable[[Schedule], bool], size: int, token: str | None
    ) -> tuple[list[Schedule], str | None]:
        """One page in the order of names, and the token of the next. Raises ``InvalidRequestError``."""
        found: list[Schedule] = []
        prefix = f"{region}/{group}/" if group else f"{region}/"
        while True:
            request = PageRequest("name", descending=False, limit=size - len(found), token=token)
            page = self._documents.list(_SCHEDULE, DocumentFilter(name_prefix=prefix), request)
            found += [schedule for schedule in map(_read, page.items) if wanted(schedule)]
            token = page.next_token
            if token is None or len(found) >= size:
                return found, token

    def create_group(self, region: str, name: str) -> None:
        """Raises ``ConflictError``; "default" is always there."""
        if name == DEFAULT_GROUP:
            raise ConflictError(f"schedule group {name} exists from the start")
        self._documents.create(_GROUP, f"{region}/{name}", {})

    def group(self, region: str, name: str) -> tuple[datetime, datetime] | None:
        """When it was created and changed; None for "default". Raises ``NotFoundError``."""
        if name == DEFAULT_GROUP:
            return None
        document = self._documents.get(_GROUP, f"{region}/{name}")
        return document.created_at, document.modified_at

    def delete_group(self, region: str, name: str) -> None:
        """Raises ``NotFoundError``."""
        self._documents.delete(_GROUP, f"{region}/{name}")

    def groups(self, region: str) -> list[str]:
        """The names of all groups, in order."""
        found = {document.name.partition("/")[2] for document in self._walk(_GROUP, f"{region}/", None)}
        return sorted(found | {DEFAULT_GROUP})

    def _walk(self, kind: str, prefix: str, token: str | None) -> Iterator[Document]:
        while True:
            request = PageRequest("name", descending=False, limit=_BATCH, token=token)
            page = self._documents.list(kind, DocumentFilter(name_prefix=prefix or None), request)
            yield from page.items
            token = page.next_token
            if token is None:
                return


def _read(document: Document) -> Schedule:
    region, group, name = document.name.split("/", 2)
    body = {member: value for member, value in document.body.items() if value is not None}
    return Schedule(region, group, name, body, document.created_at, document.modified_at)
