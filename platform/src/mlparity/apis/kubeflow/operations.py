"""The operation table: what is served, by what. Router, coverage table and tests read it.

``REFUSED`` are operations of the vendor's API that answer its error, with the reason. ``EXTRA`` are routes that the
installed client's OpenAPI document does not have: the vendor's server has them for its UI, or newer servers do.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlparity.apis.kubeflow import artifacts, experiments, pipeline_versions, pipelines, recurring_runs, runs
from mlparity.apis.kubeflow.context import Kubeflow, Request, Response
from mlparity.apis.kubeflow.operation import Operation
from mlparity.apis.kubeflow.server_api import Route


def _health(_api: Kubeflow, _request: Request) -> Response:
    """GetHealthz."""
    return {"multi_user": False, "pipeline_store": "database"}


def _authorized(_api: Kubeflow, _request: Request) -> Response:
    """Authorize: as the vendor's server in single-user mode, everybody may."""
    return {}


def _read(name: str, path: str, query: Mapping[str, str] | None = None) -> Route:
    return Route(name, "GET", path, query or {}, "", "", "object")


OPERATIONS: tuple[Operation, ...] = (
    Operation("HealthzService.GetHealthz", _health, "Failed to get healthz"),
    Operation("AuthService.Authorize", _authorized, "Failed to authorize"),
    *pipelines.OPERATIONS,
    *pipeline_versions.OPERATIONS,
    *experiments.OPERATIONS,
    *runs.OPERATIONS,
    *recurring_runs.OPERATIONS,
    *artifacts.OPERATIONS,
)

# Uploads come as forms and are dispatched by the app, to ``pipelines.upload`` and ``pipeline_versions.upload``.
UPLOADS: Mapping[str, str] = {
    "PipelineUploadService.UploadPipeline": "Failed to create a pipeline and a pipeline version",
    "PipelineUploadService.UploadPipelineVersion": "Failed to create a pipeline version",
}

REFUSED: Mapping[str, str] = {
    "ReportService.ReportWorkflow": "no Argo workflows run here that a persistence agent could report",
    "ReportService.ReportScheduledWorkflow": "no Kubernetes resources are behind recurring runs",
    "VisualizationService.CreateVisualizationV1": "no visualization server",
    "DummyFilterService.GetFilter": "a place-holder of the OpenAPI document, which no server implements",
}

_PAGED = {"namespace": "str", "page_token": "str", "page_size": "int", "sort_by": "str", "filter": "str"}
_NAMED = {"task_ids": "list[str]", "run_ids": "list[str]", "artifact_ids": "list[str]", "type": "str"}

EXTRA: tuple[Route, ...] = (
    _read("ReadArtifact", "/apis/v2beta1/runs/{run_id}/nodes/{node_id}/artifacts/{artifact_name}:read"),
    _read("ReadRunLog", "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"),
    _read("ArtifactService.ListArtifacts", "/apis/v2beta1/artifacts", _PAGED),
    _read("ArtifactService.GetArtifact", "/apis/v2beta1/artifacts/{artifact_id}"),
    _read("ArtifactService.ListArtifactTasks", "/apis/v2beta1/artifact_tasks", _PAGED | _NAMED),
)

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}
