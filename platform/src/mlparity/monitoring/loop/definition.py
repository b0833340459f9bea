"""What a loop is told: when to retrain, how, what a new model must show, who approves it, and how it is rolled out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlparity.errors import InvalidRequestError

_PLACEHOLDER = re.compile(r"\{([a-z_.]+)\}")
# What a template may name; see ``facts_for_templates`` of the service.
NAMES = frozenset(
    {
        "loop", "endpoint", "cycle", "day", "hour", "month", "trigger", "resource",
        "champion.package", "champion.model_data",
    }
)  # fmt: skip
_DAY = 86400
_SEE = "see the examples in the READMEs of scenarios/sagemaker_deployment and scenarios/vertex_deployment"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _known(template: str) -> str:
    unknown = sorted(set(_PLACEHOLDER.findall(template)) - NAMES)
    if unknown:
        raise ValueError(f"{{{unknown[0]}}} is not known; there are {', '.join(sorted(NAMES))}")
    return template


class Trigger(_Frozen):
    """What starts a cycle: a CloudWatch alarm, a Vertex monitoring job's anomaly, or any event of a pattern.

    ``pattern`` is EventBridge's, on every cloud.
    """

    alarm: Annotated[str, Field(max_length=255)] = ""
    monitoring_job: Annotated[str, Field(max_length=255)] = ""  # resource name or id
    pattern: dict[str, Any] = {}

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(map(bool, (self.alarm, self.monitoring_job, self.pattern))) != 1:
            raise ValueError("give one of alarm, monitoring_job and pattern")
        return self

    def event_pattern(self) -> dict[str, Any]:
        """The EventBridge pattern that events are matched with."""
        if self.pattern:
            return self.pattern
        if self.monitoring_job:
            name = self.monitoring_job
            job = name if "/" in name else {"suffix": f"/modelDeploymentMonitoringJobs/{name}"}
            return {
                "source": ["google.aiplatform"],
                "detail-type": ["Model Monitoring Anomaly"],
                "detail": {"monitoringJob": [job]},
            }
        return {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {"alarmName": [self.alarm], "state": {"value": ["ALARM"]}},
        }


class Retrain(_Frozen):
    """Which pipeline makes a new model, and how often at most."""

    # SageMaker: a pipeline's name. Vertex: the gs:// URI of a compiled pipeline.
    pipeline: Annotated[str, Field(min_length=1, max_length=1024)]
    pipeline_root: Annotated[str, Field(max_length=1024)] = ""  # Vertex: where its artifacts go
    parameters: dict[str, str] = {}  # values may hold {placeholders}
    cool_down_seconds: Annotated[int, Field(ge=0)] = 3600  # between the starts of two retrainings
    daily_cap: Annotated[int, Field(ge=1)] = 2  # retrainings in one UTC day
    # Triggers with the same key start one retraining within ``dedupe_seconds``.
    dedupe_key: Annotated[str, Field(max_length=200)] = "{trigger}/{day}"
    dedupe_seconds: Annotated[int, Field(ge=0)] = _DAY
    timeout_seconds: Annotated[int, Field(ge=1)] = _DAY

    @model_validator(mode="after")
    def _templates(self) -> Self:
        for template in (self.dedupe_key, *self.parameters.values()):
            _known(template)
        return self


class Gate(_Frozen):
    """What a new model must show. Paths are of the evaluation report that the model package points to."""

    metric: Annotated[str, Field(min_length=1)]  # "regression_metrics.mse.value"
    better: Literal["lower", "higher"] = "lower"
    threshold: float  # at least this good
    # The champion's number on the same data, in the candidate's report; else the champion's own report is read.
    champion_metric: str = ""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.0  # better than the champion by this fraction


class Approval(_Frozen):
    """Who decides on a model that has passed the gate."""

    mode: Literal["person", "automatic"] = "person"
    timeout_seconds: Annotated[int, Field(ge=1)] = 7 * _DAY


class Rollout(_Frozen):
    """How the approved model reaches the endpoint.

    ``deployment`` is the vendor's own: SageMaker's ``DeploymentConfig``; on Vertex, which has none, a canary ladder.
    """

    deployment: dict[str, Any] = {}
    timeout_seconds: Annotated[int, Field(ge=1)] = _DAY


class LoopDefinition(_Frozen):
    """A loop around one endpoint and one group of model versions."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9]){0,39}$")]
    vendor: Literal["sagemaker", "vertex"] = "sagemaker"
    endpoint: Annotated[str, Field(min_length=1, max_length=255)]  # Vertex: resource name or id
    model_group: Annotated[str, Field(min_length=1, max_length=255)]  # Vertex: the model's resource name or id
    trigger: Trigger
    retrain: Retrain
    gate: Gate
    approval: Approval = Approval()
    rollout: Rollout = Rollout()

    @model_validator(mode="after")
    def _of_vendor(self) -> Self:
        wrong = self.trigger.alarm if self.vendor == "vertex" else self.trigger.monitoring_job
        if wrong:
            raise ValueError(f"the trigger {wrong!r} is none of {self.vendor}'s")
        if self.retrain.pipeline_root and self.vendor != "vertex":
            raise ValueError("retrain.pipeline_root is for vertex")
        return self

    @classmethod
    def read(cls, document: Any) -> LoopDefinition:
        """From what a YAML or JSON file holds. Raises ``InvalidRequestError`` naming the wrong members."""
        if not isinstance(document, dict):
            raise InvalidRequestError(
                "the loop cannot be like that", "the file holds no mapping of names to values", _SEE,
            )  # fmt: skip
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]
            raise InvalidRequestError(
                "the loop cannot be like that",
                "; ".join(wrong),
                _SEE,
            ) from None


def filled(template: str, facts: Mapping[str, str]) -> str:
    """``template`` with its placeholders replaced; a fact that is not there is empty."""
    return _PLACEHOLDER.sub(lambda found: facts.get(found[1], ""), template)
