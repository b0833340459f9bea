"""What ML work made and used: artifacts, executions and contexts, as ML Metadata and Vertex AI shape them."""

from mlparity.metadata.listing import ListRequest
from mlparity.metadata.naming import Naming
from mlparity.metadata.store import MetadataStore
from mlparity.metadata.stores import MetadataStores
from mlparity.metadata.values import (
    Event,
    EventType,
    Family,
    NewEvent,
    NewNode,
    Node,
    Purged,
    StaleError,
    Subgraph,
    TooManyError,
)

__all__ = [
    "Event",
    "EventType",
    "Family",
    "ListRequest",
    "MetadataStore",
    "MetadataStores",
    "Naming",
    "NewEvent",
    "NewNode",
    "Node",
    "Purged",
    "StaleError",
    "Subgraph",
    "TooManyError",
]
