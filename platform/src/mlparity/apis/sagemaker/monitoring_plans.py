"""What a monitoring schedule runs: the one form of inline job definitions and of those with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.errors import not_found, not_served, validation
from mlparity.errors import NotFoundError

DATA, MODEL = "DataQuality", "ModelQuality"
DEFINITION_KIND = {DATA: "DataQualityJobDefinition", MODEL: "ModelQualityJobDefinition"}
_ANALYSES = {"ModelBias", "ModelExplainability"}


@dataclass(frozen=True)
class MonitoringPlan:
    """A definition with its members in one place; each as the vendor's model has it."""

    kind: str  # DATA or MODEL
    definition: str | None  # its name; None: it stands in the schedule itself
    application: Mapping[str, Any]  # ImageUri, ContainerEntrypoint, ..., ProblemType, Environment
    baseline: Mapping[str, Any]
    source: Mapping[str, Any]  # EndpointInput or BatchTransformInput
    ground_truth: str | None  # URI
    output: Mapping[str, Any]  # S3Uri, LocalPath, S3UploadMode
    output_key: str | None
    cluster: Mapping[str, Any]
    network: Mapping[str, Any] | None
    stopping: Mapping[str, Any] | None
    role: str

    @property
    def endpoint(self) -> str:
        """Whose data is looked at; "" where it is that of batch transform jobs."""
        name: str = self.source.get("EndpointName", "")
        return name


def of_definition(kind: str, request: Mapping[str, Any]) -> MonitoringPlan:
    """The plan of a CreateDataQualityJobDefinition or CreateModelQualityJobDefinition request."""
    job_input = request[f"{kind}JobInput"]
    outputs = request[f"{kind}JobOutputConfig"]
    return MonitoringPlan(
        kind,
        request["JobDefinitionName"],
        request[f"{kind}AppSpecification"],
        request.get(f"{kind}BaselineConfig") or {},
        _source(job_input, kind),
        (job_input.get("GroundTruthS3Input") or {}).get("S3Uri"),
        outputs["MonitoringOutputs"][0]["S3Output"],
        outputs.get("KmsKeyId"),
        request["JobResources"]["ClusterConfig"],
        request.get("NetworkConfig"),
        request.get("StoppingCondition"),
        request["RoleArn"],
    )


def _inline(definition: Mapping[str, Any], kind: str) -> MonitoringPlan:
    if kind != DATA:
        raise validation(f"MonitoringType {kind} needs a MonitoringJobDefinitionName")
    outputs = definition["MonitoringOutputConfig"]
    return MonitoringPlan(
        kind,
        None,
        {**definition["MonitoringAppSpecification"], "Environment": definition.get("Environment") or {}},
        definition.get("BaselineConfig") or {},
        _source(definition["MonitoringInputs"][0], kind),
        None,
        outputs["MonitoringOutputs"][0]["S3Output"],
        outputs.get("KmsKeyId"),
        definition["MonitoringResources"]["ClusterConfig"],
        definition.get("NetworkConfig"),
        definition.get("StoppingCondition"),
        definition["RoleArn"],
    )


def of_schedule(api: SageMaker, config: Mapping[str, Any]) -> MonitoringPlan:
    """The plan of a MonitoringScheduleConfig. Raises SageMaker's errors."""
    inline, name = config.get("MonitoringJobDefinition"), config.get("MonitoringJobDefinitionName")
    if (inline is None) == (name is None):
        raise validation("Exactly one of MonitoringJobDefinition and MonitoringJobDefinitionName must be specified")
    kind = config.get("MonitoringType", DATA if inline else None)
    if kind is None:
        raise validation("MonitoringType is required with a MonitoringJobDefinitionName")
    if kind in _ANALYSES:
        raise not_served(f"MonitoringType {kind}")
    if inline is not None:
        return _inline(inline, kind)
    try:
        return of_definition(kind, api.documents.get(DEFINITION_KIND[kind], str(name)).body)
    except NotFoundError:
        raise absent(api, kind, str(name)) from None


def absent(api: SageMaker, kind: str, name: str) -> Exception:
    """SageMaker's error for a definition that does not exist."""
    return not_found(f"Job Definition {definition_arn(api, kind, name)} does not exist")


def definition_arn(api: SageMaker, kind: str, name: str) -> str:
    """Of a job definition."""
    part = {DATA: "data-quality-job-definition", MODEL: "model-quality-job-definition"}[kind]
    return api.arns.of(part, name)


def _source(job_input: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Refuse by name what would change the analysis if it were dropped."""
    given = [name for name in ("EndpointInput", "BatchTransformInput") if name in job_input]
    if len(given) != 1:
        raise validation("Exactly one of EndpointInput and BatchTransformInput must be specified")
    name, found = given[0], job_input[given[0]]
    if name == "BatchTransformInput" and kind != DATA:
        raise not_served(f"BatchTransformInput of MonitoringType {kind}")
    for member, served in (("S3InputMode", "File"), ("S3DataDistributionType", "FullyReplicated")):
        if found.get(member, served) != served:
            raise not_served(f"{name}.{member} {found[member]}")
    if "FeaturesAttribute" in found:
        raise not_served(f"{name}.FeaturesAttribute")
    if not found["LocalPath"].startswith("/opt/ml/processing/"):
        raise validation(f"{name}.LocalPath {found['LocalPath']!r} must lie under /opt/ml/processing/")
    source: Mapping[str, Any] = found
    return source
