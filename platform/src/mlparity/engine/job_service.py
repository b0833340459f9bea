"""Running jobs: one thread a running job, phases recorded before they are acted on."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import FailureKind, Job, LogStream, MetricDefinition, NewJob, Phase
from mlparity.engine.process import ProcessExecutor, ProcessExit, ProcessSpec, RunningProcess, Runtime
from mlparity.engine.tracking import Tracking
from mlparity.engine.workspace import Workspace, download, upload
from mlparity.errors import EngineError, MlparityError, RuntimeUnavailableError, SandboxUnavailableError
from mlparity.storage.base import ObjectStore

_LOG = logging.getLogger(__name__)
_REASON_LIMIT = 1024
Listener = Callable[[Job], None]


class RuntimeResolver(Protocol):
    """What image stands for what runtime."""

    def resolve(self, image: str) -> Runtime:
        """Raises ``RuntimeUnavailableError``."""
        ...


class LogFiles(Protocol):
    """Where a job's output goes."""

    def create(self, log: LogStream) -> Path:
        """The file that the job's process appends to; idempotent."""
        ...

    def append(self, log: LogStream, text: str) -> None:
        """Add lines of our own."""
        ...

    def finish(self, log: LogStream) -> None:
        """Nothing more will be written."""
        ...


@dataclass(frozen=True)
class JobHost:
    """Where jobs run: their folders, the environment all of them get, and how many run at once."""

    jobs_dir: Path
    environment: Mapping[str, str]
    max_parallel: int


class _JobFailedError(EngineError):
    """A job ends as failed: whose fault, and the reason."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class JobService:
    """Submits, runs, stops and recovers jobs; tells listeners of every phase."""

    def __init__(
        self,
        repository: JobRepository,
        store: ObjectStore,
        executor: ProcessExecutor,
        runtimes: RuntimeResolver,
        logs: LogFiles,
        tracking: Tracking,
        host: JobHost,
    ) -> None:
        self.repository = repository
        self._store = store
        self._executor = executor
        self._runtimes = runtimes
        self._logs = logs
        self._tracking = tracking
        self._host = host
        self._listeners: list[Listener] = []
        self._pool = ThreadPoolExecutor(host.max_parallel, thread_name_prefix="job")
        self._lock = threading.Lock()
        self._stops: dict[str, threading.Event] = {}
        self._closing = threading.Event()

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` after every phase that a job enters, in the job's thread."""
        self._listeners.append(listener)

    def submit(self, new: NewJob) -> Job:
        """Store a job and run it when a place is free. Raises ``ConflictError`` where the name is taken.

        An image without a runtime is refused here (``RuntimeUnavailableError``): better now than after a queue.
        """
        self._runtimes.resolve(new.spec.image)
        job = self.repository.create(new)
        self._tell(job)
        self._enqueue(job.id)
        return job

    def stop(self, job_id: str) -> Job:
        """Ask a job to stop: SIGTERM, then SIGKILL after its grace. A job that waits for a place stops at once."""
        job = self.repository.request_stop(job_id)
        with self._lock:
            event = self._stops.get(job_id)
        if event is not None:
            event.set()
        if job.phase is Phase.PENDING:
            job = self._enter(job_id, Phase.STOPPED)
        return job

    def recover(self) -> None:
        """After a restart: start what had not started, store what had finished, fail what was cut off."""
        active = self.repository.active()
        for folder in self._host.jobs_dir.glob("*"):  # of jobs that ended just before the crash
            if folder.name not in {job.id for job in active}:
                shutil.rmtree(folder, ignore_errors=True)
        for job in active:
            if job.stop_requested_at is not None:
                self._workspace(job).remove()
                self._enter(job.id, Phase.STOPPED)
            elif job.phase is Phase.RUNNING:
                self._workspace(job).remove()
                self._fail(
                    job,
                    _JobFailedError(FailureKind.INTERRUPTED, "the local stack was stopped or killed while the job ran"),
                )
            else:
                self._enqueue(job.id)

    def close(self) -> None:
        """Kill what runs and wait for the threads. The database keeps the truth for ``recover``."""
        self._closing.set()
        with self._lock:
            for event in self._stops.values():
                event.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _enqueue(self, job_id: str) -> None:
        with self._lock:
            self._stops[job_id] = threading.Event()
        self._pool.submit(self._run_safely, job_id)

    def _run_safely(self, job_id: str) -> None:
        try:
            self._run(job_id)
        except Exception as error:  # noqa: BLE001 - a defect must fail the job, not lose it
            _LOG.exception("job %s", job_id)
            with contextlib.suppress(Exception):
                self._fail(self.repository.get(job_id), _JobFailedError(FailureKind.INTERNAL, f"{error}"))
        finally:
            with self._lock:
                self._stops.pop(job_id, None)

    def _run(self, job_id: str) -> None:
        job = self.repository.get(job_id)
        if job.phase.is_final or self._closing.is_set():
            return
        workspace = self._workspace(job)
        try:
            if job.phase is not Phase.UPLOADING:  # its program has ended: only the storing is left
                self._prepare(job, workspace)
                outcome = self._execute(job, workspace)
                if outcome is None:
                    return
                job = self._enter(
                    job_id,
                    Phase.UPLOADING,
                    exit_code=outcome.code,
                    results=self._program_results(job, workspace, outcome),
                )
            self._finish(job, workspace)
        except _JobFailedError as failure:
            self._fail(job, failure)
        workspace.remove()

    def _prepare(self, job: Job, workspace: Workspace) -> None:
        self._enter(job.id, Phase.STARTING)
        workspace.remove()
        workspace.prepare()
        self._enter(job.id, Phase.DOWNLOADING)
        for wanted in job.spec.inputs:
            try:
                download(self._store, wanted, workspace)
            except (MlparityError, OSError) as error:
                raise _JobFailedError(FailureKind.INPUT, f"{error}") from error

    def _execute(self, job: Job, workspace: Workspace) -> ProcessExit | None:
        """Run the program; None where the control plane closes under it (``recover`` will tell)."""
        stop = self._stops[job.id]
        if stop.is_set():
            return ProcessExit(None, 15)
        tracking = self._tracking.begin(job)
        job = self._enter(job.id, Phase.RUNNING, results=tracking.results())
        try:
            runtime = self._runtimes.resolve(job.spec.image)
            process = self._executor.start(self._process_spec(job, workspace, runtime, tracking.environment()))
        except (RuntimeUnavailableError, SandboxUnavailableError) as error:
            raise _JobFailedError(FailureKind.RUNTIME, ". ".join(error.lines())) from error
        except EngineError as error:
            raise _JobFailedError(FailureKind.INTERNAL, str(error)) from error
        outcome = self._wait(job, process, stop)
        return None if self._closing.is_set() else outcome

    def _wait(self, job: Job, process: RunningProcess, stop: threading.Event) -> ProcessExit:
        limit = job.spec.max_runtime_seconds

        def watch() -> None:
            process.wait()
            stop.set()

        waiter = threading.Thread(target=watch, name=f"wait-{job.id[:8]}", daemon=True)
        waiter.start()
        timed_out = not stop.wait(limit)
        outcome = process.wait(0)
        if outcome is None:  # asked to stop, or out of time
            if timed_out:
                self.repository.merge_results(job.id, {"timed_out": True})
            process.terminate()
            grace = 0 if self._closing.is_set() else job.spec.stop_grace_seconds
            outcome = process.wait(grace)
        process.kill()  # also what the program left behind
        waiter.join()
        return outcome or process.wait() or ProcessExit(None, 9)

    def _process_spec(
        self, job: Job, workspace: Workspace, runtime: Runtime, tracking: Mapping[str, str]
    ) -> ProcessSpec:
        spec = job.spec
        return ProcessSpec(
            id=job.id,
            runtime=runtime,
            command=tuple(spec.command),
            environment={**self._host.environment, **tracking, **spec.environment},
            mounts=dict(workspace.mounts),
            working_directory=spec.working_directory,
            log_path=self._logs.create(spec.log),
        )

    def _program_results(self, job: Job, workspace: Workspace, outcome: ProcessExit) -> dict[str, Any]:
        results: dict[str, Any] = {
            "program_failure": workspace.text(job.spec.failure_file, _REASON_LIMIT),
            "message": workspace.text(job.spec.message_file, _REASON_LIMIT),
            "signal": outcome.signal,
        }
        if job.spec.metrics:
            results["metrics"] = final_metrics(self._logs.create(job.spec.log), job.spec.metrics)
        return results

    def _finish(self, job: Job, workspace: Workspace) -> None:
        stopped = job.stop_requested_at is not None or bool(job.results.get("timed_out"))
        ok = job.exit_code == 0
        stored: dict[str, str] = {}
        for output in job.spec.outputs:
            if not (ok or stopped or output.on_failure):
                continue
            try:
                uri = upload(self._store, output, workspace)
            except (MlparityError, OSError) as error:
                raise _JobFailedError(FailureKind.OUTPUT, f"{error}") from error
            if uri is not None:
                stored[output.name] = uri
        self._tracking.log_metrics(job)
        if stopped or self._stopped_meanwhile(job.id):
            self._enter(job.id, Phase.STOPPED, results={"outputs": stored})
        elif ok:
            self._enter(job.id, Phase.COMPLETED, results={"outputs": stored})
        else:
            self.repository.merge_results(job.id, {"outputs": stored})
            reason = str(job.results.get("program_failure") or "")
            raise _JobFailedError(FailureKind.PROGRAM, reason)

    def _stopped_meanwhile(self, job_id: str) -> bool:
        return self.repository.get(job_id).stop_requested_at is not None

    def _fail(self, job: Job, failure: _JobFailedError) -> None:
        if failure.kind is not FailureKind.PROGRAM:  # the program's own failure is in its log already
            self._logs.append(job.spec.log, f"{failure.kind.value} error: {failure.reason}")
        self._enter(
            job.id,
            Phase.FAILED,
            failure_reason=failure.reason[:_REASON_LIMIT],
            results={"failure_kind": failure.kind.value},
        )

    def _enter(self, job_id: str, phase: Phase, **details: Any) -> Job:
        job = self.repository.enter(job_id, phase, **details)
        if phase.is_final:
            self._logs.finish(job.spec.log)
            self._tracking.end(job)
        self._tell(job)
        return job

    def _tell(self, job: Job) -> None:
        for listener in self._listeners:
            try:
                listener(job)
            except Exception:  # noqa: BLE001 - one listener must not break the job
                _LOG.exception("a listener failed for job %s", job.name)

    def _workspace(self, job: Job) -> Workspace:
        return Workspace(self._host.jobs_dir / job.id, job.spec)


def final_metrics(log: Path, definitions: tuple[MetricDefinition, ...] | Any) -> dict[str, float]:
    """The last value of each metric in the log, as CloudWatch's final metric list has it."""
    if not log.is_file():
        return {}
    patterns = [(item.name, re.compile(item.pattern)) for item in definitions]
    found: dict[str, float] = {}
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            for name, pattern in patterns:
                match = pattern.search(line)
                if match is None or not match.groups():
                    continue
                with contextlib.suppress(ValueError, TypeError):
                    found[name] = float(match.group(1))
    return found
