"""What every vendor's half of the control plane stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlparity.clock import Clock
    from mlparity.engine.events import EventJournal
    from mlparity.engine.job_service import JobService
    from mlparity.engine.logs import JobLogStore
    from mlparity.engine.run_engine import RunEngine
    from mlparity.engine.runtimes import RuntimeMap
    from mlparity.engine.scheduling import TimerService
    from mlparity.engine.tuning.service import TuningService
    from mlparity.ids import IdSource
    from mlparity.metadata import MetadataStores
    from mlparity.state import Database
    from mlparity.storage.filestore import FileObjectStore


@dataclass(frozen=True)
class Substrate:
    """The parts, made once by ``control_plane``."""

    database: Database
    store: FileObjectStore
    jobs: JobService
    runs: RunEngine
    tunings: TuningService
    runtimes: RuntimeMap
    logs: JobLogStore
    timers: TimerService
    events: EventJournal
    metadata: MetadataStores
    clock: Clock
    ids: IdSource
