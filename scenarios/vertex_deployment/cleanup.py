"""Takes away everything that the scenario made, and looks that nothing is left."""

from __future__ import annotations

import contextlib
from typing import Any

from google.api_core.exceptions import FailedPrecondition, NotFound

from mlparity.errors import ConflictError, NotFoundError
from mlparity.scenarios import Platform
from mlparity.scenarios.loops import Loops
from scenarios.vertex_deployment.settings import ENDPOINT, FOLDER, LOOP, MODEL, MONITOR, NIGHTLY_MODEL, SCHEDULE


def clean_up(platform: Platform, loops: Loops | None) -> None:
    """The loop, the schedule, the monitoring job, the endpoint, the model, the pipeline jobs, the objects."""
    from google.cloud import aiplatform

    if loops is not None:
        with contextlib.suppress(NotFoundError, ConflictError):  # there is none, or nothing is under way
            loops.act(LOOP, "stop", "the scenario is over")
        with contextlib.suppress(NotFoundError):
            loops.delete(LOOP)
    for schedule in aiplatform.PipelineJobSchedule.list(filter=f'display_name="{SCHEDULE}"'):
        schedule.delete()
    for monitor in aiplatform.ModelDeploymentMonitoringJob.list(filter=f'display_name="{MONITOR}"'):
        monitor.delete()
    for endpoint in _endpoints():
        endpoint.undeploy_all()
        endpoint.delete()
    for model in (MODEL, NIGHTLY_MODEL):
        with contextlib.suppress(NotFound):
            aiplatform.Model(model).delete()
    for job in _jobs():
        if not job.done():
            with contextlib.suppress(FailedPrecondition):  # it has ended meanwhile
                job.cancel()
            with contextlib.suppress(RuntimeError):  # the SDK's word for a run that was cancelled
                job.wait()
        job.delete()
    place = platform.on_google
    client = place.storage()
    for blob in client.list_blobs(place.bucket, prefix=f"{FOLDER}/"):
        blob.delete()


def left_over(platform: Platform) -> list[str]:
    """What is still there."""
    from google.cloud import aiplatform

    place = platform.on_google
    found = [*_endpoints(), *_jobs()]
    for model in (MODEL, NIGHTLY_MODEL):
        found += aiplatform.Model.list(filter=f'display_name="{model}"')
    found += aiplatform.PipelineJobSchedule.list(filter=f'display_name="{SCHEDULE}"')
    found += aiplatform.ModelDeploymentMonitoringJob.list(filter=f'display_name="{MONITOR}"')
    objects = place.storage().list_blobs(place.bucket, prefix=f"{FOLDER}/", max_results=5)
    return [*(one.resource_name for one in found), *(blob.name for blob in objects)]


def _endpoints() -> list[Any]:
    from google.cloud import aiplatform

    return list(aiplatform.Endpoint.list(filter=f'display_name="{ENDPOINT}"'))


def _jobs() -> list[Any]:
    """The scenario's own, and the loop's."""
    from google.cloud import aiplatform

    filters = ("labels.scenario=vertex-deployment", f"labels.mlparity-loop={LOOP}")
    return [job for one in filters for job in aiplatform.PipelineJob.list(filter=one)]
