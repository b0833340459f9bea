"""Models: create, describe, list, delete. What transform jobs (and later endpoints) serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker import hosted_containers, model_containers, roles, tags
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.step_outputs import step_outputs
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.wire.json_values import jsonable

KIND = "Model"
_SORT = {"Name": "name", "CreationTime": "created_at"}
_ECHOED = ("PrimaryContainer", "Containers", "InferenceExecutionConfig", "ExecutionRoleArn", "VpcConfig")
_RESOLVED = "_Resolved"  # the containers as they run; the package may be gone by then


def create(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreateModel."""
    return {"ModelArn": api.arns.of("model", make(api, request).name)}


def make(api: SageMaker, request: Request) -> Document:
    """Store the model that a validated request describes."""
    if request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct":
        raise not_served("InferenceExecutionConfig Mode Direct")
    resolved = [model_containers.resolve(api, container) for container in model_containers.given(request)]
    name, role = request["ModelName"], request.get("ExecutionRoleArn", "")
    if role:
        roles.require(api, role, api.arns.of("model", name))
    body = {member: request[member] for member in (*_ECHOED, "EnableNetworkIsolation") if member in request}
    try:
        with api.transaction():
            document = api.documents.create(KIND, name, jsonable({**body, _RESOLVED: resolved}))
            tags.set_on_create(api, api.arns.of("model", name), request)
    except ConflictError:
        raise validation(f'Cannot create already existing model "{api.arns.of("model", name)}".') from None
    api.hosting.expect([hosted_containers.hosted(api, container, role) for container in resolved])
    return document


def find(api: SageMaker, name: str) -> Document:
    """The model, or SageMaker's error for its absence."""
    try:
        return api.documents.get(KIND, name)
    except NotFoundError:
        raise validation(f'Could not find model "{api.arns.of("model", name)}".') from None


def containers(document: Document) -> Sequence[Mapping[str, Any]]:
    """The model's containers in the order of the pipeline: see ``model_containers.resolve``."""
    resolved: Sequence[Mapping[str, Any]] = document.body[_RESOLVED]
    return resolved


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeModel."""
    return render(api, find(api, request["ModelName"]))


def render(api: SageMaker, document: Document) -> Response:
    """A model as DescribeModel shows it."""
    body = document.body
    response: Response = {name: body[name] for name in _ECHOED if name in body}
    resolved = containers(document)
    if "PrimaryContainer" in body:
        response["PrimaryContainer"] = _shown(body["PrimaryContainer"], resolved[0])
    else:
        response["Containers"] = [_shown(*pair) for pair in zip(body["Containers"], resolved, strict=True)]
    return response | {
        "ModelName": document.name,
        "ModelArn": api.arns.of("model", document.name),
        "CreationTime": document.created_at,
        "EnableNetworkIsolation": body.get("EnableNetworkIsolation", False),
    }


def _shown(container: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """With the defaults that SageMaker fills in."""
    shown = {"Mode": "SingleModel", **container, "Environment": resolved["Environment"]}
    url = resolved.get("ModelDataUrl")
    if url and "ModelPackageName" not in container:
        source = {"S3Uri": url, "S3DataType": "S3Object", "CompressionType": "Gzip"}
        shown["ModelDataSource"] = {"S3DataSource": source}
    return shown


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListModels."""
    wanted = DocumentFilter(name_contains=request.get("NameContains"), **times(request))
    page = api.documents.list(
        KIND, wanted, page_request(request, _SORT, default_sort="CreationTime", default_order="Descending")
    )
    summaries = [
        {"ModelName": item.name, "ModelArn": api.arns.of("model", item.name), "CreationTime": item.created_at}
        for item in page.items
    ]
    return with_token({"Models": summaries}, page)


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteModel: forgets the model; its artifacts stay."""
    name = find(api, request["ModelName"]).name
    with api.transaction():
        api.documents.delete(KIND, name)
        api.tags.remove(api.arns.of("model", name))
    return {}


def outputs(api: SageMaker, document: Document) -> dict[str, Any]:
    """What pipeline steps may refer to: the Describe response."""
    return step_outputs(render(api, document))


OPERATIONS = (
    Operation("CreateModel", create, "no multi-model containers and no direct invocation of a pipeline's containers"),
    Operation("DescribeModel", describe),
    Operation("ListModels", list_),
    Operation("DeleteModel", delete),
)
