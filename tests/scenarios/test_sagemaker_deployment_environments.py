"""The environments of the scenario sagemaker_deployment: what their files may say, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlparity.errors import ConfigurationError
from scenarios.sagemaker_deployment import environments as module
from scenarios.sagemaker_deployment.environments import ORDER, Environment, environments

SHIPPED = Path(module.__file__).parent / "environments"


def test_the_shipped_ones_are_three_and_prod_is_guarded() -> None:
    found = environments(SHIPPED)
    assert [one.name for one in found] == list(ORDER)
    prod = found[-1]
    assert prod.capture is not None
    assert prod.deployment_config() == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": prod.rollout.bake_seconds,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20},
            },
            "TerminationWaitInSeconds": 0,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "flights-delay-prod-errors"}]},
    }


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"instances": 0}, "instances: Input should be greater than or equal to 1"),
        ({"instance_type": "m5.large"}, "instance_type: String should match pattern"),
        ({"rollout": {"strategy": "CANARY"}}, "rollout: Value error, step_percent belongs to CANARY and LINEAR"),
        ({"rollout": {"strategy": "ALL_AT_ONCE", "step_percent": 10}}, "rollout: Value error"),
        ({"name": "preprod"}, "name: it says preprod"),
        ({"colour": "blue"}, "colour: Extra inputs are not permitted"),
        ({"smoke": {}}, "smoke.latency_p95_ms: Field required"),
    ],
)
def test_a_wrong_file_is_named_with_its_wrong_member(tmp_path: Path, change: dict[str, Any], where: str) -> None:
    for name in ORDER:
        document = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text("utf-8"))
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(document | (change if name == "dev" else {})), "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        environments(tmp_path)
    assert refused.value.what.startswith("dev.yaml")
    assert refused.value.why.startswith(where)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"dev\.yaml cannot be read"):
        environments(tmp_path)


def test_an_environment_without_alarms_asks_for_no_rollback() -> None:
    dev = Environment.model_validate(yaml.safe_load((SHIPPED / "dev.yaml").read_text("utf-8")))
    assert "AutoRollbackConfiguration" not in dev.deployment_config()
