"""The compiled file on a Kubeflow Pipelines endpoint, by the unmodified ``kfp.Client``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform
from scenarios.kubeflow_training.finished import Artifact, Finished, Task
from scenarios.kubeflow_training.settings import EXPERIMENT, PIPELINE

_LIMIT_SECONDS = 3600


def upload(platform: Platform, package: Path) -> tuple[str, str]:
    """The ids of the pipeline and of a new version of it, made of ``package``."""
    client = platform.on_pipelines.client()
    version = f"v{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1_000_000:06d}"
    known = client.get_pipeline_id(PIPELINE)
    if known is None:
        made = client.upload_pipeline(str(package), PIPELINE, description="two models, the better is kept")
        return str(made.pipeline_id), str(
            client.list_pipeline_versions(made.pipeline_id, page_size=1).pipeline_versions[0].pipeline_version_id
        )
    made = client.upload_pipeline_version(str(package), version, pipeline_id=known)
    return str(known), str(made.pipeline_version_id)


def run(platform: Platform, ids: tuple[str, str], name: str, parameters: Mapping[str, Any]) -> Finished:
    """Start a run of the version and wait for its end."""
    place = platform.on_pipelines
    client = place.client()
    experiment = client.create_experiment(EXPERIMENT)
    begun = time.monotonic()
    started = client.run_pipeline(
        experiment_id=experiment.experiment_id,
        job_name=name,
        pipeline_id=ids[0],
        version_id=ids[1],
        params=dict(parameters),
        **({"pipeline_root": place.root} if place.root else {}),
    )
    ended = client.wait_for_run_completion(started.run_id, timeout=_LIMIT_SECONDS, sleep_duration=1)
    seconds = time.monotonic() - begun
    details = ended.run_details.task_details if ended.run_details else []
    error = "; ".join(f"{item.display_name}: {item.error.message}" for item in details if item.error)
    page = f"{place.host}/#/runs/details/{ended.run_id}"
    return Finished(ended.run_id, ended.state, seconds, [_task(item) for item in details], page, error)


def _task(detail: Any) -> Task:
    return Task(detail.display_name, detail.state, _artifacts(detail.inputs), _artifacts(detail.outputs))


def _artifacts(values: Any) -> dict[str, Sequence[Artifact]]:
    return {name: [Artifact(str(each)) for each in item.artifact_ids or []] for name, item in (values or {}).items()}
