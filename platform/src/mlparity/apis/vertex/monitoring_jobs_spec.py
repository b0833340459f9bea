"""What a model monitoring job is told to watch: checked, and read from the resource's JSON.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.modelDeploymentMonitoringJobs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mlparity.apis.vertex.errors import invalid, unimplemented
from mlparity.wire.google.descriptors import Message

SKEW, DRIFT = "RAW_FEATURE_SKEW", "RAW_FEATURE_DRIFT"
DEFAULT_THRESHOLD = 0.3  # of a feature without one
_HOUR, _DAY = 3600, 86400
_FORMATS = ("csv", "jsonl")
_CONFIGS = "model_deployment_monitoring_job.model_deployment_monitoring_objective_configs"
_SCHEDULE = "model_deployment_monitoring_job.model_deployment_monitoring_schedule_config"
_EXPLAIN = "Feature attributions are not explained by mlparity. See `mlparity parity vertex`."


@dataclass(frozen=True)
class Thresholds:
    """Of one objective: the features' own, or one for all of them."""

    features: Mapping[str, float]
    default: float

    def of(self, feature: str) -> float | None:
        """None where the feature is not watched."""
        return self.features.get(feature) if self.features else self.default


@dataclass(frozen=True)
class Objective:
    """What is watched of one deployed model; None: not for skew, not for drift."""

    deployed_model: str
    skew: Thresholds | None
    drift: Thresholds | None
    training_uris: tuple[str, ...] = ()
    training_format: str = "csv"
    target_field: str = ""
    training_rate: float = 1.0


def objectives(resource: Mapping[str, Any]) -> list[Objective]:
    """Those of a stored job."""
    return [_objective(one) for one in resource.get("modelDeploymentMonitoringObjectiveConfigs", [])]


def schema_uri(resource: Mapping[str, Any]) -> str:
    """Of the instances as they are analysed; without one, as they are sent; "" where neither is told."""
    return str(resource.get("analysisInstanceSchemaUri") or resource.get("predictInstanceSchemaUri", ""))


def interval(resource: Mapping[str, Any]) -> timedelta:
    """Between two runs."""
    return _seconds(resource["modelDeploymentMonitoringScheduleConfig"]["monitorInterval"])


def window(resource: Mapping[str, Any]) -> timedelta:
    """How far back a run looks: the interval, unless it is told otherwise."""
    config = resource["modelDeploymentMonitoringScheduleConfig"]
    return _seconds(config.get("monitorWindow", config["monitorInterval"]))


def normalise(job: Message) -> None:
    """Round up as the service does: the interval to whole hours, the logs' time to live to whole days."""
    schedule = job.model_deployment_monitoring_schedule_config
    if schedule.monitor_interval.ToSeconds() <= 0:
        raise invalid({f"{_SCHEDULE}.monitor_interval": "The interval must be positive."})
    schedule.monitor_interval.FromSeconds(_up(schedule.monitor_interval, _HOUR))
    if job.HasField("log_ttl"):
        job.log_ttl.FromSeconds(_up(job.log_ttl, _DAY))


def check(job: Message, deployed: set[str]) -> None:
    """Raise ``GoogleError`` for what is wrong (INVALID_ARGUMENT) or not served here (UNIMPLEMENTED)."""
    rate = job.logging_sampling_strategy.random_sample_config.sample_rate
    if not 0 < rate <= 1:
        path = "model_deployment_monitoring_job.logging_sampling_strategy.random_sample_config.sample_rate"
        raise invalid({path: f"The sample rate must be in (0, 1], not {rate:g}."})
    prefix = job.stats_anomalies_base_directory.output_uri_prefix
    if prefix and not prefix.startswith("gs://"):
        path = "model_deployment_monitoring_job.stats_anomalies_base_directory.output_uri_prefix"
        raise invalid({path: f"{prefix!r} is no Cloud Storage URI."})
    seen: set[str] = set()
    for number, one in enumerate(job.model_deployment_monitoring_objective_configs):
        path = f"{_CONFIGS}[{number}]"
        if one.deployed_model_id not in deployed:
            told = f"The Endpoint has no DeployedModel with ID {one.deployed_model_id!r}."
            raise invalid({f"{path}.deployed_model_id": told})
        if one.deployed_model_id in seen:
            raise invalid({f"{path}.deployed_model_id": f"DeployedModel {one.deployed_model_id} is given twice."})
        seen.add(one.deployed_model_id)
        _check_objective(f"{path}.objective_config", one.objective_config)


def _check_objective(path: str, config: Message) -> None:
    skew, drift = config.training_prediction_skew_detection_config, config.prediction_drift_detection_config
    if config.explanation_config.enable_feature_attributes or config.explanation_config.HasField(
        "explanation_baseline"
    ):
        raise unimplemented(f"{path}.explanation_config: {_EXPLAIN}")
    if skew.attribution_score_skew_thresholds or drift.attribution_score_drift_thresholds:
        raise unimplemented(f"{path}: attribution score thresholds: {_EXPLAIN}")
    has_skew = config.HasField("training_prediction_skew_detection_config")
    if not has_skew and not config.HasField("prediction_drift_detection_config"):
        raise invalid({path: "Either skew or drift detection must be configured."})
    for name, thresholds in (("skew_thresholds", skew.skew_thresholds), ("drift_thresholds", drift.drift_thresholds)):
        for feature, threshold in thresholds.items():
            _check_threshold(f"{path}.{name}[{feature}]", threshold)
    for name, threshold in (
        ("default_skew_threshold", skew.default_skew_threshold),
        ("default_drift_threshold", drift.default_drift_threshold),
    ):
        if threshold.WhichOneof("threshold"):
            _check_threshold(f"{path}.{name}", threshold)
    if has_skew:
        _check_training(f"{path}.training_dataset", config.training_dataset)


def _check_threshold(path: str, threshold: Message) -> None:
    if not 0 < threshold.value <= 1:
        raise invalid({path: f"The threshold must be in (0, 1], not {threshold.value:g}."})


def _check_training(path: str, dataset: Message) -> None:
    source = dataset.WhichOneof("data_source")
    if source is None or (source == "gcs_source" and not dataset.gcs_source.uris):
        raise invalid({path: "A training dataset is required for training-prediction skew detection."})
    if source != "gcs_source":
        raise unimplemented(f"{path}.{source}: training data is read from Cloud Storage here.")
    wanted = dataset.data_format or "csv"
    if wanted not in _FORMATS:
        raise unimplemented(f"{path}.data_format: {wanted} is not read here; {' and '.join(_FORMATS)} are.")
    wrong = [uri for uri in dataset.gcs_source.uris if not uri.startswith("gs://")]
    if wrong:
        raise invalid({f"{path}.gcs_source.uris": f"{wrong[0]!r} is no Cloud Storage URI."})


def _objective(one: Mapping[str, Any]) -> Objective:
    config = one["objectiveConfig"]
    dataset = config.get("trainingDataset", {})
    strategy = dataset.get("loggingSamplingStrategy", {}).get("randomSampleConfig", {})
    return Objective(
        one["deployedModelId"],
        _thresholds(config.get("trainingPredictionSkewDetectionConfig"), "skewThresholds", "defaultSkewThreshold"),
        _thresholds(config.get("predictionDriftDetectionConfig"), "driftThresholds", "defaultDriftThreshold"),
        tuple(dataset.get("gcsSource", {}).get("uris", [])),
        dataset.get("dataFormat") or "csv",
        dataset.get("targetField", ""),
        strategy.get("sampleRate", 1.0),
    )


def _thresholds(config: Mapping[str, Any] | None, features: str, default: str) -> Thresholds | None:
    if config is None:
        return None
    own = {feature: float(one["value"]) for feature, one in config.get(features, {}).items()}
    return Thresholds(own, float(config.get(default, {}).get("value", DEFAULT_THRESHOLD)))


def _up(duration: Message, unit: int) -> int:
    return -(-int(duration.ToNanoseconds()) // (unit * 10**9)) * unit


def _seconds(text: str) -> timedelta:
    """A duration as JSON has it: "3600s"."""
    return timedelta(seconds=float(text.removesuffix("s")))
