"""Which executor runs a process: containers for runtimes of kind ``container``, the sandbox for all others."""

from __future__ import annotations

from mlparity.engine.process import ProcessExecutor, ProcessSpec, RunningProcess


class Executors:
    """A ``ProcessExecutor`` of two."""

    def __init__(self, sandbox: ProcessExecutor, containers: ProcessExecutor) -> None:
        self._sandbox = sandbox
        self._containers = containers

    def start(self, spec: ProcessSpec) -> RunningProcess:
        """Start ``spec`` where its runtime belongs."""
        chosen = self._containers if spec.runtime.kind == "container" else self._sandbox
        return chosen.start(spec)

    def close(self) -> None:
        """Kill everything."""
        self._sandbox.close()
        self._containers.close()
