"""A pipeline job from its start to its end, by the unmodified ``google-cloud-aiplatform``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform


@dataclass(frozen=True)
class Ended:
    """A pipeline job that has ended."""

    job: Any  # aiplatform.PipelineJob
    seconds: float
    error: str

    @property
    def state(self) -> str:
        """SUCCEEDED, FAILED, CANCELLED."""
        return str(self.job.state.name).removeprefix("PIPELINE_STATE_")

    def states(self) -> dict[str, str]:
        """Task name -> state. Of several tasks of one name the last counts."""
        return {detail.task_name: type(detail.state)(detail.state).name for detail in self.job.task_details}

    def outputs(self, task: str, output: str) -> Sequence[Any]:
        """The artifacts of a task's output."""
        return [
            artifact
            for detail in self.job.task_details
            if detail.task_name == task
            for artifact in detail.outputs[output].artifacts
        ]

    def output(self, task: str, output: str) -> Any:
        """The one artifact of a task's output."""
        return self.outputs(task, output)[0]


def run(platform: Platform, package: Path, name: str, parameters: Mapping[str, Any]) -> Ended:
    """Start a pipeline job and wait for its end."""
    place = platform.on_google
    aiplatform = place.init()
    job = aiplatform.PipelineJob(
        display_name=name,
        template_path=str(package),
        pipeline_root=f"gs://{place.bucket}/pipelines",
        parameter_values={"project": place.project, "location": place.location, **parameters},
    )
    begun = time.monotonic()
    job.submit(service_account=place.service_account or None)
    error = ""
    try:
        job.wait()
    except RuntimeError as failure:  # the SDK's word for a run that failed
        error = str(failure)
    return Ended(job, time.monotonic() - begun, error)
