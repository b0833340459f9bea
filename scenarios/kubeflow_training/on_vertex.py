"""The same compiled file on Vertex AI Pipelines, by the unmodified ``google-cloud-aiplatform``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform
from scenarios.kubeflow_training.finished import Artifact, Finished, Task


def run(platform: Platform, package: Path, name: str, parameters: Mapping[str, Any]) -> Finished:
    """Start a pipeline job and wait for its end."""
    place = platform.on_google
    aiplatform = place.init()
    job = aiplatform.PipelineJob(
        display_name=name,
        template_path=str(package),
        pipeline_root=f"gs://{place.bucket}/pipelines",
        parameter_values=dict(parameters),
    )
    begun = time.monotonic()
    job.submit(service_account=place.service_account or None)
    error = ""
    try:
        job.wait()
    except RuntimeError as failure:  # the SDK's word for a run that failed
        error = str(failure)
    seconds = time.monotonic() - begun
    tasks = [_task(detail) for detail in job.task_details]
    state = job.state.name.removeprefix("PIPELINE_STATE_")
    return Finished(job.name, state, seconds, tasks, job.resource_name, error)


def _task(detail: Any) -> Task:
    state = type(detail.state)(detail.state).name
    return Task(detail.task_name, state, _artifacts(detail.inputs), _artifacts(detail.outputs))


def _artifacts(values: Any) -> dict[str, Sequence[Artifact]]:
    return {
        name: [Artifact(item.name, item.uri, dict(item.metadata or {})) for item in listed.artifacts]
        for name, listed in values.items()
    }
