"""The registry in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, literal, select, update
from sqlalchemy.exc import IntegrityError

from mlparity.clock import Clock
from mlparity.errors import ConflictError, NotFoundError
from mlparity.registry.models import Approval, ModelGroup, ModelVersion
from mlparity.state.database import Database
from mlparity.state.paging import Page, PageRequest, fetch_page
from mlparity.state.schema.registry import approvals, model_groups, model_versions


@dataclass(frozen=True)
class VersionFilter:
    """Which versions to list. None means any. ``versioned``: versions of groups, or models without a group."""

    versioned: bool | None = None
    group: str | None = None
    approval: str | None = None
    name_contains: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


class ModelRegistry:
    """The model groups and versions of one vendor API."""

    def __init__(self, database: Database, clock: Clock, api: str) -> None:
        self._database = database
        self._clock = clock
        self._api = api

    def create_group(self, name: str, description: str, request: Mapping[str, Any]) -> ModelGroup:
        """Make an empty group. Raises ``ConflictError``."""
        row = {
            "api": self._api,
            "name": name,
            "description": description,
            "last_version": 0,
            "request": dict(request),
            "created_at": self._clock.now(),
        }
        try:
            with self._database.write() as connection:
                connection.execute(model_groups.insert().values(**row))
        except IntegrityError as error:
            raise ConflictError(f"model group {name} exists already", "names are unique") from error
        return ModelGroup(**row)  # type: ignore[arg-type]

    def group(self, name: str) -> ModelGroup:
        """The group. Raises ``NotFoundError``."""
        query = select(model_groups).where(model_groups.c.api == self._api, model_groups.c.name == name)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"model group {name} does not exist")
        return ModelGroup(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

    def delete_group(self, name: str) -> None:
        """Remove an empty group. Raises ``NotFoundError``, or ``ConflictError`` while it has versions."""
        self.group(name)
        held = (
            select(func.count()).select_from(model_versions).where(*self._of_group(name), model_versions.c.version > 0)
        )
        with self._database.write() as connection:
            if connection.execute(held).scalar_one():
                raise ConflictError(f"model group {name} is not empty", "it still has versions")
            connection.execute(delete(model_groups).where(model_groups.c.api == self._api, model_groups.c.name == name))

    def list_groups(
        self,
        page: PageRequest,
        *,
        name_contains: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> Page[ModelGroup]:
        """One page. ``page.sort_by`` is "name" or "created_at"."""
        query = select(model_groups).where(model_groups.c.api == self._api)
        if name_contains:
            query = query.where(model_groups.c.name.contains(name_contains, autoescape=True))
        if created_after:
            query = query.where(model_groups.c.created_at > created_after)
        if created_before:
            query = query.where(model_groups.c.created_at < created_before)
        with self._database.read() as connection:
            found = fetch_page(connection, query, model_groups.c[page.sort_by], model_groups.c.name, page)
        return found.map(lambda row: ModelGroup(**row._mapping))  # noqa: SLF001 - SQLAlchemy's public name for it

    def create_version(self, group: str, approval: str, request: Mapping[str, Any]) -> ModelVersion:
        """Add the group's next version. Numbers are never used twice. Raises ``NotFoundError`` for the group."""
        now = self._clock.now()
        of_group = (model_groups.c.api == self._api, model_groups.c.name == group)
        with self._database.write() as connection:
            last = connection.execute(select(model_groups.c.last_version).where(*of_group)).scalar_one_or_none()
            if last is None:
                raise NotFoundError(f"model group {group} does not exist")
            connection.execute(update(model_groups).where(*of_group).values(last_version=last + 1))
            row = {
                "api": self._api,
                "group_name": group,
                "version": last + 1,
                "approval": approval,
                "approval_description": "",
                "request": dict(request),
                "created_at": now,
                "modified_at": now,
            }
            connection.execute(model_versions.insert().values(**row))
        return ModelVersion(**row)

    def create_unversioned(self, name: str, request: Mapping[str, Any]) -> ModelVersion:
        """Add a model of no group. It needs no approval. Raises ``ConflictError`` where the name is taken."""
        now = self._clock.now()
        row = {
            "api": self._api,
            "group_name": name,
            "version": 0,
            "approval": "",
            "approval_description": "",
            "request": dict(request),
            "created_at": now,
            "modified_at": now,
        }
        try:
            with self._database.write() as connection:
                connection.execute(model_versions.insert().values(**row))
        except IntegrityError as error:
            raise ConflictError(f"model {name} exists already", "names are unique") from error
        return self.version(name, 0)

    def version(self, group: str, version: int) -> ModelVersion:
        """The version. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            row = connection.execute(select(model_versions).where(*self._key(group, version))).one_or_none()
        if row is None:
            raise NotFoundError(f"version {version} of model group {group} does not exist")
        return ModelVersion(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

    def update_version(self, group: str, version: int, changes: Mapping[str, Any]) -> ModelVersion:
        """Set members of the version's request. Raises ``NotFoundError``."""
        current = self.version(group, version)
        merged = {**current.request, **changes}
        with self._database.write() as connection:
            connection.execute(
                update(model_versions)
                .where(*self._key(group, version))
                .values(request=merged, modified_at=self._clock.now())
            )
        return self.version(group, version)

    def set_approval(
        self, group: str, version: int, approval: str, *, actor: str, comment: str | None
    ) -> tuple[ModelVersion, str]:
        """Change the approval and write who did it; the version and the approval it had."""
        before = self.version(group, version)
        now = self._clock.now()
        description = before.approval_description if comment is None else comment
        with self._database.write() as connection:
            connection.execute(
                update(model_versions)
                .where(*self._key(group, version))
                .values(approval=approval, approval_description=description, modified_at=now)
            )
            connection.execute(
                approvals.insert().values(
                    api=self._api,
                    group_name=group,
                    version=version,
                    before=before.approval,
                    after=approval,
                    actor=actor,
                    comment=comment or "",
                    at=now,
                )
            )
        return self.version(group, version), before.approval

    def approvals(self, group: str, version: int) -> list[Approval]:
        """Every change of the version's approval, oldest first."""
        query = (
            select(approvals)
            .where(approvals.c.api == self._api, approvals.c.group_name == group, approvals.c.version == version)
            .order_by(approvals.c.sequence)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Approval(row.before, row.after, row.actor, row.comment, row.at) for row in rows]

    def delete_version(self, group: str, version: int) -> None:
        """Remove a version; its number is not used again, its audit stays. Raises ``NotFoundError``."""
        with self._database.write() as connection:
            if connection.execute(delete(model_versions).where(*self._key(group, version))).rowcount == 0:
                raise NotFoundError(f"version {version} of model group {group} does not exist")

    def list_versions(self, wanted: VersionFilter, page: PageRequest) -> Page[ModelVersion]:
        """One page of versions. ``page.sort_by`` is "created_at" or "name": the group's, then the number."""
        # Unique, and in the order of the numbers: the group's name, and the number with zeros before it.
        number = func.substr(literal("0000000000").concat(model_versions.c.version), -10)
        name = (model_versions.c.group_name + "/" + number).label("name")
        query = select(model_versions, name).where(model_versions.c.api == self._api)
        if wanted.versioned is not None:
            version = model_versions.c.version
            query = query.where(version > 0 if wanted.versioned else version == 0)
        if wanted.group is not None:
            query = query.where(model_versions.c.group_name == wanted.group)
        if wanted.approval is not None:
            query = query.where(model_versions.c.approval == wanted.approval)
        if wanted.name_contains:
            query = query.where(model_versions.c.group_name.contains(wanted.name_contains, autoescape=True))
        if wanted.created_after:
            query = query.where(model_versions.c.created_at > wanted.created_after)
        if wanted.created_before:
            query = query.where(model_versions.c.created_at < wanted.created_before)
        with self._database.read() as connection:
            sort = name if page.sort_by == "name" else model_versions.c[page.sort_by]
            found = fetch_page(connection, query, sort, name, page)
        return found.map(_version)

    def _of_group(self, name: str) -> tuple[Any, ...]:
        return model_versions.c.api == self._api, model_versions.c.group_name == name

    def _key(self, group: str, version: int) -> tuple[Any, ...]:
        return (*self._of_group(group), model_versions.c.version == version)


def _version(row: Row[Any]) -> ModelVersion:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values.pop("name")
    return ModelVersion(**values)
