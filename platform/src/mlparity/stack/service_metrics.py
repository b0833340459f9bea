"""What SageMaker says of itself in CloudWatch: the metrics of training jobs, and how pipelines and their steps ended.

https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from mlparity.apis.aws.metrics import ServiceMetric
from mlparity.apis.sagemaker import training_jobs
from mlparity.apis.sagemaker.context import API
from mlparity.clock import Clock
from mlparity.engine.jobs import Job
from mlparity.engine.logs import JobLogs
from mlparity.engine.run_engine import RunListener, StepListener
from mlparity.engine.runs import Run, RunStatus, Step, StepStatus
from mlparity.errors import NotFoundError

_TRAINING = "/aws/sagemaker/TrainingJobs"
_PIPELINES = "AWS/Sagemaker/ModelBuildingPipeline"
_MILLISECOND = timedelta(milliseconds=1)

Publish = Callable[[Sequence[ServiceMetric]], None]


def training(publish: Publish, logs: JobLogs) -> Callable[[Job], None]:
    """A JobService listener: every match of a job's metric definitions, dated as its log line, once the job has ended.

    AWS publishes them while the job runs.
    """

    def on_job(job: Job) -> None:
        if job.api == API and job.kind == training_jobs.KIND and job.phase.is_final and job.spec.metrics:
            publish(_matches(job, logs))

    return on_job


def _matches(job: Job, logs: JobLogs) -> list[ServiceMetric]:
    patterns = [(item.name, re.compile(item.pattern)) for item in job.spec.metrics]
    dimensions = {"TrainingJobName": job.name}
    log = job.spec.log
    found = []
    try:
        lines = logs.forward(log.group, log.stream, logs.span(log.group, log.stream))
        for line in lines:
            for name, pattern in patterns:
                value = _number(pattern.search(line.text))
                if value is not None:
                    at = datetime.fromtimestamp(line.at / 1000, UTC)
                    found.append(ServiceMetric(_TRAINING, name, dimensions, value, "None", at))
    except NotFoundError:  # it ended before it wrote anything
        return []
    return found


def _number(match: re.Match[str] | None) -> float | None:
    if match is None or not match.groups():
        return None
    try:
        return float(match.group(1))
    except (TypeError, ValueError):
        return None


def pipelines(publish: Publish, clock: Clock) -> tuple[RunListener, StepListener]:
    """RunEngine listeners: starts, ends and durations of executions and of their steps."""

    def on_run(run: Run, before: RunStatus | None) -> None:
        if run.api == API:
            now = clock.now()
            words = {RunStatus.STOPPED: "Stopped", RunStatus.FAILED: "Failed", RunStatus.SUCCEEDED: "Succeeded"}
            word = "Started" if before is None else words.get(run.status, "")
            begun = run.started_at or run.created_at
            publish(_counted("Execution", word, {"PipelineName": run.parent}, begun, now))

    def on_step(run: Run, step: Step, before: StepStatus) -> None:
        if run.api == API and step.status is not before:
            now = clock.now()
            words = {
                StepStatus.STARTING: "Started",
                StepStatus.STOPPED: "Stopped",
                StepStatus.FAILED: "Failed",
                StepStatus.SUCCEEDED: "Succeeded",
            }
            word = words.get(step.status, "")
            dimensions = {"PipelineName": run.parent, "StepName": step.name}
            publish(_counted("Step", word, dimensions, step.started_at or now, now))

    return on_run, on_step


def _counted(noun: str, word: str, dimensions: dict[str, str], begun: datetime, now: datetime) -> list[ServiceMetric]:
    if not word:
        return []
    metrics = [ServiceMetric(_PIPELINES, f"{noun}{word}", dimensions, 1.0, "Count", now)]
    if word != "Started":
        duration = (now - begun) / _MILLISECOND
        metrics.append(ServiceMetric(_PIPELINES, f"{noun}Duration", dimensions, duration, "Milliseconds", now))
    return metrics
