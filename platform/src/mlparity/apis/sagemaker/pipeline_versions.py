"""Versions of pipelines: every definition that a pipeline has had, numbered from 1."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker.arns import name_of
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError, not_found
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest

KIND = "PipelineVersion"
_PAGE = 100


def _name(pipeline: str, version: int) -> str:
    return f"{pipeline}:{version:09d}"  # a pipeline's name has no colon; the digits sort


def keep(api: SageMaker, pipeline: str, version: int, definition: str) -> None:
    """Keep a definition as that version. One that a crash left behind is replaced: nothing refers to it."""
    body = {"PipelineVersionId": version, "PipelineDefinition": definition}
    try:
        api.documents.create(KIND, _name(pipeline, version), body)
    except ConflictError:
        api.documents.merge(KIND, _name(pipeline, version), body)


def find(api: SageMaker, pipeline: str, version: int) -> Document:
    """The version, or SageMaker's error for its absence."""
    try:
        return api.documents.get(KIND, _name(pipeline, version))
    except NotFoundError:
        arn = api.arns.pipeline(pipeline)
        raise not_found(f"Pipeline version {version} of pipeline '{arn}' does not exist.") from None


def shown(version: Document) -> dict[str, Any]:
    """The members of DescribePipeline that are the version's."""
    members = ("PipelineDefinition", "PipelineVersionDisplayName", "PipelineVersionDescription")
    return {name: version.body[name] for name in members if name in version.body}


def executed(api: SageMaker, pipeline: str, version: int, arn: str) -> None:
    """Remember the version's newest execution."""
    api.documents.merge(KIND, _name(pipeline, version), {"LastExecutionPipelineExecutionArn": arn})


def forget(api: SageMaker, pipeline: str) -> None:
    """Delete every version of a pipeline that is deleted."""
    wanted = DocumentFilter(name_prefix=f"{pipeline}:")
    while page := api.documents.list(KIND, wanted, PageRequest("name", descending=False, limit=_PAGE)).items:
        for version in page:
            api.documents.delete(KIND, version.name)


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListPipelineVersions."""
    name = _existing(api, request["PipelineName"])
    wanted = DocumentFilter(name_prefix=f"{name}:", **times(request))
    page = api.documents.list(
        KIND, wanted, page_request(request, {"Name": "name"}, default_sort="Name", default_order="Descending")
    )
    return with_token({"PipelineVersionSummaries": [_summary(api, name, item) for item in page.items]}, page)


def _summary(api: SageMaker, pipeline: str, version: Document) -> Response:
    members = {key: value for key, value in version.body.items() if key != "PipelineDefinition"}
    return {"PipelineArn": api.arns.pipeline(pipeline), "CreationTime": version.created_at, **members}


def update(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """UpdatePipelineVersion: its display name and description."""
    name = _existing(api, request["PipelineArn"])
    version = find(api, name, request["PipelineVersionId"])
    members = ("PipelineVersionDisplayName", "PipelineVersionDescription")
    api.documents.merge(KIND, version.name, {member: request[member] for member in members if member in request})
    return {"PipelineArn": api.arns.pipeline(name), "PipelineVersionId": request["PipelineVersionId"]}


def _existing(api: SageMaker, name_or_arn: str) -> str:
    name = name_of("pipeline", name_or_arn)
    try:
        find(api, name, 1)  # every pipeline has a first version
    except SageMakerError:
        raise not_found(f"Pipeline '{api.arns.pipeline(name)}' does not exist.") from None
    return name


OPERATIONS = (
    Operation("ListPipelineVersions", list_),
    Operation("UpdatePipelineVersion", update),
)
