"""Models behind endpoints: deployed, undeployed, mutated, while the others serve on.

A deployment is an operation that ends when its workers answer, or have failed: then nothing of it is left.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/deployModel
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlparity.apis.vertex import model_store, traffic
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.deployment_plans import check_resources, replicas, variant
from mlparity.apis.vertex.endpoints import ENDPOINTS, busy, reshape
from mlparity.apis.vertex.errors import failed_precondition, invalid, invalid_argument
from mlparity.apis.vertex.names import id_of, new_id, region_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.operations import StoredOperation
from mlparity.apis.vertex.resources import Stored
from mlparity.apis.vertex.runtime.paths import API, endpoint_name
from mlparity.apis.vertex.serving_containers import place
from mlparity.errors import StackError, StateError
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase
from mlparity.serving.endpoints.errors import EndpointBusyError
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.field_mask import merge

_ID = re.compile(r"[0-9]{1,10}")
_COUNTS = ("min_replica_count", "max_replica_count", "required_replica_count", "autoscaling_metric_specs")
_MUTABLE = {f"dedicated_resources.{name}" for name in _COUNTS}
_MUTABLE |= {"disable_container_logging", "enable_container_logging"}
_DEPLOY, _UNDEPLOY, _MUTATE = "deploy", "undeploy", "mutate"


def deploy(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeployModel."""
    deployed = request.deployed_model
    check_resources(deployed)
    with vertex.transaction():
        stored = ENDPOINTS.load(vertex, call.api, request.endpoint)
        endpoint = stored.message
        known = [one.id for one in endpoint.deployed_models]
        deployed.id = _new_id(vertex, deployed.id, known)
        record, version = model_store.resolve(vertex, deployed.model)
        model = model_store.get(vertex, f"{record.name}@{version}")
        deployed.model, deployed.model_version_id = record.name, version
        deployed.display_name = deployed.display_name or model["displayName"]
        deployed.create_time.FromDatetime(vertex.clock.now())
        asked = dict(request.traffic_split)
        traffic.check_split(asked, [*known, traffic.NEW])
        split = {deployed.id if name == traffic.NEW else name: percent for name, percent in asked.items()}
        split = split or dict(endpoint.traffic_split)
        machine = deployed.dedicated_resources.machine_spec.machine_type
        seconds = endpoint.client_connection_config.inference_timeout.ToTimedelta().total_seconds()
        plan = variant(model, deployed, place(vertex.project, endpoint.name, deployed.id, machine), seconds)
        serving = vertex.hosting.find(region_of(endpoint.name), id_of(endpoint.name))
        capture = traffic.logged(endpoint, vertex.hosting.logging_bucket)
        reshape(vertex, endpoint.name, traffic.revision(serving, split, capture, add=plan))
        told = {"deploymentStage": "STARTING_MODEL_SERVER"}
        operation = vertex.operations.start(call, endpoint.name, told)
        pending = {"kind": _DEPLOY, "deployed": model_store.as_json(call.api, deployed), "split": split}
        _note(vertex, call, stored, operation, pending)
        model_store.note_deployed(vertex, record.name, version, endpoint.name, deployed.id)
    return operation.message(call.api)


def undeploy(vertex: Vertex, request: Message, call: Call) -> Message:
    """UndeployModel: of a model without traffic, or of the last one."""
    going = request.deployed_model_id
    with vertex.transaction():
        stored = ENDPOINTS.load(vertex, call.api, request.endpoint)
        endpoint = stored.message
        _find(endpoint, going)
        left = [one.id for one in endpoint.deployed_models if one.id != going]
        asked = dict(request.traffic_split)
        traffic.check_split(asked, [*left, going])
        split = (asked or dict(endpoint.traffic_split)) if left else {}
        if split.pop(going, 0):
            raise failed_precondition(
                f"DeployedModel {going} of Endpoint `{endpoint.name}` has traffic assigned to it and cannot be "
                "undeployed. Assign its traffic to other DeployedModels first, or by this request's traffic_split."
            )
        serving = vertex.hosting.find(region_of(endpoint.name), id_of(endpoint.name))
        capture = traffic.logged(endpoint, vertex.hosting.logging_bucket)
        reshape(vertex, endpoint.name, traffic.revision(serving, split, capture, remove=going))
        operation = vertex.operations.start(call, endpoint.name)
        _note(vertex, call, stored, operation, {"kind": _UNDEPLOY, "id": going, "split": split})
    return operation.message(call.api)


def mutate(vertex: Vertex, request: Message, call: Call) -> Message:
    """MutateDeployedModel: replica counts and what scales them."""
    paths = list(request.update_mask.paths)
    wrong = [path for path in paths if path not in _MUTABLE]
    if wrong or not paths:
        told = f"Only these fields can be mutated: {', '.join(sorted(_MUTABLE))}."
        raise invalid({"update_mask": told})
    with vertex.transaction():
        stored = ENDPOINTS.load(vertex, call.api, request.endpoint)
        deployed = _find(stored.message, request.deployed_model.id)
        before = replicas(deployed)
        merge(deployed, request.deployed_model, paths)
        check_resources(deployed)
        after = model_store.as_json(call.api, deployed)
        if replicas(deployed) == before:
            ENDPOINTS.save(vertex, call.api, stored.message)
            answer = call.new(call.method.operation_response, deployed_model=deployed)
            return vertex.operations.done(call, request.endpoint, answer)
        name = endpoint_name(region_of(request.endpoint), id_of(request.endpoint))
        try:
            vertex.hosting.endpoints.set_weights_and_capacities(API, name, {deployed.id: (None, replicas(deployed))})
        except EndpointBusyError as error:
            raise busy(request.endpoint) from error
        operation = vertex.operations.start(call, request.endpoint)
        fresh = ENDPOINTS.load(vertex, call.api, request.endpoint)
        _note(vertex, call, fresh, operation, {"kind": _MUTATE, "deployed": after})
    return operation.message(call.api)


def on_endpoint(vertex: Vertex, now: Endpoint, before: Endpoint | None) -> None:
    """For ``Endpoints.listen(..., within=True)``: an operation ends with what the substrate has come to."""
    if now.api != API or before is None or now.phase is not EndpointPhase.IN_SERVICE or not before.phase.is_busy:
        return
    try:
        api = vertex.apis.get("v1")
    except StackError as error:  # after an update of the package they take a while: the endpoints try again then
        raise StateError(f"endpoint {now.name} cannot be told of yet", "Vertex's types are not ready") from error
    stored = ENDPOINTS.load(vertex, api, now.request["name"])
    pending = stored.private.get("pending")
    if pending is None:
        return
    endpoint = stored.message
    if now.failure_reason:
        _failed(vertex, endpoint.name, pending, now.failure_reason)
    else:
        _succeeded(vertex, api, endpoint, pending)
    ENDPOINTS.save(vertex, api, endpoint, {})


def _succeeded(vertex: Vertex, api: Any, endpoint: Message, pending: Mapping[str, Any]) -> None:
    answer: dict[str, Any] = {}
    if pending["kind"] == _DEPLOY:
        _add(api, endpoint, pending["deployed"])
        answer = {"deployedModel": pending["deployed"]}
        vertex.operations.tell(pending["operation"], {"deploymentStage": "SUCCESSFULLY_DEPLOYED"})
    elif pending["kind"] == _UNDEPLOY:
        gone = _find(endpoint, pending["id"])
        model_store.note_undeployed(vertex, gone.model, endpoint.name, gone.id)
        endpoint.deployed_models.remove(gone)
    else:
        (place_of,) = [
            number for number, one in enumerate(endpoint.deployed_models) if one.id == pending["deployed"]["id"]
        ]
        del endpoint.deployed_models[place_of]
        _add(api, endpoint, pending["deployed"])
        answer = {"deployedModel": pending["deployed"]}
    if "split" in pending:
        endpoint.traffic_split.clear()
        endpoint.traffic_split.update(pending["split"])
    vertex.operations.finish(pending["operation"], answer)


def _failed(vertex: Vertex, endpoint: str, pending: Mapping[str, Any], reason: str) -> None:
    if pending["kind"] == _DEPLOY:
        deployed = pending["deployed"]
        model_store.note_undeployed(vertex, deployed["model"], endpoint, deployed["id"])
        vertex.operations.tell(pending["operation"], {"deploymentStage": "FAILED_TO_DEPLOY"})
    # The substrate names the variant first, which is the deployed model's id.
    told = re.sub(r"^variant [0-9]+: ", "", reason)
    vertex.operations.fail(pending["operation"], failed_precondition(told))


def _add(api: Any, endpoint: Message, deployed: Mapping[str, Any]) -> None:
    from google.protobuf.json_format import ParseDict

    made = ParseDict(deployed, api.new("DeployedModel"), ignore_unknown_fields=True, descriptor_pool=api.pool)
    endpoint.deployed_models.append(made)


def _note(vertex: Vertex, call: Call, stored: Stored, operation: StoredOperation, pending: Mapping[str, Any]) -> None:
    private = {**stored.private, "pending": {**pending, "operation": operation.name}}
    ENDPOINTS.save(vertex, call.api, stored.message, private)


def _new_id(vertex: Vertex, asked: str, known: list[str]) -> str:
    if asked and not _ID.fullmatch(asked):
        raise invalid({"deployed_model.id": f"Invalid DeployedModel ID {asked!r}: 1 to 10 digits."})
    if asked in known:
        raise invalid_argument(f"DeployedModel ID {asked} is already used in the Endpoint.")
    return asked or new_id(vertex.ids)


def _find(endpoint: Message, deployed_model_id: str) -> Message:
    for one in endpoint.deployed_models:
        if one.id == deployed_model_id:
            return one
    told = f"Endpoint `{endpoint.name}` has no DeployedModel with ID {deployed_model_id}."
    raise invalid({"deployed_model_id": told})


_SCALING = "a deployed model has min_replica_count workers of this machine: it does not scale by metrics"
OPERATIONS = (
    Operation("EndpointService.DeployModel", deploy, f"dedicated resources; {_SCALING}"),
    Operation("EndpointService.UndeployModel", undeploy),
    Operation("EndpointService.MutateDeployedModel", mutate, _SCALING),
)
