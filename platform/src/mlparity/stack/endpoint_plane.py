"""Everything that serves models behind endpoints, made once: workers, router, captured data, the state machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker.context import API as SAGEMAKER
from mlparity.apis.vertex.context import API as VERTEX
from mlparity.clock import Clock
from mlparity.engine.environments import Environments
from mlparity.engine.executors import Executors
from mlparity.engine.logs import JobLogStore
from mlparity.engine.process import Runtime
from mlparity.engine.runtimes import RuntimeMap
from mlparity.engine.scheduling import TimerService
from mlparity.ids import IdSource
from mlparity.serving.endpoints.endpoints import EndpointFilter
from mlparity.serving.endpoints.repository import EndpointRepository
from mlparity.serving.endpoints.service import EndpointService
from mlparity.serving.fleet.process_fleet import FleetMeans, ProcessFleet
from mlparity.serving.routing.capture_upload import CaptureUploader
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.job_environment import job_environment
from mlparity.stack.router import router
from mlparity.state import Database
from mlparity.state.paging import PageRequest
from mlparity.storage.base import ObjectStore


class EndpointPlane:
    """The parts, and the order in which they start and stop.

    ``secrets`` (access key -> secret) are what requests are signed with; ``act_as`` gives a role's variables;
    ``alarms`` says which of some alarms are in ALARM; ``warm`` starts the worker that a runtime's processes fork from.
    """

    def __init__(  # noqa: PLR0913 - what the control plane hands in
        self,
        config: ControlPlaneConfig,
        database: Database,
        store: ObjectStore,
        executors: Executors,
        runtimes: RuntimeMap,
        environments: Environments,
        logs: JobLogStore,
        timers: TimerService,
        clock: Clock,
        ids: IdSource,
        *,
        secrets: Mapping[str, str],
        act_as: Callable[[str], Mapping[str, str]],
        alarms: Callable[[Sequence[str]], Sequence[str]],
        warm: Callable[[Runtime], None],
    ) -> None:
        self.router = router(config, secrets)
        self._captures = CaptureUploader(config.capture_dir, store)
        self.router.on_spooled(self._captures.notice)
        means = FleetMeans(
            store=store,
            executor=executors,
            runtimes=runtimes,
            environments=environments,
            logs=logs,
            folder=config.data_dir / "scratch" / "fleet",
            environment=job_environment(config),
            clock=clock,
            ids=ids,
            credentials=act_as,
            warm=warm,
        )
        self.fleet = ProcessFleet(means, self.router.drain)
        repository = EndpointRepository(database, clock, ids)
        self.endpoints = EndpointService(repository, self.fleet, self.router, clock, alarms, wake=timers.wake)
        timers.add(self.endpoints)

    def start(self) -> None:
        """Bring back what ran. Before the timers start."""
        self._captures.start()
        self.router.start()
        self.fleet.recover()
        self.endpoints.recover()

    def shown(self) -> list[dict[str, Any]]:
        """Every endpoint with its workers, for ``mlparity status``: the first hundred of each API by name."""
        request = PageRequest("name", descending=False, limit=100)
        found = [one for api in (SAGEMAKER, VERTEX) for one in self.endpoints.list(EndpointFilter(api), request).items]
        return [
            {
                "name": one.name,
                "phase": one.phase.value,
                "workers": sum(variant.current_instances for variant in one.variants),
                "wanted": sum(variant.desired_instances for variant in one.variants),
            }
            for one in found
        ]

    def close(self) -> None:
        """Let the requests that are under way end, then the workers. The database keeps what is to serve."""
        self.endpoints.close()
        self.router.close()
        self._captures.close()
        self.fleet.close()
