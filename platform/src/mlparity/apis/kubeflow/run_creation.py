"""How a run begins: where its pipeline comes from, and what is stored with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlparity.apis.kubeflow import bodies, experiments, pipeline_versions, specs
from mlparity.apis.kubeflow.context import Kubeflow, Request
from mlparity.apis.kubeflow.errors import invalid, not_served, precondition
from mlparity.apis.kubeflow.listing import stored_time
from mlparity.apis.kubeflow.messages import write_time
from mlparity.apis.kubeflow.run_states import KIND, PENDING, entry
from mlparity.pipeline_ir.service import PipelineRequest
from mlparity.state.documents import Document

_SERVICE_ACCOUNT = "pipeline-runner"
_SUFFIX = 5  # characters that make a workflow's name its own
_LONGEST_STEM = 50


@dataclass(frozen=True)
class Source:
    """Where the pipeline comes from: a version (``version_id`` "": the newest at every start), or a spec."""

    pipeline_id: str
    version_id: str
    spec: specs.Spec | None

    def body(self) -> dict[str, Any]:
        """As stored with a run or a recurring run; the spec is stored apart."""
        return {"pipeline_id": self.pipeline_id, "pipeline_version_id": self.version_id, "own_spec": bool(self.spec)}

    def settled(self, api: Kubeflow) -> tuple[Source, specs.Spec]:
        """With the version that is meant now, and its spec. Raises ``KubeflowError``."""
        if self.spec is not None:
            return self, self.spec
        if not self.version_id:
            version = pipeline_versions.newest(api, self.pipeline_id)
        else:
            version = pipeline_versions.find(api, self.pipeline_id, self.version_id)
        settled = Source(str(version.body["pipeline_id"]), version.name, None)
        return settled, specs.kept(api, version.name)


@dataclass(frozen=True)
class Start:
    """A run to begin. ``run_id`` "" gets a new one."""

    display_name: str
    source: Source
    experiment_id: str
    parameters: Mapping[str, Any]
    pipeline_root: str = ""
    description: str = ""
    service_account: str = ""
    run_id: str = ""
    recurring_run_id: str = ""
    scheduled_at: datetime | None = None


def read_source(body: Request) -> Source:
    """What a request names: a version or a spec. Raises ``KubeflowError``."""
    reference: Mapping[str, Any] = body.get("pipeline_version_reference") or {}
    version_id = str(reference.get("pipeline_version_id", "") or body.get("pipeline_version_id", ""))
    pipeline_id = str(reference.get("pipeline_id", ""))
    struct = body.get("pipeline_spec")
    if struct and (pipeline_id or version_id):
        raise invalid("Please specify either a pipeline version or a pipeline spec, not both")
    if struct:
        return Source("", "", specs.read_struct(struct))
    if not pipeline_id and not version_id:
        raise invalid("Please specify a pipeline by providing a pipeline version reference or a pipeline spec")
    return Source(pipeline_id, version_id, None)


def experiment_of(api: Kubeflow, experiment_id: str) -> str:
    """The experiment's id, or the default one's. Raises ``KubeflowError`` where it is missing or archived."""
    if not experiment_id:
        return experiments.ensure_default(api).name
    found = bodies.get(api, experiments.KIND, experiment_id)
    if found.body["storage_state"] == experiments.ARCHIVED:
        raise precondition(f"experiment {experiment_id} is archived: unarchive it first")
    return found.name


def refuse_plugins(body: Request) -> None:
    """No plugin is installed here. Raises ``KubeflowError``."""
    if body.get("plugins_input"):
        raise not_served(f"plugins_input ({', '.join(body['plugins_input'])})")


def begin(api: Kubeflow, start: Start) -> Document:
    """Store the run and begin it; the run as it was made. Raises ``KubeflowError`` or ``InvalidRequestError``."""
    source, spec = start.source.settled(api)
    run_id = start.run_id or api.ids.uuid()
    now = stored_time(api.clock.now())
    body: dict[str, Any] = {
        "run_id": run_id,
        "display_name": start.display_name,
        "description": start.description,
        "experiment_id": start.experiment_id,
        "storage_state": experiments.AVAILABLE,
        "state": PENDING,
        "state_history": [entry(PENDING, now)],
        "created_at": now,
        "scheduled_at": stored_time(start.scheduled_at) if start.scheduled_at else now,
        "finished_at": "",
        "error": "",
        "service_account": start.service_account or _SERVICE_ACCOUNT,
        "recurring_run_id": start.recurring_run_id,
        "runtime_config": {"parameters": dict(start.parameters), "pipeline_root": start.pipeline_root},
        **source.body(),
    }
    with api.transaction():
        made = api.documents.create(KIND, run_id, body)
        specs.keep(api, run_id, spec)
        api.documents.merge(experiments.KIND, start.experiment_id, {"last_run_created_at": now})
        api.pipelines.submit(_request(api, start, run_id, spec))
    return made


def _request(api: Kubeflow, start: Start, run_id: str, spec: specs.Spec) -> PipelineRequest:
    default_root = spec.pipeline.get("defaultPipelineRoot", spec.pipeline.get("default_pipeline_root"))
    return PipelineRequest(
        id=run_id,
        name=start.display_name,
        pipeline_name=spec.name,
        spec=spec.pipeline,
        platform_spec=spec.platform,
        pipeline_root=start.pipeline_root or str(default_root or "") or api.pipeline_root,
        parameters=start.parameters,
        parent=start.experiment_id,
        resource_name=f"{spec.name[:_LONGEST_STEM]}-{api.ids.token(_SUFFIX)}",
        scheduled_at=write_time(start.scheduled_at) if start.scheduled_at else "",
        labels={"experiment_id": start.experiment_id},
        vendor={"experiment_id": start.experiment_id, "recurring_run_id": start.recurring_run_id},
    )
