"""Everything that serves models behind endpoints, made once: workers, router, captured data, the state machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker.context import API as SAGEMAKER
from mlparity.apis.vertex.context import API as VERTEX
from mlparity.serving.endpoints.endpoints import EndpointFilter
from mlparity.serving.endpoints.repository import EndpointRepository
from mlparity.serving.endpoints.service import EndpointService
from mlparity.serving.fleet.process_fleet import FleetMeans, ProcessFleet
from mlparity.serving.routing.capture_upload import CaptureUploader
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.job_environment import job_environment
from mlparity.stack.router import router
from mlparity.stack.substrate import Substrate
from mlparity.state.paging import PageRequest


class EndpointPlane:
    """The parts, and the order in which they start and stop.

    ``secrets`` (access key -> secret) are what requests are signed with; ``act_as`` gives a role's variables;
    ``alarms`` says which of some alarms are in ALARM.
    """

    def __init__(
        self,
        config: ControlPlaneConfig,
        on: Substrate,
        secrets: Mapping[str, str],
        act_as: Callable[[str], Mapping[str, str]],
        alarms: Callable[[Sequence[str]], Sequence[str]],
    ) -> None:
        self.router = router(config, secrets)
        self._captures = CaptureUploader(config.capture_dir, on.store)
        self.router.on_spooled(self._captures.notice)
        means = FleetMeans(
            store=on.store,
            executor=on.executors,
            runtimes=on.runtimes,
            environments=on.environments,
            logs=on.logs,
            folder=config.data_dir / "scratch" / "fleet",
            environment=job_environment(config),
            clock=on.clock,
            ids=on.ids,
            credentials=act_as,
            warm=on.sandbox.warm,
        )
        self.fleet = ProcessFleet(means, self.router.drain)
        repository = EndpointRepository(on.database, on.clock, on.ids)
        self.endpoints = EndpointService(repository, self.fleet, self.router, on.clock, alarms, wake=on.timers.wake)
        on.timers.add(self.endpoints)

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
