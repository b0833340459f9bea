"""The values of the metadata store.

They follow ML Metadata and Vertex ML Metadata (google.cloud.aiplatform.v1 Artifact, Execution, Context and Event);
one ``Node`` stands for all three kinds, as they differ only in whether they have a state and a URI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from mlparity.errors import ConflictError


class Family(StrEnum):
    """What a node is."""

    ARTIFACT = "artifact"
    EXECUTION = "execution"
    CONTEXT = "context"


class EventType(StrEnum):
    """Whether the execution used the artifact, or made it."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"


class StaleError(ConflictError):
    """The etag given is not the node's: somebody else has changed it."""


class TooManyError(ConflictError):
    """The answer would hold more nodes or events than the API gives at once."""


@dataclass(frozen=True)
class NewNode:
    """A node to store. Without an ``id`` the store makes one.

    ``metadata`` is a JSON object; numbers that JSON does not have (NaN, Infinity) are kept as their names.
    ``state`` is an artifact's (PENDING, LIVE) or an execution's (NEW, RUNNING, COMPLETE, FAILED, CACHED, CANCELLED).
    """

    id: str = ""
    display_name: str = ""
    schema_title: str = ""
    schema_version: str = ""
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    uri: str = ""


@dataclass(frozen=True)
class Node:
    """A stored artifact, execution or context."""

    family: Family
    id: str
    display_name: str
    schema_title: str
    schema_version: str
    description: str
    metadata: Mapping[str, Any]
    labels: Mapping[str, str]
    state: str
    uri: str
    etag: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class NewEvent:
    """What an execution had to do with an artifact. ``path`` names the input or output, where the API has names."""

    artifact: str
    type: EventType
    labels: Mapping[str, str] = field(default_factory=dict)
    path: str = ""


@dataclass(frozen=True)
class Event:
    """A stored event; its ends by id."""

    execution: str
    artifact: str
    type: EventType
    path: str
    labels: Mapping[str, str]
    at: datetime


@dataclass(frozen=True)
class Subgraph:
    """A part of the lineage: nodes in the order they were made, and the events between them."""

    artifacts: Sequence[Node]
    executions: Sequence[Node]
    events: Sequence[Event]


@dataclass(frozen=True)
class Purged:
    """How many nodes were (or would be) removed, and the ids of some of them."""

    count: int
    sample: Sequence[str]
