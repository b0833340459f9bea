"""The same image on ECS: a Fargate task definition, for RegisterTaskDefinition.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.errors import ScenarioError
from scenarios.mlflow_serving.names import NAME

_PING = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ping', timeout=2)"


def task_definition(image: str, role: str, region: str) -> dict[str, Any]:
    """One container with the contract's port and its ping as health check; the image brings the model."""
    container = {
        "name": "model",
        "image": image,
        "essential": True,
        "command": ["serve"],
        "portMappings": [{"containerPort": 8080, "protocol": "tcp"}],
        "healthCheck": {
            "command": ["CMD", "python", "-c", _PING],
            "interval": 30,
            "timeout": 5,
            "retries": 3,
            "startPeriod": 60,
        },
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {"awslogs-group": f"/ecs/{NAME}", "awslogs-region": region, "awslogs-stream-prefix": "model"},
        },
    }
    return {
        "family": NAME,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "1024",
        "memory": "2048",
        "executionRoleArn": role,
        "containerDefinitions": [container],
    }


def check(definition: Mapping[str, Any]) -> None:
    """Hold the definition against AWS's own model of the call. Raises ``ScenarioError``."""
    from botocore.session import Session
    from botocore.validate import ParamValidator

    shape = Session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    assert shape is not None  # the call has members
    report = ParamValidator().validate(dict(definition), shape)
    if report.has_errors():
        raise ScenarioError("the task definition is none", report.generate_report())
