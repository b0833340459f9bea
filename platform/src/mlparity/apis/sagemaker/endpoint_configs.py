"""Endpoint configurations: create, describe, list, delete. They are values: an endpoint keeps what it was given."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker import endpoint_config_checks, models, tags
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import validation
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.wire.json_values import jsonable

KIND = "EndpointConfig"
_SORT = {"Name": "name", "CreationTime": "created_at"}
_SOURCE = "aws.sagemaker"
_ECHOED = (
    "ProductionVariants",
    "ShadowProductionVariants",
    "DataCaptureConfig",
    "AsyncInferenceConfig",
    "KmsKeyId",
    "ExecutionRoleArn",
    "VpcConfig",
    "EnableNetworkIsolation",
)


def arn(api: SageMaker, name: str) -> str:
    """Of an endpoint configuration."""
    return api.arns.of("endpoint-config", name)


def create(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreateEndpointConfig."""
    endpoint_config_checks.check(request)
    for variant in (*request["ProductionVariants"], *request.get("ShadowProductionVariants", ())):
        models.find(api, variant["ModelName"])
    name = request["EndpointConfigName"]
    try:
        with api.transaction():
            document = api.documents.create(KIND, name, jsonable(_completed(request)))
            tags.set_on_create(api, arn(api, name), request)
            _tell(api, document)
    except ConflictError:
        raise validation(f'Cannot create already existing endpoint configuration "{arn(api, name)}".') from None
    return {"EndpointConfigArn": arn(api, name)}


def _completed(request: Request) -> dict[str, Any]:
    """What is kept, with the defaults that SageMaker fills in."""
    body = {member: request[member] for member in _ECHOED if member in request}
    for member in ("ProductionVariants", "ShadowProductionVariants"):
        if member in body:
            body[member] = [{"InitialVariantWeight": 1.0, **variant} for variant in body[member]]
    if "DataCaptureConfig" in body:
        body["DataCaptureConfig"] = {"EnableCapture": True, **body["DataCaptureConfig"]}
    return {"EnableNetworkIsolation": False, **body}


def find(api: SageMaker, name: str) -> Document:
    """The configuration, or SageMaker's error for its absence."""
    try:
        return api.documents.get(KIND, name)
    except NotFoundError:
        raise validation(f'Could not find endpoint configuration "{arn(api, name)}".') from None


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeEndpointConfig."""
    return render(api, find(api, request["EndpointConfigName"]))


def render(api: SageMaker, document: Document) -> Response:
    """A configuration as DescribeEndpointConfig shows it."""
    return {
        **document.body,
        "EndpointConfigName": document.name,
        "EndpointConfigArn": arn(api, document.name),
        "CreationTime": document.created_at,
    }


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListEndpointConfigs."""
    wanted = DocumentFilter(name_contains=request.get("NameContains"), **times(request))
    page = api.documents.list(
        KIND, wanted, page_request(request, _SORT, default_sort="CreationTime", default_order="Descending")
    )
    summaries = [
        {"EndpointConfigName": item.name, "EndpointConfigArn": arn(api, item.name), "CreationTime": item.created_at}
        for item in page.items
    ]
    return with_token({"EndpointConfigs": summaries}, page)


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteEndpointConfig. SageMaker does not hold it back where an endpoint uses the configuration."""
    document = find(api, request["EndpointConfigName"])
    with api.transaction():
        api.documents.delete(KIND, document.name)
        api.tags.remove(arn(api, document.name))
        _tell(api, document)
    return {}


def _tell(api: SageMaker, document: Document) -> None:
    """``SageMaker Endpoint Config State Change``: it was made or deleted."""
    detail = {
        "EndpointConfigName": document.name,
        "EndpointConfigArn": arn(api, document.name),
        "CreationTime": int(document.created_at.timestamp() * 1000),
    }
    api.events.publish(_SOURCE, "SageMaker Endpoint Config State Change", detail, [arn(api, document.name)])


OPERATIONS = (
    Operation(
        "CreateEndpointConfig",
        create,
        "models on instances, shadow variants, data capture and asynchronous inference; no serverless variants, "
        "inference components, explainers, managed instance scaling, instance pools or accelerators",
    ),
    Operation("DescribeEndpointConfig", describe),
    Operation("ListEndpointConfigs", list_),
    Operation("DeleteEndpointConfig", delete),
)
