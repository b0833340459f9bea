"""Pipelines: create, update, describe, list, delete."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker import idempotency, pipeline_versions, tags
from mlparity.apis.sagemaker.arns import name_of
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.definition.reader import parse
from mlparity.apis.sagemaker.errors import SageMakerError, conflict, not_found, not_served, validation
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import ConflictError, NotFoundError, StorageError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest

KIND = "Pipeline"
RUN_KIND = "PipelineExecution"
_SORT = {"Name": "name", "CreationTime": "created_at"}


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreatePipeline."""
    token = f"{request['PipelineName']}:{request['ClientRequestToken']}"
    return idempotency.once(api, "CreatePipeline", token, lambda: _create(api, request, caller))


def _create(api: SageMaker, request: Request, caller: Caller) -> Response:
    name = request["PipelineName"]
    definition = definition_text(api, request)
    if _exists(api, name):
        raise _taken(name)
    body = {
        "PipelineVersionId": 1,
        "PipelineDisplayName": request.get("PipelineDisplayName", name),
        "RoleArn": request["RoleArn"],
        "CreatedBy": caller.user_context(),
        "LastModifiedBy": caller.user_context(),
    }
    for member in ("PipelineDescription", "ParallelismConfiguration"):
        if member in request:
            body[member] = request[member]
    pipeline_versions.keep(api, name, 1, definition)
    try:
        api.documents.create(KIND, name, body)
    except ConflictError:
        raise _taken(name) from None
    tags.set_on_create(api, api.arns.pipeline(name), request)
    return {"PipelineArn": api.arns.pipeline(name)}


def _exists(api: SageMaker, name: str) -> bool:
    try:
        api.documents.get(KIND, name)
    except NotFoundError:
        return False
    return True


def _taken(name: str) -> SageMakerError:
    # The SDK's upsert reads this sentence.
    return validation(
        f"Pipeline names must be unique within an AWS account and region. Pipeline with name ({name}) already exists."
    )


def definition_text(api: SageMaker, request: Request) -> str:
    """The definition given inline or in S3, checked. Raises ``ValidationException``."""
    inline, location = request.get("PipelineDefinition"), request.get("PipelineDefinitionS3Location")
    if (inline is None) == (location is None):
        raise validation("Exactly one of PipelineDefinition and PipelineDefinitionS3Location must be provided")
    text = _from_s3(api, location) if location is not None else str(inline)
    parse(text)
    return text


def _from_s3(api: SageMaker, location: dict[str, str]) -> str:
    if "VersionId" in location:
        raise not_served("PipelineDefinitionS3Location.VersionId")
    try:
        return api.store.get_bytes(location["Bucket"], location["ObjectKey"]).decode("utf-8")
    except (StorageError, UnicodeDecodeError) as error:
        raise validation(f"Unable to read the pipeline definition from S3: {error}") from None


def find(api: SageMaker, name_or_arn: str) -> Document:
    """The pipeline, or SageMaker's error for its absence."""
    name = name_of("pipeline", name_or_arn)
    try:
        return api.documents.get(KIND, name)
    except NotFoundError:
        raise not_found(f"Pipeline '{api.arns.pipeline(name)}' does not exist.") from None


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdatePipeline."""
    pipeline = find(api, request["PipelineName"])
    members = ("PipelineDisplayName", "PipelineDescription", "RoleArn", "ParallelismConfiguration")
    changes: dict[str, Any] = {name: request[name] for name in members if name in request}
    version: int = pipeline.body["PipelineVersionId"]
    if "PipelineDefinition" in request or "PipelineDefinitionS3Location" in request:
        version += 1
        pipeline_versions.keep(api, pipeline.name, version, definition_text(api, request))
        changes["PipelineVersionId"] = version
    changes["LastModifiedBy"] = caller.user_context()
    api.documents.merge(KIND, pipeline.name, changes)
    return {"PipelineArn": api.arns.pipeline(pipeline.name), "PipelineVersionId": version}


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribePipeline."""
    pipeline = find(api, request["PipelineName"])
    version = request.get("PipelineVersionId", pipeline.body["PipelineVersionId"])
    members = {key: value for key, value in pipeline.body.items() if key != "PipelineVersionId"}
    response: Response = {
        "PipelineArn": api.arns.pipeline(pipeline.name),
        "PipelineName": pipeline.name,
        "PipelineStatus": "Active",
        "CreationTime": pipeline.created_at,
        "LastModifiedTime": pipeline.modified_at,
        **members,
        **pipeline_versions.shown(pipeline_versions.find(api, pipeline.name, version)),
    }
    if last := _last_execution(api, pipeline.name):
        response["LastRunTime"] = last.created_at
    return response


def _last_execution(api: SageMaker, name: str) -> Any:
    page = PageRequest("created_at", descending=True, limit=1)
    found = api.runs.repository.list(API, RUN_KIND, name, page).items
    return found[0] if found else None


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListPipelines."""
    wanted = DocumentFilter(name_prefix=request.get("PipelineNamePrefix"), **times(request))
    page = api.documents.list(
        KIND, wanted, page_request(request, _SORT, default_sort="CreationTime", default_order="Descending")
    )
    return with_token({"PipelineSummaries": [_summary(api, item) for item in page.items]}, page)


def _summary(api: SageMaker, pipeline: Document) -> Response:
    summary: Response = {
        "PipelineArn": api.arns.pipeline(pipeline.name),
        "PipelineName": pipeline.name,
        "PipelineDisplayName": pipeline.body["PipelineDisplayName"],
        "RoleArn": pipeline.body["RoleArn"],
        "CreationTime": pipeline.created_at,
        "LastModifiedTime": pipeline.modified_at,
    }
    if "PipelineDescription" in pipeline.body:
        summary["PipelineDescription"] = pipeline.body["PipelineDescription"]
    if last := _last_execution(api, pipeline.name):
        summary["LastExecutionTime"] = last.created_at
    return summary


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeletePipeline: refused while an execution runs."""
    pipeline = find(api, request["PipelineName"])
    running = [run for run in api.runs.repository.active() if run.api == API and run.parent == pipeline.name]
    if running:
        raise conflict(
            f"Pipeline {api.arns.pipeline(pipeline.name)} cannot be deleted while execution {running[0].id} is running"
        )
    api.documents.delete(KIND, pipeline.name)
    pipeline_versions.forget(api, pipeline.name)
    api.tags.remove(api.arns.pipeline(pipeline.name))
    return {"PipelineArn": api.arns.pipeline(pipeline.name)}


OPERATIONS = (
    Operation(
        "CreatePipeline",
        create,
        "steps: Processing, Training, Condition, Fail, RegisterModel, Callback, Lambda; the others are refused by name",
    ),
    Operation("UpdatePipeline", update, "as CreatePipeline"),
    Operation("DescribePipeline", describe),
    Operation("ListPipelines", list_),
    Operation("DeletePipeline", delete),
    *pipeline_versions.OPERATIONS,
)
