"""One run of one job: inputs in, processes, outputs out. Every phase is recorded before it is acted on."""

from __future__ import annotations

import contextlib
import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from mlparity.engine.continuous_upload import ContinuousUpload
from mlparity.engine.environments import requirement_lines
from mlparity.engine.job_processes import JobProcesses
from mlparity.engine.jobs import FailureKind, Job, LogStream, MetricDefinition, Phase
from mlparity.engine.pipes import PipeFeeds, check
from mlparity.engine.process import ProcessExecutor, ProcessExit, ProcessSpec, Runtime
from mlparity.engine.tracking import Tracking
from mlparity.engine.workspace import Workspace, download, upload
from mlparity.errors import EngineError, MlparityError, RuntimeUnavailableError, SandboxUnavailableError
from mlparity.storage.base import ObjectStore

REASON_LIMIT = 1024
_RESULT_LIMIT = 6 * 1024 * 1024  # bytes: AWS Lambda's largest answer
_REQUIREMENTS_LIMIT = 1024 * 1024  # bytes of a requirements.txt
_SIGTERM = 15
# Tells a program that its requirements.txt is installed already.
REQUIREMENTS_INSTALLED = "MLPARITY_REQUIREMENTS_INSTALLED"


class RuntimeResolver(Protocol):
    """What image stands for what runtime."""

    def resolve(self, image: str) -> Runtime:
        """Raises ``RuntimeUnavailableError``."""
        ...


class Preparer(Protocol):
    """Makes a runtime usable: builds its environment where it needs one."""

    def ready(self, runtime: Runtime) -> Runtime:
        """Raises ``RuntimeUnavailableError``."""
        ...

    def with_packages(self, runtime: Runtime, packages: Sequence[str]) -> Runtime:
        """The same, with more packages in it. Raises ``RuntimeUnavailableError``."""
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


class Recorder(Protocol):
    """Writes down that a job enters a phase, and tells the listeners."""

    def __call__(self, job_id: str, phase: Phase, **details: Any) -> Job:
        """The job afterwards."""
        ...


def _no_credentials(_role: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class JobHost:
    """Where jobs run: their folders, the environment all of them get, and how many run at once.

    ``credentials`` gives the variables by which a job acts as its role.
    """

    jobs_dir: Path
    environment: Mapping[str, str]
    max_parallel: int
    credentials: Callable[[str], Mapping[str, str]] = _no_credentials


@dataclass(frozen=True)
class Means:
    """What every run needs."""

    store: ObjectStore
    executor: ProcessExecutor
    runtimes: RuntimeResolver
    environments: Preparer
    logs: LogFiles
    tracking: Tracking
    host: JobHost


class Signals:
    """What may happen to a running job from outside."""

    def __init__(self) -> None:
        self.wake = threading.Event()  # something happened: look
        self.stop = False
        self.interrupt = False
        self.closing = False


class JobFailedError(EngineError):
    """The job ends as failed: whose fault, and the reason."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class JobInterruptedError(EngineError):
    """The job lost its machine and may start again."""


class ClosingError(EngineError):
    """The control plane closes; the database keeps where the job was."""


class JobRun:
    """Takes one job from PENDING (or UPLOADING, after a crash) to where its outputs are stored."""

    def __init__(self, means: Means, record: Recorder, signals: Signals, job: Job) -> None:
        self._means = means
        self._record = record
        self._signals = signals
        self._job = job
        self._workspaces = workspaces(means.host, job)
        self._timed_out = False
        self._decided_by = ""  # the instance whose end was the job's
        self._prepared: Mapping[str, str] = {}  # what the program is told of its environment

    def run(self) -> dict[str, str]:
        """The outputs stored, by name.

        Raises ``JobFailedError``, ``JobInterruptedError`` or ``ClosingError``; the caller records the end.
        """
        if self._job.phase is not Phase.UPLOADING:  # else its program has ended: only the storing is left
            self._prepare()
            outcome = self._execute()
            self._job = self._record(
                self._job.id, Phase.UPLOADING, exit_code=outcome.code, results=self._program_results(outcome)
            )
        return self._store_outputs()

    def _prepare(self) -> None:
        self._record(self._job.id, Phase.STARTING)
        try:
            runtime = self._means.runtimes.resolve(self._job.spec.image)
            self._runtime = self._means.environments.with_packages(runtime, self._job.spec.requirements)
        except RuntimeUnavailableError as error:
            raise JobFailedError(FailureKind.RUNTIME, error.sentence()) from error
        for workspace in self._workspaces:
            workspace.remove()
            workspace.prepare()
        self._job = self._record(self._job.id, Phase.DOWNLOADING)
        for wanted in self._job.spec.inputs:
            for workspace in self._workspaces:
                if not workspace.holds(wanted.path):
                    continue
                try:
                    (check if wanted.stream else download)(self._means.store, wanted, workspace)
                except (MlparityError, OSError) as error:
                    raise JobFailedError(FailureKind.INPUT, f"{error}") from error
        for workspace in self._workspaces:
            workspace.note_placed()
        self._add_requirements()

    def _add_requirements(self) -> None:
        """Another environment for the job, where its runtime is one and the job brings requirements."""
        wanted = self._job.spec.requirements_file
        if not wanted or self._runtime.kind != "venv":
            return
        text = self._workspaces[0].text(wanted, _REQUIREMENTS_LIMIT)
        if not text:
            return
        try:
            extended = self._means.runtimes.resolve(self._job.spec.image)
            extended = replace(extended, requirements=(*extended.requirements, *requirement_lines(text)))
            self._runtime = self._means.environments.ready(extended)
        except RuntimeUnavailableError as error:
            raise JobFailedError(FailureKind.RUNTIME, error.sentence()) from error
        self._prepared = {REQUIREMENTS_INSTALLED: "true"}

    def _execute(self) -> ProcessExit:
        if self._signals.stop:
            return ProcessExit(None, _SIGTERM)
        spec = self._job.spec
        tracking = self._means.tracking.begin(self._job, lambda: self._signals.stop or self._signals.closing)
        self._job = self._record(self._job.id, Phase.RUNNING, results=tracking.results())
        continuous = [output for output in spec.outputs if output.continuous]
        with ContinuousUpload(self._means.store, continuous, self._workspaces), self._pipes() as pipes:
            processes = self._start(tracking.environment())
            outcome = self._wait(processes, pipes)
        if self._signals.closing:
            raise ClosingError("the control plane closes")
        if outcome.lost and not self._signals.stop and not self._timed_out:
            self._store_checkpoints()
            raise JobFailedError(FailureKind.INTERNAL, "the worker that ran the job was killed")
        return outcome

    @contextlib.contextmanager
    def _pipes(self) -> Iterator[PipeFeeds]:
        feeds = PipeFeeds(self._means.store, self._job.spec.inputs, self._workspaces, self._signals.wake)
        with contextlib.ExitStack() as opened:
            try:
                pipes = opened.enter_context(feeds)
            except (MlparityError, OSError) as error:
                raise JobFailedError(FailureKind.INPUT, f"{error}") from error
            yield pipes

    def _start(self, tracking: Mapping[str, str]) -> JobProcesses:
        try:
            specs = [self._process_spec(workspace, tracking) for workspace in self._workspaces]
            decides = self._job.spec.primary_decides
            return JobProcesses(self._means.executor, specs, self._signals.wake, primary_decides=decides)
        except (RuntimeUnavailableError, SandboxUnavailableError) as error:
            raise JobFailedError(FailureKind.RUNTIME, error.sentence()) from error
        except EngineError as error:
            raise JobFailedError(FailureKind.INTERNAL, str(error)) from error

    def _wait(self, processes: JobProcesses, pipes: PipeFeeds) -> ProcessExit:
        spec, signals = self._job.spec, self._signals
        in_time = signals.wake.wait(spec.max_runtime_seconds)
        interrupted = signals.interrupt and not signals.stop and not processes.ended
        asked = signals.stop or signals.closing or interrupted
        broken = "" if asked or processes.ended else pipes.failure
        if not processes.ended:  # asked to end, or out of time
            self._timed_out = not in_time
            processes.terminate()
            processes.wait_all(0 if signals.closing else spec.stop_grace_seconds)
        elif len(self._workspaces) > 1:  # one failed: the others get a chance to end, too
            processes.terminate()
            processes.wait_all(spec.stop_grace_seconds)
        outcome = processes.finish()
        self._decided_by = self._workspaces[processes.decided_by].instance.name
        if interrupted and not signals.closing:
            self._store_checkpoints()
            raise JobInterruptedError("the machine was taken away")
        if broken:
            self._store_checkpoints()
            raise JobFailedError(FailureKind.INPUT, broken)
        return outcome

    def _store_checkpoints(self) -> None:
        for output in self._job.spec.outputs:
            if output.continuous:
                upload(self._means.store, output, self._workspaces)

    def _process_spec(self, workspace: Workspace, tracking: Mapping[str, str]) -> ProcessSpec:
        spec, instance, host = self._job.spec, workspace.instance, self._means.host
        several = len(self._workspaces) > 1
        given = {**host.environment, **(host.credentials(spec.role) if spec.role else {})}
        return ProcessSpec(
            id=f"{self._job.id}-{workspace.index}" if several else self._job.id,
            runtime=self._runtime,
            command=tuple(spec.command if instance.command is None else instance.command),
            arguments=tuple(spec.arguments if instance.command is None else instance.arguments),
            environment={
                **given,
                **tracking,
                **spec.environment,
                **instance.environment,
                **self._prepared,
            },
            mounts=dict(workspace.mounts),
            working_directory=spec.working_directory or ("" if self._runtime.kind == "container" else "/"),
            log_path=self._means.logs.create(instance.log),
            hosts=addresses(spec.instances) if several else {},
            cpus=math.ceil(spec.cpu_limit),
            memory_bytes=spec.memory_limit_bytes,
        )

    def _program_results(self, outcome: ProcessExit) -> dict[str, Any]:
        spec = self._job.spec
        results: dict[str, Any] = {
            "program_failure": self._first_text(spec.failure_file),
            "message": self._first_text(spec.message_file),
            "signal": outcome.signal,
            "timed_out": self._timed_out,
            "instance": self._decided_by,
        }
        if spec.result_file:
            results["result"] = self._workspaces[0].text(spec.result_file, _RESULT_LIMIT)
        if spec.result_files:
            found = {
                name: self._workspaces[0].exact_text(path, _RESULT_LIMIT) for name, path in spec.result_files.items()
            }
            results["files"] = {name: text for name, text in found.items() if text is not None}
        if spec.metrics:
            results["metrics"] = final_metrics(self._means.logs.create(spec.log), spec.metrics)
        return results

    def _first_text(self, inside: str) -> str:
        texts = (workspace.text(inside, REASON_LIMIT) for workspace in self._workspaces)
        return next((text for text in texts if text), "")

    def _store_outputs(self) -> dict[str, str]:
        job = self._job
        stopped = job.stop_requested_at is not None or bool(job.results.get("timed_out"))
        stored: dict[str, str] = {}
        for output in job.spec.outputs:
            if not (job.exit_code == 0 or stopped or output.on_failure):
                continue
            try:
                uri = upload(self._means.store, output, self._workspaces)
            except (MlparityError, OSError) as error:
                raise JobFailedError(FailureKind.OUTPUT, f"{error}") from error
            if uri is not None:
                stored[output.name] = uri
        self._means.tracking.log_metrics(job)
        return stored


def workspaces(host: JobHost, job: Job) -> list[Workspace]:
    """The folders of a job's instances."""
    return [Workspace(host.jobs_dir / job.id, job.spec, index) for index in range(len(job.spec.instances))]


def addresses(instances: Sequence[Any]) -> dict[str, str]:
    """A loopback address for each instance of a job, so that they can listen on the same ports."""
    return {instance.name: f"127.0.1.{number}" for number, instance in enumerate(instances, 1)}


def final_metrics(log: Path, definitions: Iterable[MetricDefinition]) -> dict[str, float]:
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
