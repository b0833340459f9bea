"""Every table, one module a domain. Importing this module fills ``metadata``."""

from mlparity.state.schema import aws, documents, engine, registry, storage
from mlparity.state.schema.base import metadata

__all__ = ["aws", "documents", "engine", "metadata", "registry", "storage"]
