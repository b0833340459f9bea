"""Data quality and model quality job definitions: create, describe, list, delete. They are values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mlparity.apis.sagemaker import monitoring_plans, tags
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import in_use
from mlparity.apis.sagemaker.listing import page_request, times
from mlparity.apis.sagemaker.monitoring_capture import check_source
from mlparity.apis.sagemaker.monitoring_listing import matching
from mlparity.apis.sagemaker.monitoring_plans import DATA, DEFINITION_KIND, MODEL, absent, definition_arn
from mlparity.apis.sagemaker.operation import Handler, Operation
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.wire.json_values import jsonable

_PARTIAL = "in File mode; batch transform's data for data quality alone"
_NO_ENDPOINT = ("jobDefinitionSummaries.*.member.endpointName",)  # of a definition over batch transform
_SORT = {"Name": "name", "CreationTime": "created_at"}


def create(kind: str, api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreateDataQualityJobDefinition, CreateModelQualityJobDefinition."""
    plan = monitoring_plans.of_definition(kind, request)
    check_source(api, plan)
    name = request["JobDefinitionName"]
    body = {member: value for member, value in request.items() if member != "Tags"}
    try:
        with api.transaction():
            api.documents.create(DEFINITION_KIND[kind], name, jsonable(body))
            tags.set_on_create(api, definition_arn(api, kind, name), request)
    except ConflictError:
        arn = definition_arn(api, kind, name)
        raise in_use(f"Job Definition {arn} already exists: its name must be unique in an account and region") from None
    return {"JobDefinitionArn": definition_arn(api, kind, name)}


def describe(kind: str, api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeDataQualityJobDefinition, DescribeModelQualityJobDefinition."""
    document = _find(api, kind, request["JobDefinitionName"])
    return {
        **document.body,
        "JobDefinitionArn": definition_arn(api, kind, document.name),
        "CreationTime": document.created_at,
    }


def list_(kind: str, api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListDataQualityJobDefinitions, ListModelQualityJobDefinitions."""
    page = page_request(request, _SORT, default_sort="CreationTime", default_order="Descending")
    wanted = DocumentFilter(name_contains=request.get("NameContains"), **times(request))

    def fits(document: Document) -> bool:
        return request.get("EndpointName") in {None, _endpoint(kind, document)}

    found, token = matching(api, DEFINITION_KIND[kind], wanted, page, fits)
    response: Response = {"JobDefinitionSummaries": [_summary(api, kind, document) for document in found]}
    return response | ({"NextToken": token} if token else {})


def _summary(api: SageMaker, kind: str, document: Document) -> Response:
    found: Response = {
        "MonitoringJobDefinitionName": document.name,
        "MonitoringJobDefinitionArn": definition_arn(api, kind, document.name),
        "CreationTime": document.created_at,
    }
    endpoint = _endpoint(kind, document)
    return found | ({"EndpointName": endpoint} if endpoint else {})


def delete(kind: str, api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteDataQualityJobDefinition, DeleteModelQualityJobDefinition."""
    document = _find(api, kind, request["JobDefinitionName"])
    with api.transaction():
        api.documents.delete(DEFINITION_KIND[kind], document.name)
        api.tags.remove(definition_arn(api, kind, document.name))
    return {}


def _endpoint(kind: str, document: Document) -> Any:
    return document.body[f"{kind}JobInput"].get("EndpointInput", {}).get("EndpointName", "")


def _find(api: SageMaker, kind: str, name: str) -> Document:
    try:
        return api.documents.get(DEFINITION_KIND[kind], name)
    except NotFoundError:
        raise absent(api, kind, name) from None


def _of(kind: str, handler: Callable[..., Response]) -> Handler:
    return partial(handler, kind)


OPERATIONS = tuple(
    operation
    for kind in (DATA, MODEL)
    for operation in (
        Operation(
            f"Create{kind}JobDefinition",
            _of(kind, create),
            _PARTIAL,
        ),
        Operation(f"Describe{kind}JobDefinition", _of(kind, describe)),
        Operation(f"List{kind}JobDefinitions", _of(kind, list_), omits=_NO_ENDPOINT),
        Operation(f"Delete{kind}JobDefinition", _of(kind, delete)),
    )
)
