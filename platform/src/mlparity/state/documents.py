"""Vendor resources that are stored and read back as they are, and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.exc import IntegrityError

from mlparity.clock import Clock
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.database import Database
from mlparity.state.paging import Page, PageRequest, fetch_page
from mlparity.state.schema.documents import documents, tags


@dataclass(frozen=True)
class Document:
    """One stored resource; ``name`` is unique among its ``api`` and ``kind``."""

    api: str
    kind: str
    name: str
    body: Mapping[str, Any]
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True)
class DocumentFilter:
    """Which documents to list. None means any.

    ``name_under`` is a prefix, too, to the letter: for few among many, which are found at once if sorted by name.
    """

    name_prefix: str | None = None
    name_under: str | None = None
    name_contains: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


class DocumentRepository:
    """The documents of one vendor API."""

    def __init__(self, database: Database, clock: Clock, api: str) -> None:
        self._database = database
        self._clock = clock
        self._api = api

    def transaction(self) -> AbstractContextManager[Connection]:
        """Everything that this thread writes in the block, here or through others, happens together or not at all."""
        return self._database.write()

    def create(self, kind: str, name: str, body: Mapping[str, Any]) -> Document:
        """Store a new document. Raises ``ConflictError`` where the name is taken."""
        now = self._clock.now()
        row = {"api": self._api, "kind": kind, "name": name, "body": dict(body), "created_at": now, "modified_at": now}
        try:
            with self._database.write() as connection:
                connection.execute(documents.insert().values(**row))
        except IntegrityError as error:
            raise ConflictError(f"{kind} {name} exists already", "names are unique") from error
        return Document(**row)  # type: ignore[arg-type]

    def get(self, kind: str, name: str) -> Document:
        """The document. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            row = connection.execute(select(documents).where(*self._key(kind, name))).one_or_none()
        if row is None:
            raise NotFoundError(f"{kind} {name} does not exist")
        return Document(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

    def merge(self, kind: str, name: str, changes: Mapping[str, Any]) -> Document:
        """Set members of the body. Raises ``NotFoundError``."""
        with self._database.write() as connection:
            row = connection.execute(select(documents.c.body).where(*self._key(kind, name))).one_or_none()
            if row is None:
                raise NotFoundError(f"{kind} {name} does not exist")
            connection.execute(
                update(documents)
                .where(*self._key(kind, name))
                .values(body={**row.body, **changes}, modified_at=self._clock.now())
            )
        return self.get(kind, name)

    def delete(self, kind: str, name: str) -> None:
        """Forget the document. Raises ``NotFoundError``."""
        with self._database.write() as connection:
            if connection.execute(delete(documents).where(*self._key(kind, name))).rowcount == 0:
                raise NotFoundError(f"{kind} {name} does not exist")

    def list(self, kind: str, wanted: DocumentFilter, page: PageRequest) -> Page[Document]:
        """One page. ``page.sort_by`` is "name", "created_at" or "modified_at"."""
        query = select(documents).where(documents.c.api == self._api, documents.c.kind == kind)
        if wanted.name_prefix:
            query = query.where(documents.c.name.startswith(wanted.name_prefix, autoescape=True))
        if wanted.name_under:
            last = f"{wanted.name_under}\U0010ffff"
            query = query.where(documents.c.name >= wanted.name_under, documents.c.name < last)
        if wanted.name_contains:
            query = query.where(documents.c.name.contains(wanted.name_contains, autoescape=True))
        if wanted.created_after:
            query = query.where(documents.c.created_at > wanted.created_after)
        if wanted.created_before:
            query = query.where(documents.c.created_at < wanted.created_before)
        with self._database.read() as connection:
            found = fetch_page(connection, query, documents.c[page.sort_by], documents.c.name, page)
        return found.map(lambda row: Document(**row._mapping))  # noqa: SLF001 - SQLAlchemy's public name for it

    def _key(self, kind: str, name: str) -> tuple[Any, ...]:
        return documents.c.api == self._api, documents.c.kind == kind, documents.c.name == name


class TagRepository:
    """Tags of any resource, by its ARN."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, resource: str) -> dict[str, str]:
        """The resource's tags, in key order."""
        query = select(tags).where(tags.c.resource == resource).order_by(tags.c.key)
        with self._database.read() as connection:
            return {row.key: row.value for row in connection.execute(query)}

    def add(self, resource: str, new: Mapping[str, str]) -> dict[str, str]:
        """Set tags, replacing values of the same key; all tags afterwards."""
        with self._database.write() as connection:
            if new:
                connection.execute(delete(tags).where(tags.c.resource == resource, tags.c.key.in_(list(new))))
                rows = [{"resource": resource, "key": key, "value": value} for key, value in new.items()]
                connection.execute(tags.insert(), rows)
        return self.get(resource)

    def remove(self, resource: str, keys: Sequence[str] | None = None) -> None:
        """Remove some tags, or all of them."""
        query = delete(tags).where(tags.c.resource == resource)
        if keys is not None:
            query = query.where(tags.c.key.in_(list(keys)))
        with self._database.write() as connection:
            connection.execute(query)
