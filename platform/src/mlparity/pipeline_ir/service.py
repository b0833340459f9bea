"""Pipelines as both APIs start and watch them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlparity.engine.runs import Run
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskDetail

RUN_KIND = "pipeline"  # of every root run, in ``runs.kind``


@dataclass(frozen=True)
class PipelineRequest:
    """A run to start.

    ``id`` is the run's (a UUID for KFP, the pipeline job's id for Vertex; unique in the data folder). ``spec`` is the
    PipelineSpec as JSON, as compiled, and ``platform_spec`` the PlatformSpec. ``parameters`` are plain JSON values.
    ``vendor`` is kept whole as ``run.request["vendor"]``.
    """

    id: str
    name: str  # the run's display name
    pipeline_name: str
    spec: Mapping[str, Any]
    pipeline_root: str  # "s3://bucket/v2/artifacts" or "gs://bucket/folder"
    platform_spec: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    input_artifacts: Mapping[str, Sequence[ArtifactValue]] = field(default_factory=dict)
    parent: str = ""  # what the API lists its runs by: an experiment, a location
    metadata_scope: str = "kubeflow"  # the metadata store that lineage goes to: "vertex/PROJECT/LOCATION/default"
    # Programs see an artifact as this and its id, as on Vertex ("projects/…/artifacts/"); "": by its output's name.
    artifact_names: str = ""
    resource_name: str = ""  # {{$.pipeline_job_resource_name}}; "": the run's name
    scheduled_at: str = ""  # RFC 3339: {{$.pipeline_job_schedule_time_utc}}; "": when it was created
    fail_slow: bool = False  # after a failure, branches that do not depend on it go on
    caching: bool | None = None  # None: as each task says
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)  # of every container, beside its own
    # Further placeholders, as ``PipelineRuns`` was told of them: "pipeline_google_cloud_location" -> its value.
    placeholders: Mapping[str, str] = field(default_factory=dict)
    role: str = ""  # whose credentials the containers get, in the vendor's own naming
    vendor: Mapping[str, Any] = field(default_factory=dict)


class Pipelines(Protocol):
    """What an API needs of ``pipeline_runs.PipelineRuns``."""

    def check(
        self, spec: Mapping[str, Any], platform_spec: Mapping[str, Any] | None, parameters: Mapping[str, Any]
    ) -> None:
        """Raise ``InvalidPipelineError`` or ``UnsupportedPipelineError`` where ``submit`` would for these."""
        ...

    def submit(self, request: PipelineRequest) -> Run:
        """Check, store and begin a run. An id that exists already gives that run."""
        ...

    def stop(self, run_id: str) -> Run:
        """Cancel: what runs is stopped, nothing new begins. Raises ``NotFoundError``."""
        ...

    def retry(self, run_id: str) -> Run:
        """Go on with a failed or cancelled run: what succeeded stays. Raises ``ConflictError`` for any other."""
        ...

    def tasks(self, root_run_id: str) -> Sequence[TaskDetail]:
        """The run's tasks, parents before children, the root first. Raises ``NotFoundError``."""
        ...

    def delete(self, root_run_id: str) -> None:
        """Forget a run that has ended, with all that is inside. Raises ``NotFoundError`` and ``ConflictError``."""
        ...
