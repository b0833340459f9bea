"""What state a job is in, as Vertex tells it, and why it failed, in Vertex's words.

https://cloud.google.com/vertex-ai/docs/training/understanding-training-service
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlparity.engine.jobs import FailureKind, Job, Phase
from mlparity.wire.google.status import Code

Json = dict[str, Any]
QUEUED, PENDING, RUNNING = "JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING"
SUCCEEDED, FAILED = "JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"
CANCELLING, CANCELLED = "JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"
STATES = (QUEUED, PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLING, CANCELLED)
FINAL = frozenset({SUCCEEDED, FAILED, CANCELLED})
_PHASES = {
    Phase.PENDING: QUEUED,
    Phase.STARTING: PENDING,
    Phase.DOWNLOADING: PENDING,
    Phase.RUNNING: RUNNING,
    Phase.UPLOADING: RUNNING,
    Phase.INTERRUPTED: PENDING,
    Phase.COMPLETED: SUCCEEDED,
    Phase.FAILED: FAILED,
    Phase.STOPPED: CANCELLED,
}
_SIGNALLED = 128  # a shell's exit code for a program that a signal ended is this and the signal's number
_PRIMARY = "workerpool0-0"


def job_state(job: Job) -> str:
    """JOB_STATE_RUNNING and so on."""
    if job.stop_requested_at is not None and not job.phase.is_final:
        return CANCELLING
    return _PHASES[job.phase]


def told(job: Job, now: datetime, log_tail: str) -> Json:
    """The output-only fields that follow from the job: state, times and error (JSON of a CustomJob)."""
    fields: Json = {"state": job_state(job), "updateTime": written(now)}
    if job.started_at is not None:
        fields["startTime"] = written(job.started_at)
    if job.ended_at is not None:
        fields["endTime"] = written(job.ended_at)
    error = job_error(job, log_tail)
    return {**fields, "error": error} if error else fields


def job_error(job: Job, log_tail: str) -> Json | None:
    """google.rpc.Status in JSON; None where nothing went wrong."""
    if job.phase is Phase.STOPPED and job.results.get("timed_out"):
        text = f"The job ran longer than its timeout of {job.spec.max_runtime_seconds} seconds and was cancelled."
        return _status(Code.CANCELLED, text)
    if job.phase is not Phase.FAILED:
        return None
    if job.failure_kind is FailureKind.PROGRAM:
        return _status(Code.INVALID_ARGUMENT, _program_failure(job, log_tail))
    if job.failure_kind in {FailureKind.INTERRUPTED, FailureKind.INTERNAL}:
        text = f"Internal error occurred for the current attempt. {job.failure_reason}"
        return _status(Code.INTERNAL, text)
    return _status(Code.FAILED_PRECONDITION, job.failure_reason)


def written(moment: datetime) -> str:
    """A time in JSON."""
    return moment.isoformat().replace("+00:00", "Z")


def _program_failure(job: Job, log_tail: str) -> str:
    replica = job.results.get("instance") or _PRIMARY
    status = job.exit_code if job.exit_code is not None else _SIGNALLED + int(job.results.get("signal") or 0)
    lines = [f"The replica {replica} exited with a non-zero status of {status}. Termination reason: Error. ", log_tail]
    where = f"To find out more about why your job exited please check the logs: `mlparity logs {job.name}`"
    return "\n".join(line for line in [*lines, where] if line)


def _status(code: Code, message: str) -> Json:
    return {"code": code.number, "message": message}
