"""How a job's phases read in SageMaker's words."""

from __future__ import annotations

from mlparity.engine.jobs import FailureKind, Job, Phase

_SECONDARY = {
    Phase.PENDING: ("Starting", "Starting the training job"),
    Phase.STARTING: ("Starting", "Preparing the instances for training"),
    Phase.DOWNLOADING: ("Downloading", "Downloading input data"),
    Phase.RUNNING: ("Training", "Training image download completed. Training in progress."),
    Phase.INTERRUPTED: ("Interrupted", "Training job interrupted; it starts again when capacity is there"),
    Phase.UPLOADING: ("Uploading", "Uploading generated training model"),
    Phase.COMPLETED: ("Completed", "Training job completed"),
    Phase.FAILED: ("Failed", "Training job failed"),
    Phase.STOPPED: ("Stopped", "Training job stopped"),
}
_LIMIT = 1024


def job_status(job: Job) -> str:
    """``TrainingJobStatus`` / ``ProcessingJobStatus``."""
    final = {Phase.COMPLETED: "Completed", Phase.FAILED: "Failed", Phase.STOPPED: "Stopped"}
    if job.phase in final:
        return final[job.phase]
    return "Stopping" if job.stop_requested_at is not None else "InProgress"


def secondary_status(job: Job) -> str:
    """``SecondaryStatus`` of a training job."""
    if job.phase is Phase.STOPPED and job.results.get("timed_out"):
        return "MaxRuntimeExceeded"
    if job.phase is Phase.STOPPED and job.results.get("wait_exceeded"):
        return "MaxWaitTimeExceeded"
    if not job.phase.is_final and job.stop_requested_at is not None:
        return "Stopping"
    return _SECONDARY[job.phase][0]


def transitions(job: Job) -> list[dict[str, object]]:
    """``SecondaryStatusTransitions``: every state entered, each ending where the next begins."""
    merged: list[dict[str, object]] = []
    for entry in job.history:
        status, message = _SECONDARY[entry.phase]
        message = entry.message or message
        if entry.phase is job.phase:
            status = secondary_status(job)
        if entry.phase is Phase.FAILED:
            message = failure_reason(job) or message
        if merged and merged[-1]["Status"] == status:
            continue
        if merged:
            merged[-1]["EndTime"] = entry.at
        merged.append({"Status": status, "StartTime": entry.at, "StatusMessage": message})
    if job.phase.is_final:
        merged[-1]["EndTime"] = job.ended_at or job.modified_at
    return merged


def exit_code(job: Job) -> int:
    """As a container runtime tells it: 128 and the signal for a program that was killed."""
    return job.exit_code if job.exit_code is not None else 128 + int(job.results.get("signal") or 0)


def failure_reason(job: Job) -> str:
    """``FailureReason`` in SageMaker's form: whose error, what it said, its exit code."""
    if job.phase is not Phase.FAILED:
        return ""
    reason = job.failure_reason
    prefix = {
        FailureKind.PROGRAM: "AlgorithmError",
        FailureKind.INPUT: "ClientError",
        FailureKind.OUTPUT: "ClientError",
        FailureKind.RUNTIME: "ClientError",
    }.get(job.failure_kind, "InternalServerError")
    if job.failure_kind is FailureKind.PROGRAM:
        return f"{prefix}: {reason[: _LIMIT - 60]}, exit code: {exit_code(job)}"
    if job.failure_kind is FailureKind.INPUT:
        return f"{prefix}: Data download failed:{reason}"[:_LIMIT]
    return f"{prefix}: {reason}"[:_LIMIT]
