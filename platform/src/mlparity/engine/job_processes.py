"""The processes of a job's instances, waited for and ended together."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from mlparity.engine.process import ProcessExecutor, ProcessExit, ProcessSpec, RunningProcess

_SIGKILL = 9


class JobProcesses:
    """One process an instance. The job ends when all have ended, or as soon as one of them fails.

    ``primary_decides``: also as soon as the first one ends well. After ``finish``, ``decided_by`` is the index of the
    one whose end is the job's.
    """

    def __init__(
        self,
        executor: ProcessExecutor,
        specs: Sequence[ProcessSpec],
        wake: threading.Event,
        *,
        primary_decides: bool = False,
    ) -> None:
        """Start them all, or none. ``wake`` is set when the job has ended."""
        self._wake = wake
        self._primary_decides = primary_decides
        self.decided_by = 0
        self._running: list[RunningProcess] = []
        self._exits: dict[int, ProcessExit] = {}
        self._changed = threading.Condition()
        try:
            for spec in specs:
                self._running.append(executor.start(spec))
        except BaseException:
            self.kill()
            raise
        self._watchers = [
            threading.Thread(target=self._watch, args=(index,), name=f"wait-{specs[index].id[:8]}", daemon=True)
            for index in range(len(specs))
        ]
        for watcher in self._watchers:
            watcher.start()

    def wait_all(self, timeout: float) -> bool:
        """Until every process has ended; False where ``timeout`` seconds pass first."""
        limit = time.monotonic() + timeout
        with self._changed:
            while len(self._exits) < len(self._running):
                if not self._changed.wait(limit - time.monotonic()) and time.monotonic() >= limit:
                    return False
        return True

    @property
    def ended(self) -> bool:
        """Whether the job has ended by itself."""
        with self._changed:
            return self._ended()

    def terminate(self) -> None:
        """SIGTERM to every process."""
        for process in self._running:
            process.terminate()

    def kill(self) -> None:
        """SIGKILL to everything; idempotent."""
        for process in self._running:
            process.kill()

    def finish(self) -> ProcessExit:
        """Kill what is left and say how the job ended: the first failure, or success."""
        self.kill()
        for watcher in self._watchers:
            watcher.join()
        failed = [index for index, code in self._exits.items() if not code.ok]
        lost = [index for index in failed if self._exits[index].lost]
        if failed and not self._primary_succeeded():
            self.decided_by = (lost or failed)[0]
        return self._exits.get(self.decided_by, ProcessExit(None, _SIGKILL))

    def _ended(self) -> bool:
        if len(self._exits) == len(self._running) or self._primary_succeeded():
            return True
        return any(not code.ok for code in self._exits.values())

    def _primary_succeeded(self) -> bool:
        return self._primary_decides and 0 in self._exits and self._exits[0].ok

    def _watch(self, index: int) -> None:
        code = self._running[index].wait() or ProcessExit(None, _SIGKILL)
        with self._changed:
            self._exits[index] = code
            self._changed.notify_all()
            ended = self._ended()
        if ended:
            self._wake.set()
