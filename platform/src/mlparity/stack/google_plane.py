"""The Google half of the control plane: Vertex AI over REST and gRPC, and Cloud Storage, over the one substrate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from mlparity.apis.gcp.projects import ProjectsApp
from mlparity.apis.gcp.tokens import TokenApp
from mlparity.apis.vertex import (
    batch_prediction,
    deployed_models,
    job_listeners,
    loop_events,
    operations_table,
    pipeline_jobs_states,
)
from mlparity.apis.vertex.context import API, Project, Vertex
from mlparity.apis.vertex.dispatch import Dispatch
from mlparity.apis.vertex.hosting import Hosting
from mlparity.apis.vertex.loop_traffic import TrafficMeter
from mlparity.apis.vertex.monitoring_runs import MonitoringRuns
from mlparity.apis.vertex.operations import Operations
from mlparity.apis.vertex.rest import VertexRest
from mlparity.apis.vertex.router_calls import RouterPredictions
from mlparity.apis.vertex.runtime.paths import PREDICTION
from mlparity.apis.vertex.schedule_timer import ScheduleTimer
from mlparity.gateway.google_endpoint import GoogleApps, GoogleEndpoint
from mlparity.gateway.router_app import RouterApp
from mlparity.profiles.google import ensure_key_file
from mlparity.profiles.model import LocalGcp
from mlparity.registry import ModelRegistry
from mlparity.stack.retraining import vertex_loop
from mlparity.state.documents import DocumentRepository
from mlparity.storage.gcs import GcsApp, serves
from mlparity.wire.google.cache import GoogleApis

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mlparity.apis.vertex.grpc_server import VertexGrpc
    from mlparity.pipeline_ir.pipeline_runs import PipelineRuns
    from mlparity.stack.config import ControlPlaneConfig
    from mlparity.stack.endpoint_plane import EndpointPlane
    from mlparity.stack.substrate import Substrate


class GooglePlane:
    """``app`` is the ASGI app of the Google port."""

    def __init__(
        self,
        config: ControlPlaneConfig,
        on: Substrate,
        serving: EndpointPlane,
        pipelines: PipelineRuns,
        admin: ASGIApp,
    ) -> None:
        self._config = config
        self._store = on.store
        self._grpc: VertexGrpc | None = None
        self.grpc_port = 0  # 0: not listening yet
        documents = DocumentRepository(on.database, on.clock, API)
        self._apis = GoogleApis(types_folder())
        self.vertex = Vertex(
            apis=self._apis,
            project=Project(config.gcp_project, config.gcp_project_number, config.gcp_location),
            documents=documents,
            operations=Operations(documents, on.clock, on.ids),
            clock=on.clock,
            ids=on.ids,
            store=on.store,
            jobs=on.jobs,
            runs=on.runs,
            tunings=on.tunings,
            registry=ModelRegistry(on.database, on.clock, API),
            events=on.events,
            metadata=on.metadata,
            hosting=Hosting(
                serving.endpoints,
                RouterPredictions(serving.router),
                logging_bucket=config.gcp_bucket,
                expect=serving.fleet.expect,
            ),
            pipelines=pipelines,
            wake_timers=on.timers.wake,
            logs=on.logs,
        )
        job_listeners.listen(self.vertex)
        on.timers.add(ScheduleTimer(self.vertex))
        on.runs.listen(
            partial(pipeline_jobs_states.on_run, self.vertex), partial(pipeline_jobs_states.on_step, self.vertex)
        )
        serving.endpoints.listen(partial(deployed_models.on_endpoint, self.vertex), within=True)
        on.jobs.listen(partial(batch_prediction.on_job, self.vertex), within=True)
        self._dispatch = Dispatch(self.vertex, operations_table.BY_NAME)
        meter = TrafficMeter(on.clock)
        serving.router.listen(meter.report)
        self.monitoring = MonitoringRuns(self.vertex)
        self.loops = vertex_loop(self.vertex, self._dispatch, on.database, meter, config.gcp_bucket)
        on.events.subscribe(loop_events.subscriber(self.loops.on_event))
        on.timers.add(self.monitoring, self.loops)
        self.app = GoogleEndpoint(
            GoogleApps(
                admin=admin,
                storage=GcsApp(
                    on.store,
                    on.clock,
                    on.ids,
                    config.gcp_project,
                    config.gcp_project_number,
                    config.gcp_location,
                    signers=signers(config),
                ),
                vertex=VertexRest(self._dispatch),
                tokens=TokenApp(on.ids),
                projects=ProjectsApp(config.gcp_project, config.gcp_project_number),
                predictions=RouterApp(serving.router),
                is_storage=serves,
                is_prediction=lambda path: PREDICTION.match(path) is not None,
            )
        )

    def start(self) -> None:
        """Make the staging bucket. Called before the first request is taken."""
        self._store.ensure_bucket(self._config.gcp_bucket)

    def warm(self) -> None:
        """Read the vendor's types (the first time for a version that takes ten seconds), then listen for gRPC."""
        self._apis.prepare()
        from mlparity.apis.gcp.projects_grpc import ProjectsGrpc
        from mlparity.apis.vertex.grpc_server import VertexGrpc

        projects = ProjectsGrpc(self._config.gcp_project, self._config.gcp_project_number)
        self._grpc = VertexGrpc(self._dispatch, [projects])
        self.grpc_port = self._grpc.start()

    def close(self) -> None:
        """Take no more calls, and end the monitoring run that is under way."""
        self.monitoring.close()
        if self._grpc is not None:
            self._grpc.stop()


def signers(config: ControlPlaneConfig) -> Mapping[str, str]:
    """The local service account and its public key, which is made where there is none yet; nothing without the port."""
    if not config.gcp_port:
        return {}
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    account = LocalGcp(
        provider="mlparity",
        port=config.gcp_port,
        project=config.gcp_project,
        project_number=config.gcp_project_number,
        location=config.gcp_location,
    )
    ensure_key_file(config.service_account_path, account)
    document = json.loads(config.service_account_path.read_text("utf-8"))
    key = load_pem_private_key(document["private_key"].encode("ascii"), None)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {document["client_email"]: public.decode("ascii")}


def types_folder() -> Path:
    """Where the vendor's types are kept once they are read: the same for every data folder of a person."""
    return user_cache_path("mlparity") / "google-types"
