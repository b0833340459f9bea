"""The workers of one deployment, and what is said of them."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mlparity.clock import Clock
from mlparity.engine.jobs import LogStream
from mlparity.serving.fleet.artifacts import Artifacts
from mlparity.serving.fleet.deployment import Deployment, DeploymentPhase, DeploymentSpec
from mlparity.serving.fleet.preparation import (
    PreparationError,
    PreparedContainer,
    Preparer,
    RuntimeResolver,
    prepare,
)
from mlparity.serving.fleet.reasons import words_of
from mlparity.serving.fleet.slot import Limits, Slot, Timing
from mlparity.serving.fleet.worker import Worker, Workshop

_LOG = logging.getLogger(__name__)
_OVER = frozenset({DeploymentPhase.STOPPED, DeploymentPhase.FAILED})
_OURS = "mlparity: "
_TAIL = 2048  # bytes of a log's end


class LogFiles(Protocol):
    """Where a worker's output goes."""

    def create(self, log: LogStream) -> Path:
        """The file that the worker's process appends to; idempotent."""
        ...

    def append(self, log: LogStream, text: str) -> None:
        """Add lines of our own."""
        ...

    def finish(self, log: LogStream) -> None:
        """Nothing more will be written."""
        ...


@dataclass(frozen=True)
class GroupMeans:
    """What every group needs. ``drain`` waits until no request is under way to some sockets: see ``Router.drain``."""

    artifacts: Artifacts
    runtimes: RuntimeResolver
    environments: Preparer
    workshop: Workshop
    logs: LogFiles
    drain: Callable[[Sequence[str], float], bool]
    timing: Timing
    clock: Clock


@dataclass
class _State:
    phase: DeploymentPhase
    wanted: int
    reason: str = ""
    ending: DeploymentPhase | None = None  # what it will be once nothing of it runs
    containers: Sequence[PreparedContainer] | None = None  # None until they are ready
    slots: list[Slot] = field(default_factory=list)
    leaving: list[Slot] = field(default_factory=list)  # not wanted any more; finishing their requests
    live: dict[Slot, str] = field(default_factory=dict)  # those that answer: their sockets


class Group:
    """One deployment. Every method returns at once, save ``join``."""

    def __init__(self, spec: DeploymentSpec, means: GroupMeans, tell: Callable[[Deployment], None]) -> None:
        self.spec = spec
        self._means = means
        self._tell = tell
        self._lock = threading.Lock()
        self._telling = threading.RLock()  # listeners hear of changes one after the other, the newest last
        self._told: Deployment | None = None
        self._state = _State(DeploymentPhase.STARTING, spec.variant.instances)
        self._limits = Limits(spec.variant.startup_seconds, spec.variant.invocation_seconds)
        self._attention = threading.Event()  # for the group's own thread
        self._thread = threading.Thread(target=self._run, name=f"deploy-{spec.id[:24]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def deployment(self) -> Deployment:
        """What it is doing now."""
        with self._lock:
            state = self._state
            return Deployment(self.spec, state.phase, state.wanted, tuple(state.live.values()), state.reason)

    @property
    def folders(self) -> Sequence[Path]:
        """The shared folders that its workers use."""
        containers = () if self._state.phase in _OVER else self._state.containers or ()
        return [path for container in containers for path in container.folders]

    @property
    def has_images(self) -> bool:
        """Whether a container engine runs some of it."""
        return any(container.runtime.kind == "container" for container in self._state.containers or ())

    def sockets(self) -> Mapping[str, str]:
        """Name of the instance -> socket, of the workers that answer."""
        with self._lock:
            return {slot.name: socket for slot, socket in self._state.live.items()}

    def scale(self, workers: int) -> None:
        """So many workers from now on."""
        with self._lock:
            if self._state.ending is None:
                self._state.wanted = workers
                self._fit()
        self._attention.set()

    def stop(self) -> None:
        """No worker from now on; STOPPED once the last has ended."""
        with self._lock:
            if self._state.ending is None:
                self._state.ending = DeploymentPhase.STOPPED
                for slot in self._state.slots:
                    slot.retire()
        self._attention.set()

    def end(self) -> None:
        """Kill everything."""
        with self._lock:
            self._state.ending = self._state.ending or DeploymentPhase.STOPPED
            everybody = [*self._state.slots, *self._state.leaving]
        for slot in everybody:
            slot.end()
        self._attention.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until nothing of it runs."""
        self._thread.join(timeout)

    # --- from slots' threads --------------------------------------------------------------------------------------

    def ready(self, slot: Slot, socket: Path) -> None:
        """A worker answers."""
        with self._lock:
            self._state.live[slot] = str(socket)
            self._settle()
        self._notify()

    def gone(self, slot: Slot) -> None:
        """A worker answers no more."""
        with self._lock:
            self._state.live.pop(slot, None)
        self._notify()

    def failed(self, slot: Slot, reason: str, *, started: bool) -> None:
        """One that never answered makes a deployment fail that never was ready."""
        if not started:
            self.note(slot, reason)
        with self._lock:
            state = self._state
            if state.phase is not DeploymentPhase.STARTING or state.ending is not None:
                return
            state.ending = DeploymentPhase.FAILED
            state.reason = self._ping_reason(slot, reason) if started else reason
            for each in state.slots:
                each.end()
        self._attention.set()

    def note(self, slot: Slot, text: str) -> None:
        """A line of our own in the worker's log."""
        for log in self._streams(slot):
            with contextlib.suppress(OSError):  # a full disk
                self._means.logs.append(log, f"{_OURS}{text}")

    def over(self, slot: Slot) -> None:
        """A slot has ended."""
        for log in self._streams(slot):
            with contextlib.suppress(OSError):
                self._means.logs.finish(log)
        with self._lock:
            if slot in self._state.leaving:
                self._state.leaving.remove(slot)

    # --- the group's own thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        means = self._means
        try:
            containers = prepare(self.spec.variant.containers, means.artifacts, means.runtimes, means.environments)
        except PreparationError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - told as the deployment's reason
            _LOG.exception("deployment %s", self.spec.id)
            self._fail(f"The deployment failed by a defect of mlparity: {type(error).__name__}: {error}")
        else:
            with self._lock:
                self._state.containers = containers
                self._fit()
            self._notify()
        while self._state.ending is None:
            self._attention.wait()  # listeners never hear of a wish in the thread of who wishes
            self._attention.clear()
            self._notify()
        self._join_slots()
        with self._lock:
            self._state.phase = self._state.ending or DeploymentPhase.STOPPED
        self._notify()

    def _fail(self, reason: str) -> None:
        with self._lock:
            if self._state.ending is None:
                self._state.ending, self._state.reason = DeploymentPhase.FAILED, reason
        self._attention.set()

    def _join_slots(self) -> None:
        with self._lock:
            everybody = [*self._state.slots, *self._state.leaving]
        for slot in everybody:
            slot.join()

    def _fit(self) -> None:
        """As many slots as are wanted. Under the lock."""
        state = self._state
        if state.containers is None or state.ending is not None:
            return
        while len(state.slots) < state.wanted:
            slot = self._new_slot()
            state.slots.append(slot)
            slot.start()
        while len(state.slots) > state.wanted:
            slot = next((one for one in state.slots if one not in state.live), state.slots[-1])
            state.slots.remove(slot)
            state.leaving.append(slot)
            slot.retire()
        self._settle()

    def _settle(self) -> None:
        state = self._state
        enough = state.containers is not None and len(state.live) >= state.wanted
        if state.phase is DeploymentPhase.STARTING and state.ending is None and enough:
            state.phase = DeploymentPhase.READY

    def _new_slot(self) -> Slot:
        means = self._means
        name = f"i-{means.workshop.ids.uuid().replace('-', '')[:17]}"
        drain = means.drain
        return Slot(
            name,
            self._start_worker,
            self,
            lambda socket, seconds: drain([str(socket)], seconds),
            self._limits,
            means.timing,
            means.clock,
        )

    def _start_worker(self, slot: Slot, wake: threading.Event) -> Worker:
        logs = [self._means.logs.create(log) for log in self._streams(slot)]
        name = f"{self.spec.id}-{slot.name[2:8]}"
        return Worker(self._means.workshop, name, self._state.containers or (), logs, self._limits.invocation, wake)

    def _streams(self, slot: Slot) -> Sequence[LogStream]:
        """SageMaker's names: VARIANT/INSTANCE, and for several containers one stream each."""
        name, count = f"{self.spec.variant.name}/{slot.name}", len(self.spec.variant.containers)
        names = [name] if count == 1 else [f"{name}/container-{number}" for number in range(1, count + 1)]
        return [LogStream(self.spec.log_group, each) for each in names]

    def _ping_reason(self, slot: Slot, problem: str) -> str:
        variant = self.spec.variant
        container = "primary" if len(variant.containers) == 1 else "container-1"
        said = next(filter(None, (_last_words(self._means.logs.create(log)) for log in self._streams(slot))), "")
        words = words_of(variant.containers[0].contract)
        what = f"{problem}{': ' if said else ''}{said}"
        return words.not_ready(variant.name, container, self.spec.log_group, what)

    def _notify(self) -> None:
        with self._telling:
            now = self.deployment
            if now != self._told:
                self._told = now
                self._tell(now)


def _last_words(log: Path) -> str:
    """The last line that a worker wrote itself."""
    with contextlib.suppress(OSError), log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
        lines = stream.read().decode("utf-8", "replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip() and not line.startswith(_OURS)), "")
    return ""
