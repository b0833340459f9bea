"""Every table, one module a domain. Importing this module fills ``metadata``."""

from mlparity.state.schema import documents, engine, registry, storage
from mlparity.state.schema.base import metadata

__all__ = ["documents", "engine", "metadata", "registry", "storage"]
