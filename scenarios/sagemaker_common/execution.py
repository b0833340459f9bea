"""Start an execution of the pipeline, follow its steps, and read what it left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlparity.scenarios import Platform

if TYPE_CHECKING:
    from sagemaker.mlops.workflow.pipeline import Pipeline, PipelineExecution

ENDED = ("Succeeded", "Failed", "Stopped")


@dataclass(frozen=True)
class Ended:
    """An execution that has ended: what DescribePipelineExecution and ListPipelineExecutionSteps say of it."""

    execution: PipelineExecution
    description: dict[str, Any]
    steps: dict[str, dict[str, Any]]  # step name -> PipelineExecutionStep
    seconds: float

    @property
    def arn(self) -> str:
        """The execution's ARN."""
        return str(self.description["PipelineExecutionArn"])

    @property
    def id(self) -> str:
        """The last part of the ARN: what ExecutionVariables.PIPELINE_EXECUTION_ID became."""
        return self.arn.rsplit("/", 1)[-1]

    @property
    def status(self) -> str:
        """Succeeded, Failed or Stopped."""
        return str(self.description["PipelineExecutionStatus"])

    def outcomes(self) -> dict[str, str]:
        """Step name -> its status, for the steps that were reached."""
        return {name: str(step["StepStatus"]) for name, step in self.steps.items()}

    def metadata(self, step: str, kind: str) -> dict[str, Any]:
        """A step's metadata of a kind, e.g. ("Train", "TrainingJob") -> {"Arn": ...}; empty where it has none."""
        found: dict[str, Any] = self.steps.get(step, {}).get("Metadata", {}).get(kind, {})
        return found


def run_to_the_end(
    platform: Platform, pipeline: Pipeline, name: str, parameters: dict[str, Any], **options: Any
) -> Ended:
    """Start an execution and say each step as it ends; ``options`` are those of the SDK's ``Pipeline.start``."""
    began = time.monotonic()
    execution = pipeline.start(parameters=parameters, execution_display_name=name, **options)
    platform.say(f"  started execution {execution.arn.rsplit('/', 1)[-1]} ({name})")
    return follow(platform, execution, name, began)


def follow(platform: Platform, execution: PipelineExecution, name: str, began: float) -> Ended:
    """Say each step of a running execution as it ends. The poll is short locally and polite on AWS.

    ``began`` (monotonic, seconds) is when it was started.
    """
    pause, longest, limit = (0.1, 0.5, 600.0) if platform.local else (15.0, 15.0, 7200.0)
    told: set[str] = set()
    while True:
        description = execution.describe()
        steps = {step["StepName"]: step for step in execution.list_steps()}
        tell(platform, steps, told)
        if description["PipelineExecutionStatus"] in ENDED:
            return Ended(execution, description, steps, time.monotonic() - began)
        platform.check(time.monotonic() - began < limit, f"execution {name} had not ended after {limit:.0f} s")
        time.sleep(pause)
        pause = min(pause + 0.1, longest)  # a cached execution takes no longer than the first ones


def tell(platform: Platform, steps: dict[str, dict[str, Any]], told: set[str]) -> None:
    """Say the steps that have ended since the last look."""
    # The service lists the newest first; steps that did not run may have ended in the same moment.
    ended = [step for step in reversed(steps.values()) if "EndTime" in step and step["StepName"] not in told]
    for step in sorted(ended, key=lambda step: step["EndTime"]):
        told.add(step["StepName"])
        seconds = (step["EndTime"] - step["StartTime"]).total_seconds()
        outcome = step.get("Metadata", {}).get("Condition", {}).get("Outcome")
        reason = step.get("FailureReason") or (f"the condition is {outcome}" if outcome else _reused(step))
        platform.say(f"  {step['StepName']:14s} {step['StepStatus']:10s} {seconds:5.1f} s  {reason}".rstrip())


def _reused(step: dict[str, Any]) -> str:
    """Where the step's results come from, where it did not run."""
    for member, how in (("CacheHitResult", "a cache hit"), ("SelectiveExecutionResult", "kept")):
        if member in step:
            return f"{how}: the results of execution {_source(step[member])}"
    return ""


def _source(result: dict[str, Any]) -> str:
    return str(result["SourcePipelineExecutionArn"]).rsplit("/", 1)[-1]
