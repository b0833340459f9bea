"""Pipelines in the control plane: KFP's compiled ones on the one engine, and the Kubeflow API over them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from mlparity.apis.kubeflow import experiments, run_states
from mlparity.apis.kubeflow.app import KubeflowApp
from mlparity.apis.kubeflow.context import API as KUBEFLOW
from mlparity.apis.kubeflow.context import Kubeflow
from mlparity.apis.kubeflow.schedules import RecurringRunTimer
from mlparity.apis.vertex.context import API as VERTEX
from mlparity.apis.vertex.pipeline_jobs_resource import PLACEHOLDERS as VERTEX_PLACEHOLDERS
from mlparity.pipeline_ir.pipeline_runs import PipelineRuns, Surroundings, handlers
from mlparity.state.document_search import DocumentSearch
from mlparity.state.documents import DocumentRepository

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlparity.engine.runs import StepHandler
    from mlparity.stack.config import ControlPlaneConfig
    from mlparity.stack.substrate import Substrate


class PipelinesPlane:
    """``app`` is the ASGI app of the Kubeflow Pipelines port; ``vertex`` are the pipelines of Vertex AI's API."""

    def __init__(self, config: ControlPlaneConfig, on: Substrate) -> None:
        self._config = config
        self._store = on.store
        around = Surroundings(on.store, on.metadata.of, on.runtimes, on.logs, on.clock, config.data_dir / "kubernetes")
        self.kubeflow = PipelineRuns(KUBEFLOW, on.runs, on.jobs, around)
        self.vertex = PipelineRuns(VERTEX, on.runs, on.jobs, around, placeholders=VERTEX_PLACEHOLDERS)
        self._api = Kubeflow(
            pipelines=self.kubeflow,
            jobs=on.jobs.repository,
            documents=DocumentRepository(on.database, on.clock, KUBEFLOW),
            search=DocumentSearch(on.database, KUBEFLOW),
            store=on.store,
            logs=on.logs,
            clock=on.clock,
            ids=on.ids,
            pipeline_root=f"s3://{config.pipelines_bucket}/v2/artifacts",
            wake_timers=on.timers.wake,
            after_commit=on.database.after_commit,
            metadata=on.metadata.of(KUBEFLOW),
        )
        on.timers.add(RecurringRunTimer(self._api))
        on.runs.listen(partial(run_states.on_run, self._api), lambda _run, _step, _before: None)
        self.app = KubeflowApp(self._api)

    def start(self) -> None:
        """Make the bucket and the default experiment. Called before the first request is taken."""
        self._store.ensure_bucket(self._config.pipelines_bucket)
        self._store.buckets.set_versioning(self._config.pipelines_bucket, "Enabled")
        experiments.ensure_default(self._api)


def pipeline_handlers(plane: Callable[[], PipelinesPlane]) -> Mapping[tuple[str, str], StepHandler]:
    """The meaning of a pipeline's steps, for the engine. ``plane`` is asked when the first step begins."""
    found = {
        KUBEFLOW: handlers(lambda: plane().kubeflow),
        VERTEX: handlers(lambda: plane().vertex),
    }
    return {(api, kind): handler for api, kinds in found.items() for kind, handler in kinds.items()}
