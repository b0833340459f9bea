"""The AWS half of the control plane: SageMaker, and what it listens to and is listened to by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module

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
from mlparity.apis.sagemaker.arns import Arns
from mlparity.apis.sagemaker.context import API, SageMaker
from mlparity.apis.sagemaker.hosting import Hosting
from mlparity.apis.sagemaker.monitoring_schedules import MonitoringTimer
from mlparity.apis.sagemaker.steps import tuning as tuning_step
from mlparity.engine.events import Event
from mlparity.engine.lineage import LineageRepository
from mlparity.registry import ModelRegistry
from mlparity.stack import monitoring_metrics, service_metrics
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.endpoint_plane import EndpointPlane
from mlparity.stack.inference_services import InferenceServices
from mlparity.stack.substrate import Substrate
from mlparity.state.documents import DocumentRepository, TagRepository
from mlparity.wire.aws_model import AwsModel

_PRINCIPAL = "sagemaker.amazonaws.com"  # as which SageMaker assumes roles


class SageMakerPlane:
    """``api`` is SageMaker over the substrate; ``inference`` what it does around endpoints.

    ``governs`` tells whether a retraining loop looks after a model package group.
    """

    def __init__(
        self,
        config: ControlPlaneConfig,
        on: Substrate,
        aws: AwsServices,
        serving: EndpointPlane,
        governs: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._on = on
        self._aws = aws
        self._serving = serving
        self.api = SageMaker(
            arns=Arns(config.region, config.account_id),
            model=AwsModel.load("sagemaker"),
            jobs=on.jobs,
            runs=on.runs,
            tunings=on.tunings,
            registry=ModelRegistry(on.database, on.clock, API),
            lineage=LineageRepository(on.database, on.clock, API),
            documents=DocumentRepository(on.database, on.clock, API),
            tags=TagRepository(on.database),
            store=on.store,
            mlflow_url=config.mlflow_url,
            events=on.events,
            clock=on.clock,
            ids=on.ids,
            image_metrics=self._image_metrics,
            send_message=aws.send_message,
            function=aws.function,
            hosting=Hosting(serving.endpoints, self._unknown_alarms, aws.publish_to_topic, serving.fleet.expect),
            needs_other_approver=governs,
            may_assume=lambda role, resource: aws.may_assume(role, _PRINCIPAL, resource),
        )
        on.timers.add(MonitoringTimer(self.api))
        self.inference = InferenceServices(config, self.api, serving, aws, on.timers)

    def listen(self) -> None:
        """Hear of every change of a job, run, tuning and endpoint, and tell EventBridge and CloudWatch."""
        api, on, aws = self.api, self._on, self._aws
        on.jobs.listen(partial(state_events.job, api), within=True)
        on.jobs.listen(partial(monitoring_executions.on_job, api), within=True)
        on.jobs.listen(partial(transform_capture.on_job, api), within=True)
        on.jobs.listen(partial(lineage_jobs.job, api))
        on.jobs.listen(partial(warm_pools.on_job, api))
        on.tunings.listen(partial(state_events.tuning, api))
        on.tunings.listen(partial(tuning_step.on_tuning, api))
        on.runs.listen(partial(lineage_jobs.run, api), lambda _run, _step, _before: None)
        on.runs.listen(partial(state_events.run, api), partial(state_events.step, api))
        self._serving.endpoints.listen(partial(endpoint_events.endpoint, api), within=True)
        self._serving.endpoints.listen(partial(lineage_endpoints.endpoint, api), within=True)
        on.jobs.listen(service_metrics.training(aws.publish_metrics, on.logs))
        on.runs.listen(*service_metrics.pipelines(aws.publish_metrics, on.clock))
        on.jobs.listen(monitoring_metrics.monitoring(aws.publish_metrics))
        on.events.subscribe(self._to_event_bridge)

    def prepare(self) -> None:
        """Make the buckets and the tracking server that are there from the start."""
        for bucket in (self._config.default_bucket, self._config.mlflow_bucket):
            self._on.store.ensure_bucket(bucket)
        artifacts = f"s3://{self._config.mlflow_bucket}/artifacts"
        mlflow_servers.ensure_default(self.api, self._config.profile, artifacts, self._config.role_arn)

    def recover(self) -> None:
        """After the jobs: the lineage of those that ended while nobody listened."""
        lineage_jobs.recover(self.api)

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

    def _unknown_alarms(self, names: Sequence[str]) -> Sequence[str]:
        known = self._aws.alarm_states(names)
        return [name for name in names if name not in known]

    def _image_metrics(self, image: str) -> Mapping[str, str]:
        """What a built-in algorithm's module declares; nothing for any other image."""
        module = self._on.runtimes.resolve(image).module
        definitions: Mapping[str, str] = getattr(import_module(module), "METRIC_DEFINITIONS", {}) if module else {}
        return definitions
