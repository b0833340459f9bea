"""Stopping a local stack: ``mlparity down``. Leaves no process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlparity.errors import DataFolderError, StackError
from mlparity.stack.folder import DataFolder
from mlparity.stack.record import StackRecord, read_record
from mlparity.stack.running import same_process, supervisors_of

if TYPE_CHECKING:
    import psutil

_GRACE_SECONDS = 20.0  # more than the supervisor gives its children
_KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Stopped:
    """What was stopped: names of parts, and how many processes had to be killed."""

    parts: tuple[str, ...]
    killed: int


def stop(folder: DataFolder) -> Stopped:
    """Stop the stack of ``folder``. Idempotent. Raises ``StackError`` where a process survives SIGKILL."""
    try:
        record = read_record(folder.record_path)
    except DataFolderError:
        record = None
    roots = _roots(folder, record)
    if not roots:
        if folder.path.is_dir():
            folder.record_path.unlink(missing_ok=True)
        return Stopped((), 0)
    killed = _stop_all(roots)
    folder.record_path.unlink(missing_ok=True)
    parts = tuple(child.name for child in record.children if child.pid) if record is not None else ()
    return Stopped(parts or ("supervisor",), killed)


def end_leftovers(folder: DataFolder) -> bool:
    """End the parts that a killed supervisor has left, where the kernel has not yet; whether one was killed here."""
    import psutil

    try:
        record = read_record(folder.record_path)
    except DataFolderError:
        return True
    if record is None:
        return False
    parts = [same_process(child.pid, child.started) for child in record.children]
    tree = [process for part in parts if part is not None for process in [part, *_below(part)]]
    for process in tree:
        _kill(process)
    psutil.wait_procs(tree, timeout=_KILL_SECONDS)
    return True


def stop_process(pid: int) -> int:
    """Stop one supervisor and everything below it; how many processes had to be killed."""
    import psutil

    try:
        return _stop_all([psutil.Process(pid)])
    except psutil.NoSuchProcess:
        return 0


def _roots(folder: DataFolder, record: StackRecord | None) -> list[psutil.Process]:
    """The supervisor, and what an earlier one may have left."""
    known = [(record.pid, record.started)] if record is not None else []
    known += [(child.pid, child.started) for child in record.children] if record is not None else []
    found = [process for pid, started in known if (process := same_process(pid, started)) is not None]
    seen = {process.pid for process in found}
    return found + [process for process in supervisors_of(folder) if process.pid not in seen]


def _stop_all(roots: Iterable[psutil.Process]) -> int:
    """SIGTERM to the roots; after the grace, SIGKILL to whatever is left of their trees."""
    import psutil

    roots = list(roots)
    tree = {process.pid: process for root in roots for process in [root, *_below(root)]}
    supervisors = [root for root in roots if root.pid == roots[0].pid or not _is_below(root, roots[0])]
    for root in supervisors:
        _terminate(root)
    _, alive = psutil.wait_procs(supervisors, timeout=_GRACE_SECONDS)
    for root in alive:
        tree |= {process.pid: process for process in _below(root)}
    left = [process for process in tree.values() if _lives(process)]
    for process in left:
        _kill(process)
    _, survivors = psutil.wait_procs(left, timeout=_KILL_SECONDS)
    if survivors:
        raise StackError(f"process {survivors[0].pid} cannot be stopped", "it survived SIGKILL", "see `ps`")
    return len(left)


def _below(process: psutil.Process) -> list[psutil.Process]:
    import psutil

    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _is_below(process: psutil.Process, root: psutil.Process) -> bool:
    return any(child.pid == process.pid for child in _below(root))


def _lives(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _terminate(process: psutil.Process) -> None:
    import psutil

    try:
        process.terminate()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise StackError(
            f"process {process.pid} cannot be stopped", "it belongs to another user", "run the command as that user"
        ) from error


def _kill(process: psutil.Process) -> None:
    import psutil

    try:
        process.kill()
    except psutil.Error:
        return
