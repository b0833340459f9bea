"""Custom jobs, and what waits for them, follow the engine's jobs and tunings."""

from __future__ import annotations

from functools import partial

from mlparity.apis.vertex import custom_jobs, training_pipelines, tuning_jobs
from mlparity.apis.vertex.context import Vertex
from mlparity.engine.jobs import Job


def listen(vertex: Vertex) -> None:
    """Once, before jobs are recovered."""
    vertex.jobs.listen(partial(_on_job, vertex), within=True)
    vertex.tunings.listen(partial(tuning_jobs.on_tuning, vertex))


def _on_job(vertex: Vertex, job: Job) -> None:
    fields = custom_jobs.on_job(vertex, job)
    if fields is None:
        return
    if pipeline := job.request.get("pipeline"):
        training_pipelines.on_custom_job(vertex, pipeline, fields)
    if tuning := job.request.get("tuning"):
        tuning_jobs.on_trial_job(vertex, tuning, job)
