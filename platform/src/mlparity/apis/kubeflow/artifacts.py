"""Artifacts, and what used and made them: the ArtifactService of KFP's newer servers, to read, over the metadata store.

The installed ``kfp_server_api`` does not know it; routes and members follow backend/api/v2beta1/artifact.proto of
kubeflow/pipelines. Names of artifacts are the programs' own; metrics are in ``metadata``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlparity.apis.kubeflow import listing
from mlparity.apis.kubeflow.context import Kubeflow, Request, Response
from mlparity.apis.kubeflow.errors import invalid, not_found
from mlparity.apis.kubeflow.messages import write_time
from mlparity.apis.kubeflow.operation import Operation
from mlparity.errors import InvalidRequestError, NotFoundError
from mlparity.metadata import Family, ListRequest, Node
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskDetail

_TYPES = {
    "system.Model": "Model",
    "system.Dataset": "Dataset",
    "system.HTML": "HTML",
    "system.Markdown": "Markdown",
    "system.Metrics": "Metric",
    "system.ClassificationMetrics": "ClassificationMetric",
    "system.SlicedClassificationMetrics": "SlicedClassificationMetric",
}
_SCHEMAS = {name: title for title, name in _TYPES.items()} | {"Artifact": "system.Artifact"}
_FIELDS = {
    "name": "display_name",
    "display_name": "display_name",
    "type": "schema_title",
    "uri": "uri",
    "created_at": "create_time",
}
_COMPARISONS = {
    "EQUALS": "=",
    "NOT_EQUALS": "!=",
    "GREATER_THAN": ">",
    "GREATER_THAN_EQUALS": ">=",
    "LESS_THAN": "<",
    "LESS_THAN_EQUALS": "<=",
}
INPUT, GIVEN, OUTPUT = "TASK_OUTPUT_INPUT", "COMPONENT_INPUT", "OUTPUT"


def get(api: Kubeflow, request: Request) -> Response:
    """GetArtifact."""
    try:
        return show(api.metadata.artifacts.get(request["artifact_id"]))
    except NotFoundError:
        raise not_found("Artifact", request["artifact_id"]) from None


def list_all(api: Kubeflow, request: Request) -> Response:
    """ListArtifacts: filtered and sorted by name, type, URI and creation time; ``total_size`` is not told."""
    wanted = ListRequest(
        " AND ".join(_terms(str(request.get("filter", "")))),
        _order(str(request.get("sort_by", ""))),
        listing.page_size(request.get("page_size", 0)),
        str(request.get("page_token", "")),
    )
    try:
        page = api.metadata.artifacts.list(wanted)
    except InvalidRequestError as error:
        raise invalid(". ".join(error.lines())) from None
    return {"artifacts": [show(node) for node in page.items], "next_page_token": page.next_token or ""}


def list_tasks(api: Kubeflow, request: Request) -> Response:
    """ListArtifactTasks: which task used or made which artifact, of the runs, tasks and artifacts that are named."""
    artifact_ids, runs = request.get("artifact_ids", []), [*request.get("run_ids", [])]
    if not runs and not artifact_ids:
        raise invalid("run_ids or artifact_ids must be given")
    links = [
        link
        for run_id in runs or _runs_of(api, artifact_ids)
        for link in links_of(_tasks(api, run_id))
        if (not artifact_ids or link["artifact_id"] in artifact_ids)
        and (not request.get("task_ids") or link["task_id"] in request["task_ids"])
        and request.get("type", link["type"]) == link["type"]
    ]
    return {"artifact_tasks": links, "total_size": len(links), "next_page_token": ""}


def links_of(tasks: Sequence[TaskDetail]) -> Iterator[dict[str, Any]]:
    """Every input and output artifact of every task that runs something."""
    makers = {item.id: task for task in tasks for key, item in _items(task.outputs.artifacts)}
    for task in tasks:
        for key, item in _items(task.inputs.artifacts):
            maker = makers.get(item.id)
            beside = maker is not None and maker.parent_id == task.parent_id
            yield _link(task, key, item, INPUT if beside else GIVEN, maker)
        for key, item in _items(task.outputs.artifacts):
            yield _link(task, key, item, OUTPUT, task)


def show(node: Node) -> Response:
    """As the API shows it."""
    return {
        "artifact_id": node.id,
        "name": node.display_name,
        "description": node.description,
        "type": _TYPES.get(node.schema_title, "Artifact"),
        "uri": node.uri,
        "metadata": dict(node.metadata),
        "created_at": write_time(node.created_at),
    }


def _items(artifacts: Mapping[str, Sequence[ArtifactValue]]) -> Iterator[tuple[str, ArtifactValue]]:
    return ((key, item) for key, items in artifacts.items() for item in items if item.id)


def _link(task: TaskDetail, key: str, item: ArtifactValue, kind: str, maker: TaskDetail | None) -> dict[str, Any]:
    producer: dict[str, Any] = {"task_name": maker.name} if maker is not None else {}
    if maker is not None and maker.iteration >= 0:
        producer["iteration"] = str(maker.iteration)
    return {
        "id": f"{task.id}:{kind}:{key}:{item.id}",
        "artifact_id": item.id,
        "run_id": task.run_id,
        "task_id": task.id,
        "type": kind,
        "producer": producer or None,
        "key": key,
    }


def _tasks(api: Kubeflow, run_id: str) -> Sequence[TaskDetail]:
    try:
        return api.pipelines.tasks(run_id)
    except NotFoundError:
        raise not_found("Run", run_id) from None


def _runs_of(api: Kubeflow, artifact_ids: Sequence[str]) -> list[str]:
    """The runs that used or made one of the artifacts: their contexts have the runs' ids."""
    try:
        found = api.metadata.contexts_of(Family.ARTIFACT, artifact_ids)
    except NotFoundError as error:
        raise not_found("Artifact", ", ".join(artifact_ids)) from error
    contexts = api.metadata.contexts.get_all([name for names in found.values() for name in names])
    return [name for name, node in contexts.items() if node.schema_title == "system.PipelineRun"]


def _terms(text: str) -> Iterator[str]:
    """A filter's predicates in the metadata store's own filter language."""
    for predicate in listing.predicates(text):
        field = _FIELDS.get(predicate.key)
        if field is None:
            raise invalid(f'no support for filtering on unrecognized field "{predicate.key}"')
        values = [str(item) for item in (predicate.value if isinstance(predicate.value, list) else [predicate.value])]
        if field == "schema_title":
            values = [_SCHEMAS.get(value, value) for value in values]
        if predicate.operation == "IS_SUBSTRING":
            yield f"{field}={_quoted(f'*{values[0]}*')}"
        elif predicate.operation == "IN":
            yield "(" + " OR ".join(f"{field}={_quoted(value)}" for value in values) + ")"
        else:
            yield f"{field}{_COMPARISONS[predicate.operation]}{_quoted(values[0])}"


def _order(sort_by: str) -> str:
    words = sort_by.lower().split()
    if not words:
        return ""
    if words[0] not in _FIELDS or words[1:] not in ([], ["asc"], ["desc"]):
        raise invalid(f'Invalid sorting field: "{sort_by}" on listable type Artifact')
    return " ".join([_FIELDS[words[0]], *(["desc"] if words[1:] == ["desc"] else [])])


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


OPERATIONS = (
    Operation("ArtifactService.GetArtifact", get, "Failed to get artifact"),
    Operation("ArtifactService.ListArtifacts", list_all, "Failed to list artifacts", "total_size is not told"),
    Operation("ArtifactService.ListArtifactTasks", list_tasks, "Failed to list artifact tasks", "one page with all"),
)
