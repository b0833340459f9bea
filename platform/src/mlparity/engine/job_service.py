"""The jobs of the stack: submitted, queued, stopped, interrupted, recovered."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlparity.clock import Clock
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.job_run import (
    REASON_LIMIT,
    ClosingError,
    JobFailedError,
    JobHost,
    JobInterruptedError,
    JobRun,
    Means,
    Signals,
)
from mlparity.engine.jobs import FailureKind, Job, NewJob, Phase
from mlparity.errors import ConflictError, StateError

__all__ = ["JobHost", "JobService", "Means"]

_LOG = logging.getLogger(__name__)
_PATIENCE = 1.0  # seconds before what the database refused is written again
Listener = Callable[[Job], None]


class JobService:
    """Runs jobs, one thread a running job; tells listeners of every phase."""

    def __init__(self, repository: JobRepository, means: Means, clock: Clock) -> None:
        self.repository = repository
        self._means = means
        self._clock = clock
        self._listeners: list[Listener] = []
        self._witnesses: list[Listener] = []
        self._pool = ThreadPoolExecutor(means.host.max_parallel, thread_name_prefix="job")
        self._lock = threading.Lock()
        self._signals: dict[str, Signals] = {}
        self._closing = threading.Event()
        self._recovering = False

    def listen(self, listener: Listener, *, within: bool = False) -> None:
        """Call ``listener`` after every phase that a job enters, in the job's thread.

        ``within``: before that is committed, so that what the listener writes is committed with it, or neither is.
        """
        (self._witnesses if within else self._listeners).append(listener)

    def submit(self, new: NewJob) -> Job:
        """Store a job and run it when a place is free. Raises ``ConflictError`` where the name is taken.

        An image without a runtime is refused here (``RuntimeUnavailableError``): better now than after a queue.
        """
        self._means.runtimes.resolve(new.spec.image)
        with self.repository.transaction():
            job = self.repository.create(new)
            self._tell(job)
            self.repository.after_commit(lambda: self._enqueue(job.id))
        return job

    def stop(self, job_id: str) -> Job:
        """Ask a job to stop: SIGTERM, then SIGKILL after its grace. A job that waits for a place stops at once."""
        with self.repository.transaction():
            job = self.repository.request_stop(job_id)
            self.repository.after_commit(lambda: self._signal(job_id, "stop"))
            if job.phase is Phase.PENDING:
                return self._record(job_id, Phase.STOPPED)
            if not job.phase.is_final:
                self._tell(job)
        return job

    def interrupt(self, job_id: str) -> Job:
        """Take the job's machine away, as a spot interruption does: SIGTERM, its grace, checkpoints, a new start.

        Raises ``ConflictError`` unless the job runs and is interruptible.
        """
        job = self.repository.get(job_id)
        if job.phase is not Phase.RUNNING or not job.spec.retries.interruptible:
            raise ConflictError(f"{job.name} cannot be interrupted", "only a running job on spot capacity can")
        self._signal(job_id, "interrupt")
        return job

    def recover(self) -> None:
        """After a restart: start what had not started, store what had finished, fail what was cut off."""
        self._recovering = True
        try:
            self._recover()
        finally:
            self._recovering = False

    def _recover(self) -> None:
        active = self.repository.active()
        for folder in self._means.host.jobs_dir.glob("*"):  # of jobs that ended just before the crash
            if folder.name not in {job.id for job in active}:
                shutil.rmtree(folder, ignore_errors=True)
        for job in active:
            if job.stop_requested_at is not None and job.phase is not Phase.UPLOADING:
                self._remove_folder(job)
                self._enter(job.id, Phase.STOPPED)
            elif job.phase is Phase.RUNNING and not self._may_start_again(job):
                self._remove_folder(job)
                reason = "the local stack was stopped or killed while the job ran"
                self._fail(job, JobFailedError(FailureKind.INTERRUPTED, reason))
            else:
                if job.phase is Phase.RUNNING:
                    why = "the local stack was stopped or killed"
                    self._enter(job.id, Phase.INTERRUPTED, message=why, results=_one_more_attempt(job))
                self._enqueue(job.id)

    def close(self) -> None:
        """Kill what runs and wait for the threads. The database keeps the truth for ``recover``."""
        self._closing.set()
        with self._lock:
            running = list(self._signals)
        for job_id in running:
            self._signal(job_id, "closing")
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _signal(self, job_id: str, what: str) -> None:
        with self._lock:
            signals = self._signals.get(job_id)
        if signals is not None:
            setattr(signals, what, True)
            signals.wake.set()

    def _enqueue(self, job_id: str) -> None:
        with self._lock:
            self._signals[job_id] = Signals()
        with contextlib.suppress(RuntimeError):  # closing: ``recover`` finds the job
            self._pool.submit(self._run_safely, job_id)

    def _run_safely(self, job_id: str) -> None:
        again = False
        try:
            again = self._run(job_id)
        except Exception as error:  # noqa: BLE001 - a defect must fail the job, not lose it
            if not isinstance(error, StateError) or not self._closing.is_set():
                _LOG.exception("job %s", job_id)
                self._fail_safely(job_id, JobFailedError(FailureKind.INTERNAL, f"{error}"))
        finally:
            with self._lock:
                self._signals.pop(job_id, None)
        if again:
            self._enqueue(job_id)

    def _fail_safely(self, job_id: str, failure: JobFailedError) -> None:
        try:
            self._fail(self.repository.get(job_id), failure)
        except Exception:  # noqa: BLE001 - the next start finds the job
            _LOG.exception("job %s", job_id)

    def _run(self, job_id: str) -> bool:
        """Run the job to its end; whether it is to start again."""
        job = self.repository.get(job_id)
        if job.phase.is_final or self._closing.is_set():
            return False
        try:
            stored = JobRun(self._means, self._enter, self._signals[job_id], job).run()
            job = self.repository.get(job_id)
            self._end(job, stored)
        except ClosingError:
            return False
        except JobInterruptedError as interruption:
            return self._interrupted(self.repository.get(job_id), str(interruption))
        except JobFailedError as failure:
            job = self.repository.get(job_id)
            if failure.kind is FailureKind.INTERNAL and self._may_start_again(job):
                self._enter(job_id, Phase.INTERRUPTED, message=failure.reason, results=_one_more_attempt(job))
                return True
            self._fail(job, failure)
        self._remove_folder(job)
        return False

    def _interrupted(self, job: Job, why: str) -> bool:
        limit = job.spec.retries.max_wait_seconds
        waited = (self._clock.now() - job.created_at).total_seconds()
        if job.stop_requested_at is not None or (limit and waited >= limit):
            results = {} if job.stop_requested_at else {"wait_exceeded": True}
            self._remove_folder(job)
            self._enter(job.id, Phase.STOPPED, results=results)
            return False
        self._enter(job.id, Phase.INTERRUPTED, message=why)
        return True

    @staticmethod
    def _may_start_again(job: Job) -> bool:
        retries = job.spec.retries
        return retries.interruptible or int(job.results.get("attempts", 0)) < retries.attempts

    def _end(self, job: Job, stored: dict[str, str]) -> None:
        if job.stop_requested_at is not None or job.results.get("timed_out"):
            self._enter(job.id, Phase.STOPPED, known=job, results={"outputs": stored})
        elif job.exit_code == 0:
            self._enter(job.id, Phase.COMPLETED, known=job, results={"outputs": stored})
        else:
            reason = str(job.results.get("program_failure") or "")
            self._fail(job, JobFailedError(FailureKind.PROGRAM, reason), {"outputs": stored})

    def _fail(self, job: Job, failure: JobFailedError, results: Mapping[str, Any] | None = None) -> None:
        if failure.kind is not FailureKind.PROGRAM:  # the program's own failure is in its log already
            with contextlib.suppress(OSError):  # a full disk
                self._means.logs.append(job.spec.log, f"{failure.kind.value} error: {failure.reason}")
        self._enter(
            job.id,
            Phase.FAILED,
            known=job,
            failure_reason=failure.reason[:REASON_LIMIT],
            results={"failure_kind": failure.kind.value, **(results or {})},
        )

    def _enter(self, job_id: str, phase: Phase, *, known: Job | None = None, **details: Any) -> Job:
        """Record the phase; where the database refuses (a full disk), again until it does not.

        ``known``: the job, where it has just been read.

        Raises ``StateError`` only while the service starts, or where it closes meanwhile; the next start goes on from
        the phase before.
        """
        if phase.is_final:
            ended = self._means.tracking.end(known or self.repository.get(job_id), phase)
            details["results"] = {**details.pop("results", {}), **ended}
        while True:
            try:
                job = self._record(job_id, phase, **details)
            except StateError as error:
                _LOG.warning("job %s is %s, which cannot be written down yet: %s", job_id, phase.value, error)
                if self._recovering or self._closing.wait(_PATIENCE):
                    raise
            else:
                self._means.tracking.remind(job)
                return job

    def _record(self, job_id: str, phase: Phase, **details: Any) -> Job:
        with self.repository.transaction():
            job = self.repository.enter(job_id, phase, **details)
            self._tell(job)
        if phase.is_final:
            for instance in job.spec.instances:
                self._means.logs.finish(instance.log)
        return job

    def _tell(self, job: Job) -> None:
        for witness in self._witnesses:
            try:
                with self.repository.transaction():
                    witness(job)
            except StateError:
                raise
            except Exception:  # noqa: BLE001 - one listener must not break the job
                _LOG.exception("a listener failed for job %s", job.name)
        self.repository.after_commit(lambda: self._tell_listeners(job))

    def _tell_listeners(self, job: Job) -> None:
        for listener in self._listeners:
            try:
                listener(job)
            except Exception:  # noqa: BLE001 - as above
                _LOG.exception("a listener failed for job %s", job.name)

    def _remove_folder(self, job: Job) -> None:
        shutil.rmtree(self._means.host.jobs_dir / job.id, ignore_errors=True)


def _one_more_attempt(job: Job) -> dict[str, int]:
    return {} if job.spec.retries.interruptible else {"attempts": int(job.results.get("attempts", 0)) + 1}
