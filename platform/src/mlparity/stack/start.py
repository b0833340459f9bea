"""Starting a local stack: ``mlparity up``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlparity.errors import DataFolderError, PortInUseError, StackError
from mlparity.stack.children import ports
from mlparity.stack.folder import DataFolder
from mlparity.stack.health import answers
from mlparity.stack.listen import check_free
from mlparity.stack.record import StackRecord, public_settings, read_record
from mlparity.stack.running import lock_is_held, running_stack_record
from mlparity.stack.spec import LOCKED, StackSpec
from mlparity.stack.stop import end_leftovers, stop_process

_POLL_SECONDS = 0.05
_LOG_LINES = 20
_LEFTOVER_SECONDS = 5.0  # for the kernel to end what a killed supervisor has left, with its sockets
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Started:
    """A stack that answers; ``by_this_call`` is False where it ran before, or another shell started it."""

    record: StackRecord
    by_this_call: bool
    seconds: float
    process: subprocess.Popen[bytes] | None = None  # the supervisor, where this call started it


def start(
    spec: StackSpec, progress: Progress = lambda _: None, *, foreground: bool = False, timeout: float = 120.0
) -> Started:
    """Bring the stack up and wait until every part answers. Idempotent; stops what it started if interrupted.

    Raises ``StackError`` (``PortInUseError``, ``DataFolderError``) saying what is in the way; ``progress`` is called
    with a phrase whenever there is something new to say.
    """
    begun = time.monotonic()
    folder = DataFolder(spec.config.data_dir)
    folder.prepare()
    record = None
    while record is None:  # None: a stack that was stopping, or another shell's that failed, has gone
        process = _begin(spec, folder, begun + timeout, foreground=foreground)
        try:
            record = _wait(folder, process, progress, begun + timeout)
        except BaseException:
            if process is not None:
                progress("stopping")
                stop_process(process.pid)
                process.wait()
            raise
    ours = process is not None and record.pid == process.pid
    if process is not None and not ours:
        process.terminate()  # it waits for the lock that another shell's supervisor has
        process.wait()
    _same_settings(record, spec)
    return Started(record, ours, time.monotonic() - begun, process if ours else None)


def _begin(spec: StackSpec, folder: DataFolder, deadline: float, *, foreground: bool) -> subprocess.Popen[bytes] | None:
    """Start a supervisor, one shell at a time; None where one is there already.

    Two shells at once would take each other's look at the ports for another program, and one of them could take the
    other's new processes for what a killed stack has left.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder.starting_path)
    try:
        lock.acquire(timeout=max(0.0, deadline - time.monotonic()), poll_interval=_POLL_SECONDS)
    except Timeout as error:
        raise StackError(
            "the stack is not ready: another shell is starting it", "", "`mlparity down`, then `up`"
        ) from (error)
    try:
        process = None if _up_or_coming(folder) else _spawn(spec, folder, foreground=foreground)
        if process is not None:
            _until_it_has_the_folder(process, folder, deadline)
        return process
    finally:
        lock.release()


def _until_it_has_the_folder(process: subprocess.Popen[bytes], folder: DataFolder, deadline: float) -> None:
    """Wait until the supervisor holds its lock, so that every other shell sees it; or has ended, or is late."""
    try:
        while process.poll() is None and not lock_is_held(folder) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    except BaseException:
        stop_process(process.pid)
        process.wait()
        raise


def _up_or_coming(folder: DataFolder) -> bool:
    return running_stack_record(folder) is not None or lock_is_held(folder)


def _spawn(spec: StackSpec, folder: DataFolder, *, foreground: bool) -> subprocess.Popen[bytes] | None:
    """Start a supervisor; None where another shell has just done so."""
    leftovers_until = time.monotonic() + _LEFTOVER_SECONDS if end_leftovers(folder) else 0.0
    for port, part, ways in ports(spec.config):
        while True:
            try:
                check_free(port, part, ways)
                break
            except PortInUseError:
                if _up_or_coming(folder):
                    return None
                if time.monotonic() > leftovers_until:
                    raise
                time.sleep(_POLL_SECONDS)
    _forget_garbage(folder)
    command = [sys.executable, "-m", "mlparity.stack.supervisor", "--data-dir", str(folder.path)]
    with folder.log_path("supervisor").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - the stack's own modules
            [*command, "--foreground"] if foreground else command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder.path,
            start_new_session=not foreground,
        )
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as stream:  # where it has ended, ``_wait`` says why
            stream.write(spec.as_text().encode())
    return process


def _forget_garbage(folder: DataFolder) -> None:
    """Remove a damaged record that a stack which is gone has left; it would look like the new one's."""
    try:
        read_record(folder.record_path)
    except DataFolderError:
        folder.record_path.unlink(missing_ok=True)


def _wait(
    folder: DataFolder, process: subprocess.Popen[bytes] | None, progress: Progress, deadline: float
) -> StackRecord | None:
    """Poll until every part is ready and answers over HTTP; None where it is not ours and has gone."""
    own, said = process, ""
    while True:
        code = own.poll() if own is not None else None
        if code == LOCKED:
            own = None  # another shell was first: wait for its stack
        record = running_stack_record(folder)
        if own is not None and code is not None:
            raise _start_failed(folder)
        if own is None and record is None and not lock_is_held(folder):
            return None
        waiting = _not_answering(record)
        if record is not None and not waiting:
            return record
        phrase = f"waiting for {', '.join(waiting)}"
        if phrase != said:
            progress(phrase)
            said = phrase
        if time.monotonic() > deadline:
            raise StackError(
                f"the stack is not ready: {phrase}", f"its logs are in {folder.logs_dir}", "`mlparity down`, then `up`"
            )
        time.sleep(_POLL_SECONDS)


def _not_answering(record: StackRecord | None) -> list[str]:
    """The parts that do not answer yet, by name."""
    if record is None or record.stopping:
        return ["the supervisor"]
    starting = [child.name for child in record.children if child.state != "ready"]
    return starting or [child.name for child in record.children if not answers(child.health_url)]


def _start_failed(folder: DataFolder) -> StackError:
    """What the part that could not start said last."""
    record = read_record(folder.record_path)
    names = [child.name for child in record.failed] if record is not None else []
    name = names[0] if names else "supervisor"
    path = folder.log_path(name)
    what = f"{name} ended while it started" if names else "the stack ended while it started"
    return StackError(what, last_lines(path, _LOG_LINES), f"the whole log: {path}")


def last_lines(path: Path, count: int) -> str:
    """The last ``count`` lines of a log; "" where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 64_000))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-count:])
    except OSError:
        return ""


def _same_settings(record: StackRecord, spec: StackSpec) -> None:
    """A stack that runs with other settings is not the one that was asked for."""
    wanted = public_settings(spec.config.as_json())
    other = [name for name, value in wanted.items() if record.settings.get(name) != value]
    if other:
        name = other[0]
        raise StackError(
            "the stack is up already, with other settings",
            f"{name} is {record.settings.get(name)}, not {wanted[name]}",
            "`mlparity down` first, or use another --data-dir (and other ports) for a second stack",
        )
