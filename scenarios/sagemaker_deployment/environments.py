"""The three environments, as their YAML files say; checked before anything is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlparity.errors import ConfigurationError

ORDER = ("dev", "preprod", "prod")
VARIANT = "AllTraffic"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rollout(_Frozen):
    """How a new version takes over."""

    strategy: Literal["ALL_AT_ONCE", "CANARY", "LINEAR"]
    step_percent: Annotated[int, Field(ge=5, le=50)] | None = None
    bake_seconds: Annotated[int, Field(ge=0, le=3600)] = 0

    @model_validator(mode="after")
    def _step(self) -> Self:
        if (self.strategy == "ALL_AT_ONCE") != (self.step_percent is None):
            raise ValueError("step_percent belongs to CANARY and LINEAR, which need it")
        return self


class Smoke(_Frozen):
    """What a deployed version must show before it is called deployed."""

    latency_p95_ms: Annotated[float, Field(gt=0)]
    golden_tolerance: Annotated[float, Field(ge=0)] = 0.001  # minutes


class Capture(_Frozen):
    """Which requests are kept for the monitor."""

    percentage: Annotated[int, Field(ge=1, le=100)]


class Alarm(_Frozen):
    """A guard of the rollout, on one of the endpoint's metrics."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    metric: Literal["Invocation5XXErrors", "Invocation4XXErrors", "ModelLatency"]
    statistic: Literal["Sum", "Average", "Maximum"]
    threshold: float
    period_seconds: Literal[10, 30, 60]


class Environment(_Frozen):
    """One stage of the way to production."""

    name: Literal["dev", "preprod", "prod"]
    instance_type: Annotated[str, Field(pattern=r"^ml\.[a-z0-9]+\.[a-z0-9]+$")]
    instances: Annotated[int, Field(ge=1, le=4)]
    rollout: Rollout
    smoke: Smoke
    capture: Capture | None = None
    alarms: tuple[Alarm, ...] = ()

    @property
    def endpoint(self) -> str:
        """Its endpoint's name."""
        return f"flights-delay-{self.name}"

    def alarm_name(self, alarm: Alarm) -> str:
        """The CloudWatch alarm's name."""
        return f"{self.endpoint}-{alarm.name}"

    def deployment_config(self) -> dict[str, Any]:
        """UpdateEndpoint's ``DeploymentConfig``."""
        rollout = self.rollout
        routing: dict[str, Any] = {"Type": rollout.strategy, "WaitIntervalInSeconds": rollout.bake_seconds}
        size = {"Type": "CAPACITY_PERCENT", "Value": rollout.step_percent}
        if rollout.strategy == "CANARY":
            routing["CanarySize"] = size
        elif rollout.strategy == "LINEAR":
            routing["LinearStepSize"] = size
        config: dict[str, Any] = {
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 0}
        }
        if self.alarms:
            names = [{"AlarmName": self.alarm_name(alarm)} for alarm in self.alarms]
            config["AutoRollbackConfiguration"] = {"Alarms": names}
        return config


def environments(folder: Path) -> list[Environment]:
    """dev, preprod, prod. Raises ``ConfigurationError`` naming the file and the member that is wrong."""
    return [_read(folder / f"{name}.yaml", name) for name in ORDER]


def _read(path: Path, name: str) -> Environment:
    try:
        found = Environment.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path.name} cannot be read", str(error), "every environment has a file") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path.name} is not an environment", f"{where}: {first['msg']}") from None
    if found.name != name:
        raise ConfigurationError(f"{path.name} is not an environment", f"name: it says {found.name}")
    return found
