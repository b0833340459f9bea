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
    names = _display_names(job.to_dict()["pipelineSpec"])
    tasks = [_task(detail, names) for detail in job.task_details]
    state = job.state.name.removeprefix("PIPELINE_STATE_")
    return Finished(job.name, state, seconds, tasks, job.resource_name, error)


def _display_names(spec: Mapping[str, Any]) -> dict[str, str]:
    """The names that the pipeline shows, by the tasks' keys: Vertex tells tasks by their keys."""
    dags = [part["dag"] for part in (spec["root"], *spec["components"].values()) if "dag" in part]
    return {key: task["taskInfo"]["name"] for dag in dags for key, task in dag["tasks"].items()}


def _task(detail: Any, names: Mapping[str, str]) -> Task:
    state = type(detail.state)(detail.state).name
    name = names.get(detail.task_name, detail.task_name)
    return Task(name, state, _artifacts(detail.inputs), _artifacts(detail.outputs))


def _artifacts(values: Any) -> dict[str, Sequence[Artifact]]:
    return {
        name: [Artifact(item.name, item.uri, dict(item.metadata or {})) for item in listed.artifacts]
        for name, listed in values.items()
    }
