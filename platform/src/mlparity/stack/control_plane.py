"""The composition root: every part of the control plane, made once and wired here."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from mlparity.apis.aws import AwsServices
from mlparity.apis.sagemaker import (
    endpoint_events,
    lineage_endpoints,
    lineage_jobs,
    mlflow_servers,
    monitoring_executions,
    state_events,
    transform_capture,
    warm_pools,
)
from mlparity.apis.sagemaker.app import SageMakerApp
from mlparity.apis.sagemaker.arns import Arns
from mlparity.apis.sagemaker.async_invocations import AsyncInvocationsApp
from mlparity.apis.sagemaker.authentication import Authenticator
from mlparity.apis.sagemaker.context import API, SageMaker
from mlparity.apis.sagemaker.hosting import Hosting
from mlparity.apis.sagemaker.monitoring_schedules import MonitoringTimer
from mlparity.apis.sagemaker.steps import handlers
from mlparity.apis.sagemaker.steps import tuning as tuning_step
from mlparity.apis.sagemaker.tuning_jobs import KIND as TUNING_JOB
from mlparity.apis.sagemaker.tuning_jobs import TuningTrials
from mlparity.apis.vertex.context import API as VERTEX
from mlparity.apis.vertex.tuning_jobs import KIND as VERTEX_TUNING_JOB
from mlparity.apis.vertex.tuning_jobs import TuningTrials as VertexTrials
from mlparity.clock import Clock, SystemClock
from mlparity.engine.container import ContainerExecutor
from mlparity.engine.environments import Environments
from mlparity.engine.events import Event, EventJournal
from mlparity.engine.executors import Executors
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.job_service import JobHost, JobService, Means
from mlparity.engine.lineage import LineageRepository
from mlparity.engine.logs import JobLogStore
from mlparity.engine.run_engine import RunEngine
from mlparity.engine.run_repository import RunRepository
from mlparity.engine.runtimes import RuntimeMap
from mlparity.engine.sandbox import SandboxExecutor
from mlparity.engine.scheduling import TimerService
from mlparity.engine.tracking import Tracking
from mlparity.engine.tuning.repository import TuningRepository
from mlparity.engine.tuning.service import TuningService
from mlparity.gateway import admin_loops
from mlparity.gateway.admin import Admin
from mlparity.gateway.aws_endpoint import ADMIN_PREFIX, AwsEndpoint
from mlparity.gateway.router_app import RouterApp
from mlparity.ids import IdSource, SystemIds
from mlparity.metadata import MetadataStores
from mlparity.profiles.locate import shipped, user_runtimes
from mlparity.registry import ModelRegistry
from mlparity.stack import monitoring_metrics, service_metrics
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.endpoint_capacities import EndpointCapacities
from mlparity.stack.endpoint_plane import EndpointPlane
from mlparity.stack.function_calls import function_invoker
from mlparity.stack.google_plane import GooglePlane
from mlparity.stack.hand_over import HandOver
from mlparity.stack.inference_services import InferenceServices
from mlparity.stack.job_environment import job_environment, job_files, role_variables
from mlparity.stack.pipeline_starts import pipeline_starter
from mlparity.stack.pipelines_plane import PipelinesPlane, pipeline_handlers
from mlparity.stack.retraining import retraining_loop
from mlparity.stack.substrate import Substrate
from mlparity.state import Database
from mlparity.state.documents import DocumentRepository, TagRepository
from mlparity.storage.filestore import FileObjectStore
from mlparity.storage.s3 import S3App
from mlparity.wire.aws_model import AwsModel

_LOG = logging.getLogger(__name__)
_LOG_INDEX_SECONDS = 1.0
_PROMETHEUS = "text/plain; version=0.0.4"
_PRINCIPAL = "sagemaker.amazonaws.com"  # as which SageMaker assumes roles
_JOB_SESSION = "SageMaker"  # the name of the session in which SageMaker's jobs act as their role


class ControlPlane:
    """The substrate and the APIs over it. ``app`` is the ASGI app of the AWS port."""

    def __init__(self, config: ControlPlaneConfig, clock: Clock, ids: IdSource) -> None:
        self._config = config
        self._closing = threading.Event()
        self._database = Database.open(config.database_path)
        self._store = FileObjectStore(self._database, config.blobs_dir, clock, ids, config.region)
        self._logs = JobLogStore(config.data_dir / "joblogs", clock)
        self._executor = SandboxExecutor(
            config.data_dir / "scratch", clock, ids, hidden=[config.data_dir], files=job_files(config)
        )
        owner = hashlib.sha256(str(config.data_dir.resolve()).encode()).hexdigest()[:16]
        self._containers = ContainerExecutor(owner, config.data_dir / "scratch" / "containers")
        self._runtimes = RuntimeMap.load(
            shipped("stacks") / "runtimes.yaml", own=user_runtimes(), exact=config.exact_runtimes
        )
        job_repository = JobRepository(self._database, clock, ids)
        self._tracking = Tracking(config.mlflow_url, job_repository, clock)
        host = JobHost(config.jobs_dir, job_environment(config), config.max_parallel_jobs, self._act_as)
        environments = Environments(config.data_dir / "environments", exact=config.exact_runtimes)
        executors = Executors(self._executor, self._containers)
        means = Means(self._store, executors, self._runtimes, environments, self._logs, self._tracking, host)
        self._jobs = JobService(job_repository, means, clock)
        run_handlers = {**handlers(lambda: self._sagemaker), **pipeline_handlers(lambda: self._pipelines)}
        self._runs = RunEngine(RunRepository(self._database, clock), job_repository, run_handlers, clock)
        self._tunings = TuningService(
            TuningRepository(self._database, clock, ids),
            self._jobs,
            {
                (API, TUNING_JOB): TuningTrials(lambda: self._sagemaker),
                (VERTEX, VERTEX_TUNING_JOB): VertexTrials(lambda: self._google.vertex),
            },
            clock,
            ids,
        )
        self._events = EventJournal(self._database, clock, ids)
        self._timers = TimerService(clock)
        self._aws = AwsServices(
            config,
            self._database,
            clock,
            ids,
            self._logs,
            timers=self._timers,
            start_pipeline=pipeline_starter(lambda: self._sagemaker),
            invoke_function=function_invoker(lambda: self._sagemaker),
            read_object=self._store.get_bytes,
            scalable=EndpointCapacities(lambda: self._endpoints.endpoints),
        )
        self._endpoints = EndpointPlane(
            config,
            self._database,
            self._store,
            executors,
            self._runtimes,
            environments,
            self._logs,
            self._timers,
            clock,
            ids,
            secrets=self._aws.credentials(),
            act_as=self._act_as,
            alarms=self._in_alarm,
            warm=self._executor.warm,
        )
        self._sagemaker = SageMaker(
            arns=Arns(config.region, config.account_id),
            model=AwsModel.load("sagemaker"),
            jobs=self._jobs,
            runs=self._runs,
            tunings=self._tunings,
            registry=ModelRegistry(self._database, clock, API),
            lineage=LineageRepository(self._database, clock, API),
            documents=DocumentRepository(self._database, clock, API),
            tags=TagRepository(self._database),
            store=self._store,
            mlflow_url=config.mlflow_url,
            events=self._events,
            clock=clock,
            ids=ids,
            image_metrics=self._image_metrics,
            send_message=lambda url, body: self._aws.send_message(url, body),  # noqa: PLW0108 - made below
            function=lambda arn: self._aws.function(arn),  # noqa: PLW0108 - made below
            hosting=Hosting(
                self._endpoints.endpoints,
                self._unknown_alarms,
                self._aws.publish_to_topic,
                self._endpoints.fleet.expect,
            ),
            needs_other_approver=lambda group: self._loops.governs(group),  # noqa: PLW0108 - made below
            may_assume=lambda role, resource: self._aws.may_assume(role, _PRINCIPAL, resource),
        )
        self._loops = retraining_loop(
            lambda: self._sagemaker, self._database, self._store, clock, config.account_id, self._timers.wake
        )
        self._timers.add(self._loops, MonitoringTimer(self._sagemaker))
        self._inference = InferenceServices(config, self._sagemaker, self._endpoints, self._aws, self._timers)
        self.hand_over = HandOver(self._endpoints.router)
        on = Substrate(
            self._database,
            self._store,
            self._jobs,
            self._runs,
            self._tunings,
            self._runtimes,
            self._logs,
            self._timers,
            self._events,
            MetadataStores(self._database, clock, ids),
            clock,
            ids,
        )
        self._pipelines = PipelinesPlane(config, on)
        self._listen()
        admin = self._admin()
        self.app = self._endpoint(admin, clock, ids)
        self._google = GooglePlane(config, on, self._endpoints, self._pipelines.vertex, admin)
        self.google_app, self.pipelines_app = self._google.app, self._pipelines.app

    def start(self) -> None:
        """Recover what was interrupted, then start the threads. Called before the first request is taken."""
        self._store.recover()
        self._aws.recover()
        for bucket in (self._config.default_bucket, self._config.mlflow_bucket):
            self._store.ensure_bucket(bucket)
        artifacts = f"s3://{self._config.mlflow_bucket}/artifacts"
        mlflow_servers.ensure_default(self._sagemaker, self._config.profile, artifacts, self._config.role_arn)
        self._events.start()
        self._pipelines.start()
        self._google.start()
        self._containers.recover()
        self._jobs.recover()
        lineage_jobs.recover(self._sagemaker)
        self._tracking.start()
        self._runs.start()
        self._tunings.start()
        self._endpoints.start()
        self._inference.start()
        self._timers.start()
        self._in_background("warm-up", self._warm_up)
        self._in_background("log-index", self._index_logs)

    def close(self) -> None:
        """Stop the jobs and the threads. The database keeps the truth for the next start."""
        self._closing.set()
        self._google.close()
        self._timers.close()
        self._inference.close()
        self._endpoints.close()
        self._aws.close()
        self._runs.close()
        self._tunings.close()
        self._jobs.close()
        self._executor.close()
        self._containers.close()
        self._events.close()
        self._tracking.close()
        self._database.close()

    def _listen(self) -> None:
        api = self._sagemaker
        self._jobs.listen(partial(state_events.job, api), within=True)
        self._jobs.listen(partial(monitoring_executions.on_job, api), within=True)
        self._jobs.listen(partial(transform_capture.on_job, api), within=True)
        self._jobs.listen(partial(lineage_jobs.job, api))
        self._jobs.listen(partial(warm_pools.on_job, api))
        self._jobs.listen(self._runs.on_job)
        self._jobs.listen(self._tunings.on_job)
        self._tunings.listen(partial(state_events.tuning, api))
        self._tunings.listen(partial(tuning_step.on_tuning, api))
        self._runs.listen(partial(lineage_jobs.run, api), lambda _run, _step, _before: None)
        self._runs.listen(partial(state_events.run, api), partial(state_events.step, api))
        self._endpoints.endpoints.listen(partial(endpoint_events.endpoint, api), within=True)
        self._endpoints.endpoints.listen(partial(lineage_endpoints.endpoint, api), within=True)
        self._jobs.listen(service_metrics.training(self._aws.publish_metrics, self._logs))
        self._runs.listen(*service_metrics.pipelines(self._aws.publish_metrics, api.clock))
        self._jobs.listen(monitoring_metrics.monitoring(self._aws.publish_metrics))
        self._events.subscribe(self._to_event_bridge)
        self._aws.listen(self._loops.on_event)

    def _to_event_bridge(self, event: Event) -> None:
        self._aws.publish(
            {
                "id": event.id,
                "time": event.at,
                "source": event.source,
                "detail-type": event.detail_type,
                "resources": list(event.resources),
                "detail": dict(event.detail),
            }
        )

    def grpc_port(self) -> int:
        """Where Google's APIs are in gRPC; 0 while they are not."""
        return self._google.grpc_port

    def _admin(self) -> ASGIApp:
        return Admin(self._jobs, self._runs.repository, self._logs, self._endpoints.shown, self._admin_routes()).app()

    def _endpoint(self, admin: ASGIApp, clock: Clock, ids: IdSource) -> AwsEndpoint:
        config = self._config
        credentials = self._aws.credentials()
        authenticator = Authenticator(credentials, self._aws.identity, clock)
        return AwsEndpoint(
            admin=admin,
            s3=S3App(self._store, credentials, clock, ids, config.region, config.account_id),
            sagemaker=SageMakerApp(self._sagemaker, authenticator),
            invocations=RouterApp(self._endpoints.router),
            async_invocations=AsyncInvocationsApp(self._sagemaker, self._inference.inference, authenticator),
            others=self._aws,
        )

    def _admin_routes(self) -> list[Route]:
        page = Route(
            f"{ADMIN_PREFIX}metrics", lambda _request: PlainTextResponse(self._inference.page(), media_type=_PROMETHEUS)
        )
        return [*admin_loops.routes(ADMIN_PREFIX, self._loops), page]

    def _in_alarm(self, names: Sequence[str]) -> Sequence[str]:
        return [name for name, state in self._aws.alarm_states(names).items() if state == "ALARM"]

    def _unknown_alarms(self, names: Sequence[str]) -> Sequence[str]:
        known = self._aws.alarm_states(names)
        return [name for name in names if name not in known]

    def _act_as(self, role_arn: str) -> Mapping[str, str]:
        return role_variables(self._aws.credentials().of_role(role_arn, _JOB_SESSION))

    def _image_metrics(self, image: str) -> Mapping[str, str]:
        """What a built-in algorithm's module declares; nothing for any other image."""
        module = self._runtimes.resolve(image).module
        definitions: Mapping[str, str] = getattr(import_module(module), "METRIC_DEFINITIONS", {}) if module else {}
        return definitions

    def _warm_up(self) -> None:
        """The AWS services first: at once, their imports and the workers' would fight for the cores."""
        self._aws.warm()
        for runtime in self._runtimes.runtimes.values():
            if runtime.preload and runtime.kind in {"host", "builtin"}:
                self._executor.warm(runtime)
        if self._config.gcp_port:
            self._google.warm()

    def _index_logs(self) -> None:
        while not self._closing.wait(_LOG_INDEX_SECONDS):
            with contextlib.suppress(OSError):  # a full disk: the lines are dated later
                self._logs.index()

    @staticmethod
    def _in_background(name: str, action: Any) -> None:
        def run() -> None:
            try:
                action()
            except Exception:  # noqa: BLE001 - a warm-up that fails is reported; what it warms still works
                _LOG.exception("%s", name)

        threading.Thread(target=run, name=name, daemon=True).start()


def build(config: ControlPlaneConfig) -> ControlPlane:
    """The control plane of a local profile, on the machine's own clock."""
    Path(config.data_dir).mkdir(parents=True, exist_ok=True)
    return ControlPlane(config, SystemClock(), SystemIds())
