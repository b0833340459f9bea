"""A model's container as the substrate runs it: image, routes, and the AIP_* variables.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements#aip-variables
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.vertex.context import Project
from mlparity.apis.vertex.errors import unimplemented
from mlparity.apis.vertex.names import project_number, project_of
from mlparity.serving import vertex as contract
from mlparity.serving.endpoints.plans import ModelContainer

_PORT = 8080
_REFERENCE = re.compile(r"\$\$\(|\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_PREBUILT = {"sklearn-cpu": contract.SKLEARN, "xgboost-cpu": contract.XGBOOST}
_IMAGE = re.compile(r"(?:[a-z]+-docker\.pkg\.dev/vertex-ai|gcr\.io/cloud-aiplatform)/prediction/([a-z-]+)\.")
_REFUSED = ("invokeRoutePrefix", "grpcPorts", "startupProbe", "healthProbe", "livenessProbe")
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a container serves: "" where that says nothing (batch prediction)."""

    endpoint_id: str
    deployed_model_id: str
    machine_type: str
    project_number: str


def framework_of(image: str) -> str:
    """What a prebuilt prediction image serves ("SCIKIT_LEARN", "XGBOOST"); "" for any other image."""
    found = _IMAGE.match(image)
    return _PREBUILT.get(found[1], "") if found else ""


def require_supported(spec: Json) -> None:
    """Raises ``GoogleError`` UNIMPLEMENTED naming what of a ``ModelContainerSpec`` cannot be done here."""
    for field in _REFUSED:
        if spec.get(field):
            raise unimplemented(
                f"model.container_spec.{field} is not supported by mlparity. See `mlparity parity vertex`."
            )


def container(model: Json, place: Place) -> ModelContainer:
    """The container of a model (JSON of ``Model``) at a place."""
    spec = model["containerSpec"]
    image, port = spec["imageUri"], _port(spec)
    default = f"/v1/endpoints/{place.endpoint_id}/deployedModels/{place.deployed_model_id}"
    health, predict = spec.get("healthRoute") or default, spec.get("predictRoute") or f"{default}:predict"
    uri = model.get("artifactUri", "")
    variables = {
        contract.HTTP_PORT: str(port),
        contract.HEALTH_ROUTE: health,
        contract.PREDICT_ROUTE: predict,
        contract.FRAMEWORK: framework_of(image) or "CUSTOM_CONTAINER",
        "AIP_STORAGE_URI": uri.rstrip("/"),
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_PROJECT_NUMBER": place.project_number,
        "AIP_ENDPOINT_ID": place.endpoint_id,
        "AIP_DEPLOYED_MODEL_ID": place.deployed_model_id,
        "AIP_MACHINE_TYPE": place.machine_type,
        "AIP_MODEL_NAME": place.endpoint_id,
        "AIP_VERSION_NAME": place.deployed_model_id,
    }
    environment = _environment(variables, spec.get("env", ()))
    return ModelContainer(
        image=image,
        model_uri=f"{uri.rstrip('/')}/" if uri else "",
        packed=False,
        environment=environment,
        contract="vertex",
        command=tuple(_expanded(text, environment) for text in spec.get("command", ())),
        arguments=tuple(_expanded(text, environment) for text in spec.get("args", ())),
        port=port,
        health_route=health,
        predict_route=predict,
    )


def place(project: Project, endpoint: str, deployed_model_id: str, machine_type: str) -> Place:
    """Behind an endpoint, by its resource name."""
    return Place(endpoint.rpartition("/")[2], deployed_model_id, machine_type, number_of(project, endpoint))


def number_of(project: Project, name: str) -> str:
    """The number of a resource's project; ``project`` is the one that is served by default."""
    owner = project_of(name)
    return project.number if owner == project.id else project_number(owner)


def _port(spec: Json) -> int:
    ports: Sequence[Json] = spec.get("ports", ())
    return int(ports[0].get("containerPort", _PORT)) if ports else _PORT


def _environment(variables: Mapping[str, str], own: Sequence[Json]) -> dict[str, str]:
    """Later entries may refer to earlier ones."""
    values = {name: value for name, value in variables.items() if value}
    for entry in own:
        values[entry["name"]] = _expanded(entry.get("value", ""), values)
    return values


def _expanded(text: str, values: Mapping[str, str]) -> str:
    """$(NAME) replaced where the name is known; $$(NAME) is the text $(NAME)."""
    return _REFERENCE.sub(lambda found: "$(" if found[1] is None else values.get(found[1], found[0]), text)
