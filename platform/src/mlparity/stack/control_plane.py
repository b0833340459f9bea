"""The composition root: every part of the control plane, made once and wired here."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from mlparity.apis.aws import AwsServices
from mlparity.apis.sagemaker.app import SageMakerApp
from mlparity.apis.sagemaker.async_invocations import AsyncInvocationsApp
from mlparity.apis.sagemaker.authentication import Authenticator
from mlparity.apis.sagemaker.context import API as SAGEMAKER
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.steps import handlers
from mlparity.apis.sagemaker.tuning_jobs import KIND as SAGEMAKER_TUNING
from mlparity.apis.sagemaker.tuning_jobs import TuningTrials as SageMakerTrials
from mlparity.apis.vertex.context import API as VERTEX
from mlparity.apis.vertex.tuning_jobs import KIND as VERTEX_TUNING
from mlparity.apis.vertex.tuning_jobs import TuningTrials as VertexTrials
from mlparity.clock import Clock, SystemClock
from mlparity.engine.tuning.tunings import TrialJobs
from mlparity.gateway import admin_loops, admin_monitoring
from mlparity.gateway.admin import Admin
from mlparity.gateway.aws_endpoint import ADMIN_PREFIX, AwsEndpoint
from mlparity.gateway.router_app import RouterApp
from mlparity.ids import IdSource, SystemIds
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.endpoint_capacities import EndpointCapacities
from mlparity.stack.endpoint_plane import EndpointPlane
from mlparity.stack.function_calls import function_invoker
from mlparity.stack.google_plane import GooglePlane
from mlparity.stack.hand_over import PREDICTIONS, HandOver
from mlparity.stack.job_environment import role_variables
from mlparity.stack.pipeline_starts import pipeline_starter
from mlparity.stack.pipelines_plane import PipelinesPlane, pipeline_handlers
from mlparity.stack.retraining import retraining_loop
from mlparity.stack.sagemaker_plane import SageMakerPlane
from mlparity.stack.substrate import Substrate
from mlparity.storage.s3 import S3App

_LOG = logging.getLogger(__name__)
_LOG_INDEX_SECONDS = 1.0
_PROMETHEUS = "text/plain; version=0.0.4"
_JOB_SESSION = "SageMaker"  # the name of the session in which SageMaker's jobs act as their role


class ControlPlane:
    """The substrate and the APIs over it.

    ``app`` is the ASGI app of the AWS port, ``google_app`` of Google's, ``pipelines_app`` of Kubeflow Pipelines'.
    """

    def __init__(self, config: ControlPlaneConfig, clock: Clock, ids: IdSource) -> None:
        self._config = config
        self._closing = threading.Event()
        # What is asked of the planes below when the first step or trial begins.
        steps = {**handlers(self._sagemaker_api), **pipeline_handlers(lambda: self._pipelines)}
        trials: Mapping[tuple[str, str], TrialJobs] = {
            (SAGEMAKER, SAGEMAKER_TUNING): SageMakerTrials(self._sagemaker_api),
            (VERTEX, VERTEX_TUNING): VertexTrials(lambda: self._google.vertex),
        }
        on = self._on = Substrate(config, clock, ids, steps, trials, self._act_as)
        self._aws = AwsServices(
            config,
            on.database,
            clock,
            ids,
            on.logs,
            timers=on.timers,
            start_pipeline=pipeline_starter(self._sagemaker_api),
            invoke_function=function_invoker(self._sagemaker_api),
            read_object=on.store.get_bytes,
            scalable=EndpointCapacities(lambda: self._endpoints.endpoints),
        )
        self._endpoints = EndpointPlane(config, on, self._aws.credentials(), self._act_as, self._in_alarm)
        self._sagemaker = SageMakerPlane(
            config,
            on,
            self._aws,
            self._endpoints,
            lambda group: self._loops.governs(group),  # noqa: PLW0108 - made below
        )
        self._loops = retraining_loop(
            self._sagemaker_api, on.database, on.store, clock, config.account_id, on.timers.wake
        )
        on.timers.add(self._loops)
        self._aws.listen(self._loops.on_event)
        self._pipelines = PipelinesPlane(config, on)
        admin = self._admin()
        self._google = GooglePlane(config, on, self._endpoints, self._pipelines.vertex, admin)
        self._sagemaker.listen()
        on.connect()
        router = self._endpoints.router
        self.hand_over = HandOver(router, router.control_plane_path)
        self.google_hand_over = HandOver(router, router.second_port_path, PREDICTIONS)
        self.app = self._aws_app(admin)
        self.google_app, self.pipelines_app = self._google.app, self._pipelines.app

    def start(self) -> None:
        """Recover what was interrupted, then start the threads. Called before the first request is taken."""
        self._on.store.recover()
        self._aws.recover()
        self._sagemaker.prepare()
        self._on.events.start()
        self._pipelines.start()
        self._google.start()
        self._on.recover_jobs()
        self._sagemaker.recover()
        self._on.start()
        self._endpoints.start()
        self._sagemaker.inference.start()
        self._on.timers.start()
        self._in_background("warm-up", self._warm_up)
        self._in_background("log-index", self._index_logs)

    def close(self) -> None:
        """Stop the jobs and the threads. The database keeps the truth for the next start."""
        self._closing.set()
        self._google.close()
        self._on.timers.close()
        self._sagemaker.inference.close()
        self._endpoints.close()
        self._aws.close()
        self._on.close()

    def grpc_port(self) -> int:
        """Where Google's APIs are in gRPC; 0 while they are not."""
        return self._google.grpc_port

    def _sagemaker_api(self) -> SageMaker:
        return self._sagemaker.api

    def _admin(self) -> ASGIApp:
        inference = self._sagemaker.inference
        page = Route(
            f"{ADMIN_PREFIX}metrics", lambda _request: PlainTextResponse(inference.page(), media_type=_PROMETHEUS)
        )
        loops = {"sagemaker": lambda: self._loops, "vertex": lambda: self._google.loops}
        routes = [
            *admin_loops.routes(ADMIN_PREFIX, loops),
            *admin_monitoring.routes(ADMIN_PREFIX, lambda name: self._google.monitoring.run_now(name)),  # noqa: PLW0108 - made below
            page,
        ]
        return Admin(self._on.jobs, self._on.runs.repository, self._on.logs, self._endpoints.shown, routes).app()

    def _aws_app(self, admin: ASGIApp) -> AwsEndpoint:
        config, on, credentials = self._config, self._on, self._aws.credentials()
        authenticator = Authenticator(credentials, self._aws.identity, on.clock)
        return AwsEndpoint(
            admin=admin,
            s3=S3App(on.store, credentials, on.clock, on.ids, config.region, config.account_id),
            sagemaker=SageMakerApp(self._sagemaker.api, authenticator),
            invocations=RouterApp(self._endpoints.router),
            async_invocations=AsyncInvocationsApp(
                self._sagemaker.api, self._sagemaker.inference.inference, authenticator
            ),
            others=self._aws,
        )

    def _in_alarm(self, names: Sequence[str]) -> Sequence[str]:
        return [name for name, state in self._aws.alarm_states(names).items() if state == "ALARM"]

    def _act_as(self, role_arn: str) -> Mapping[str, str]:
        return role_variables(self._aws.credentials().of_role(role_arn, _JOB_SESSION))

    def _warm_up(self) -> None:
        """The AWS services first: at once, their imports and the workers' would fight for the cores."""
        self._aws.warm()
        self._on.warm()
        if self._config.gcp_port:
            self._google.warm()

    def _index_logs(self) -> None:
        while not self._closing.wait(_LOG_INDEX_SECONDS):
            with contextlib.suppress(OSError):  # a full disk: the lines are dated later
                self._on.logs.index()

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
