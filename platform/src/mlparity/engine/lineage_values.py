"""The values of the lineage graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class NewEntity:
    """An entity to store. ``family`` is its sort ("Artifact"), ``kind`` its type ("DataSet").

    ``is_open``: it stands for work that has not ended; ``LineageRepository.open`` finds it after a crash.
    """

    id: str
    family: str
    kind: str
    name: str
    source_uri: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    is_open: bool = False


@dataclass(frozen=True)
class Entity:
    """An entity as the database knows it."""

    api: str
    id: str
    family: str
    kind: str
    name: str
    source_uri: str
    is_open: bool
    body: Mapping[str, Any]
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True)
class NewEdge:
    """An edge to store, between entities that exist."""

    source: str
    target: str
    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """An edge as the database knows it."""

    sequence: int
    api: str
    source: str
    target: str
    kind: str
    source_kind: str
    target_kind: str
    body: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class EntityFilter:
    """Which entities to list. None means any."""

    family: str
    kind: str | None = None
    source_uri: str | None = None
    ids: Collection[str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class EdgeFilter:
    """Which edges to list: of these kinds, and between such ends. None means any."""

    kinds: Collection[str]
    source: str | None = None
    target: str | None = None
    source_kind: str | None = None
    target_kind: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
