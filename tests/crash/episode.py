"""One seeded episode: a real stack, a client, parts killed at random moments, and then the truth."""

from __future__ import annotations

import random
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mlparity.stack.stop import stop
from mlparity.testing import faults
from mlparity.testing.faults import Part
from mlparity.testing.stack import RunningStack, running_stack
from tests.crash.invariants import Checks, blobs, processes_of
from tests.crash.workload import Workload

_PARTS = (
    Part.CONTROL_PLANE,
    Part.CONTROL_PLANE,
    Part.CONTROL_PLANE,
    Part.SUPERVISOR,
    Part.STEWARD,
    Part.WORKER,
    Part.JOB,
    Part.MLFLOW,
)


@dataclass
class Outcome:
    """What an episode found."""

    seed: int
    kills: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {', '.join(self.kills)}; {self.done}", *self.problems[:40]]
        return "\n    ".join(lines)


class Episode:
    """``seconds`` of work and kills, then the checks."""

    def __init__(self, folder: Path, seed: int, seconds: float, *, mlflow: bool = True) -> None:
        self._data = folder / "data"
        self._seconds = seconds
        self._mlflow = mlflow
        self._chance = random.Random(seed)
        self._outcome = Outcome(seed)
        self._started: list[subprocess.Popen[bytes]] = []
        self._seen: dict[int, float] = {}  # process id -> when it started

    def run(self) -> Outcome:
        """Raises nothing of what it is to find."""
        with running_stack(self._data, mlflow=self._mlflow) as stack:
            try:
                self._work(stack)
                self._down(stack)
                self._outcome.problems += blobs(stack)
            finally:
                stop(stack.folder)
                for process in self._started:
                    process.wait()
        return self._outcome

    def _work(self, stack: RunningStack) -> None:
        workload = Workload(stack, self._outcome.seed)
        workload.prepare()
        workload.start()
        try:
            self._kill_for_a_while(stack)
        finally:
            self._bring_up(stack)
            workload.stop()
        self._remember(stack)
        jobs_killed = any(kill.startswith(f"{Part.JOB.value} ") for kill in self._outcome.kills)
        checks = Checks(stack, workload.ledger, jobs_killed=jobs_killed)
        checks.all()
        ledger = workload.ledger
        self._outcome.done = {
            "executions": len(ledger.executions),
            "jobs": len(ledger.training) + len(ledger.processing),
            "objects": len(ledger.objects),
            "packages": len(ledger.packages),
            **{f"{name} succeeded": number for name, number in checks.succeeded.items()},
        }
        self._outcome.problems += workload.problems + checks.problems

    def _kill_for_a_while(self, stack: RunningStack) -> None:
        begun = time.monotonic()
        while (at := time.monotonic() - begun) < self._seconds:
            time.sleep(min(self._chance.uniform(0.3, 5.0), self._seconds - at))
            part = self._chance.choice(_PARTS)
            self._remember(stack)
            with suppress(Exception):  # there may be no stack to look at just now
                if faults.kill(stack, part) is not None:
                    self._outcome.kills.append(f"{part.value} at {time.monotonic() - begun:.1f} s")
            if part is Part.SUPERVISOR:
                self._bring_up(stack)

    def _bring_up(self, stack: RunningStack) -> None:
        process = faults.bring_up(stack).process
        if process is not None:
            self._started.append(process)

    def _remember(self, stack: RunningStack) -> None:
        with suppress(Exception):  # as above
            root = psutil.Process(stack.record().pid)
            self._seen |= {process.pid: process.create_time() for process in [root, *root.children(recursive=True)]}

    def _down(self, stack: RunningStack) -> None:
        stop(stack.folder)
        for supervisor in self._started:
            supervisor.wait()
        for pid, started in self._seen.items():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE:
                    self._outcome.problems.append(f"process {pid} outlives `down`: {process.cmdline()}")
        left = processes_of(self._data)
        self._outcome.problems += [f"process {pid} outlives `down`: {command}" for pid, command in left.items()]
