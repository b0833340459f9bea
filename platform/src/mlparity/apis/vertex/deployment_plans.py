"""From a deployed model's resources to workers: what is asked for, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict

from mlparity.apis.vertex import machine_types
from mlparity.apis.vertex.errors import invalid, invalid_argument, unimplemented
from mlparity.apis.vertex.serving_containers import Place, container
from mlparity.serving.endpoints.plans import VariantPlan
from mlparity.wire.google.descriptors import Message

_STARTUP_SECONDS = 600  # until the model server answers, where the model says nothing
_INVOCATION_SECONDS = 60.0


def check_resources(deployed: Message) -> None:
    """Raises ``GoogleError`` where the resources are none that a model with a container can be deployed with."""
    kind = deployed.WhichOneof("prediction_resources")
    if kind is None:
        raise invalid({"deployed_model.prediction_resources": "Required field is not set."})
    if kind == "automatic_resources":
        raise invalid_argument(f"'automatic_resources' is not supported for Model {deployed.model}.")
    if kind == "shared_resources":
        raise unimplemented(
            "deployed_model.shared_resources is not supported by mlparity. See `mlparity parity vertex`."
        )
    resources = deployed.dedicated_resources
    path = "deployed_model.dedicated_resources"
    _check_machine(resources.machine_spec, f"{path}.machine_spec")
    if resources.min_replica_count < 1:
        raise invalid({f"{path}.min_replica_count": "The value must be greater than or equal to 1."})
    if 0 < resources.max_replica_count < resources.min_replica_count:
        raise invalid({f"{path}.max_replica_count": "The value must be greater than or equal to min_replica_count."})
    if not resources.max_replica_count:
        resources.max_replica_count = resources.min_replica_count


def _check_machine(machine: Message, path: str) -> None:
    machine.machine_type = machine.machine_type or machine_types.DEFAULT_FOR_DEPLOYMENT
    if told := machine_types.wrong(machine.machine_type, machine_types.PREDICTION):
        raise invalid({f"{path}.machine_type": told})
    machine_types.refuse_accelerators(MessageToDict(machine), path)


def replicas(deployed: Message) -> int:
    """The workers of a deployed model."""
    return int(deployed.dedicated_resources.min_replica_count)


def variant(model: Mapping[str, Any], deployed: Message, place: Place, seconds: float) -> VariantPlan:
    """What the substrate runs for a deployed model; ``model`` is JSON of ``Model``.

    ``seconds`` is how long a request may take; 0: as long as Vertex lets it.
    """
    labels = {
        "deployedModelId": deployed.id,
        "model": deployed.model,
        "modelDisplayName": model["displayName"],
        "modelVersionId": deployed.model_version_id,
    }
    timeout = model["containerSpec"].get("deploymentTimeout", "")
    return VariantPlan(
        name=deployed.id,
        containers=(container(model, place),),
        instances=replicas(deployed),
        weight=0.0,
        startup_seconds=int(float(timeout.removesuffix("s"))) if timeout else _STARTUP_SECONDS,
        invocation_seconds=seconds or _INVOCATION_SECONDS,
        labels=labels,
    )
