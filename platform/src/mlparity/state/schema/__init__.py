"""Every table, one module a domain. Importing this module fills ``metadata``."""

from mlparity.state.schema import (
    aws,
    documents,
    engine,
    lineage,
    ml_metadata,
    monitoring,
    registry,
    serving,
    storage,
    tuning,
)
from mlparity.state.schema.base import metadata

__all__ = [
    "aws",
    "documents",
    "engine",
    "lineage",
    "metadata",
    "ml_metadata",
    "monitoring",
    "registry",
    "serving",
    "storage",
    "tuning",
]
