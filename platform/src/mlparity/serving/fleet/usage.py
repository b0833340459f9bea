"""What a worker uses: read from the kernel, for the CPUUtilization and MemoryUtilization of an endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlparity.serving.probe import listener_pid


@dataclass(frozen=True)
class WorkerUsage:
    """One worker with all its processes. CPUUtilization over a time is the growth of ``cpu_seconds`` by that time."""

    instance: str  # "i-0af…", as its log stream is called
    cpu_seconds: float  # user and system, since it started
    memory_bytes: int  # resident; what it shares with others counts in full
    machine_bytes: int  # the machine's memory


def usage_of(instance: str, socket: Path) -> WorkerUsage | None:
    """The usage of what listens at ``socket`` and at those beside it; None where nothing does any more."""
    import psutil

    seconds, memory = 0.0, 0
    try:
        for place in socket.parent.iterdir():
            pid = listener_pid(place)
            if pid is None:
                return None
            main = psutil.Process(pid)
            for process in (main, *main.children(recursive=True)):
                with process.oneshot():
                    times = process.cpu_times()
                    seconds += times.user + times.system
                    memory += process.memory_info().rss
    except (psutil.Error, OSError):
        return None
    return WorkerUsage(instance, seconds, memory, psutil.virtual_memory().total)
