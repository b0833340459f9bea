"""Pipeline jobs as they are stored: their kind, their states, where their lineage goes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.names import location_of, project_number, project_of, region_of
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.engine.runs import RunStatus

BILLING_LABEL = "vertex-ai-pipelines-run-billing-id"  # the job's number, as the service sets it
PIPELINE_JOBS = ResourceKind("PipelineJob", "pipelineJobs")

# What pipelines may write in {{$.…}} beside KFP's own names: those of google_cloud_pipeline_components.placeholders.
PLACEHOLDERS = (
    "pipeline_google_cloud_project_id",
    "pipeline_google_cloud_location",
    "pipeline_service_account",
    "pipeline_network",
    "pipeline_encryption_key_name",
    "pipeline_persistent_resource_id",
)

_PREFIX = "PIPELINE_STATE_"
STATES: Mapping[RunStatus, str] = {
    RunStatus.EXECUTING: f"{_PREFIX}RUNNING",
    RunStatus.STOPPING: f"{_PREFIX}CANCELLING",
    RunStatus.STOPPED: f"{_PREFIX}CANCELLED",
    RunStatus.FAILED: f"{_PREFIX}FAILED",
    RunStatus.SUCCEEDED: f"{_PREFIX}SUCCEEDED",
}
PENDING = f"{_PREFIX}PENDING"
FINAL = frozenset(STATES[status] for status in RunStatus if status.is_final)


def metadata_store(name: str) -> str:
    """The name of the metadata store that a pipeline job's lineage goes to."""
    return f"{location_of(name)}/metadataStores/default"


def scope_of(name: str) -> str:
    """The same store's scope."""
    return f"vertex/{project_of(name)}/{region_of(name)}/default"


def number_of(vertex: Vertex, name: str) -> str:
    """The number of the project that a resource lies in."""
    project = project_of(name)
    return vertex.project.number if project == vertex.project.id else project_number(project)


def written(moment: datetime) -> str:
    """A time as the resource's JSON has it."""
    return moment.isoformat().replace("+00:00", "Z")
