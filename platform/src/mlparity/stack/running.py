"""Finding the stack of a data folder: who holds its lock, and whether the record is of a process that lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlparity.errors import DataFolderError, StackNotRunningError
from mlparity.stack.folder import DataFolder
from mlparity.stack.record import StackRecord, read_record

if TYPE_CHECKING:
    import psutil

_SAME_START_SECONDS = 1.0  # two readings of one process's start time differ by less


def lock_is_held(folder: DataFolder) -> bool:
    """Whether a supervisor lives (it holds the lock for life, and the kernel lets go of it when it dies)."""
    from filelock import FileLock, Timeout

    if not folder.lock_path.exists():
        return False
    lock = FileLock(folder.lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def same_process(pid: int, started: float) -> psutil.Process | None:
    """The process, unless it is gone or its id was given to another one."""
    import psutil

    try:
        process = psutil.Process(pid) if pid > 0 else None
        if process is None or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process if abs(process.create_time() - started) < _SAME_START_SECONDS else None
    except psutil.Error:
        return None


def running_stack_record(folder: DataFolder) -> StackRecord | None:
    """The record of the stack that runs; None where none does.

    Raises ``DataFolderError`` where one runs and its record is garbage.
    """
    try:
        record = read_record(folder.record_path)
    except DataFolderError:
        if lock_is_held(folder):
            raise
        return None
    return record if record is not None and same_process(record.pid, record.started) else None


def require_running(folder: DataFolder) -> StackRecord:
    """The record of the stack that runs. Raises ``StackNotRunningError``, ``DataFolderError``."""
    record = running_stack_record(folder)
    if record is None:
        folder.inspect()  # what is there is perhaps no data folder at all
        raise StackNotRunningError(
            "the stack is not up", f"nothing runs for the data folder {folder.path}", "start it with `mlparity up`"
        )
    return record


def supervisors_of(folder: DataFolder) -> list[psutil.Process]:
    """The supervisors of this data folder, found by their command line; for when the record is of no use."""
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "mlparity.stack.supervisor" in command and str(folder.path) in command:
            found.append(process)
    return found
