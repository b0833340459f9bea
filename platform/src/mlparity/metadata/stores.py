"""The metadata stores of all scopes, and the time series beside them."""

from __future__ import annotations

from mlparity.clock import Clock
from mlparity.ids import IdSource
from mlparity.metadata.store import MetadataStore
from mlparity.metadata.time_series import TimeSeries
from mlparity.state.database import Database


class MetadataStores:
    """What APIs are given: ``stores.of("kubeflow")``, and ``stores.time_series``."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self.time_series = TimeSeries(database)

    def of(self, scope: str) -> MetadataStore:
        """The store of a scope; it need not be made first."""
        return MetadataStore(self._database, self._clock, self._ids, scope)
