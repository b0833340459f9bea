"""How a warm interpreter ends: as a cold one would, without tearing down what the zygote imported.

A cold interpreter waits for threads, runs atexit functions, flushes, and then takes every module apart, which
for the scientific libraries takes 0.1 s. Here the last part is done for the job's own modules only, so that
their objects' destructors run; the process then ends.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import itertools
import os
import signal
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

_OURS = str(Path(__file__).parents[2])
_FLUSH_FAILED = 120  # what CPython answers when the standard streams cannot be flushed


def run(entry: types.CodeType, body: Callable[[], Any], modules_before: int) -> NoReturn:
    """Run ``body`` and end the process as an interpreter would.

    What it raises is reported without the frames above ``entry``: the job's own first one. ``modules_before``
    is how many modules there were when the job began.
    """
    try:
        body()
    except SystemExit as request:
        finish(_exit_code(request), modules_before)
    except BaseException as error:  # noqa: BLE001 - stands in for the interpreter's last resort
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code is not entry:
            trace = trace.tb_next
        fail(error.with_traceback(trace), modules_before)
    finish(0, modules_before)


def fail(error: BaseException, modules_before: int) -> NoReturn:
    """Report ``error`` and end: with code 1, or by SIGINT for a KeyboardInterrupt."""
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as request:
        finish(_exit_code(request), modules_before)
    except BaseException:  # noqa: BLE001 - as the interpreter: a broken hook does not hide the error
        print("Error in sys.excepthook:", file=sys.stderr)  # noqa: T201
        sys.__excepthook__(*sys.exc_info())
        print("\nOriginal exception was:", file=sys.stderr)  # noqa: T201
        sys.__excepthook__(type(error), error, error.__traceback__)
    finish(1, modules_before, interrupted=isinstance(error, KeyboardInterrupt))


def _exit_code(request: SystemExit) -> int:
    if request.code is None:
        return 0
    if isinstance(request.code, int):
        return request.code & 0xFF
    if sys.stderr is not None:
        sys.stderr.write(f"{request.code}\n")
    return 1


def finish(code: int, modules_before: int, *, interrupted: bool = False) -> NoReturn:
    """Everything that follows the last statement of a program."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads, as the interpreter does
    atexit._run_exitfuncs()  # noqa: SLF001
    flushed = _flush()
    _take_apart(modules_before)
    _flush()
    ctypes.CDLL(None).fflush(None)  # what C and C++ code has printed
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code if flushed else _FLUSH_FAILED)


def _flush() -> bool:
    flushed = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception:  # noqa: BLE001 - any failure counts the same
            flushed = stream is not sys.stdout and flushed
    return flushed


def _take_apart(modules_before: int) -> None:
    """Clear the job's own modules, ``__main__`` first, so that files are flushed and destructors run."""
    # From the end: looking at a preloaded module copies its memory, and there are thousands.
    newest = itertools.islice(reversed(sys.modules), max(0, len(sys.modules) - modules_before))
    own = [sys.modules[name] for name in newest if _is_own(sys.modules[name])]
    for module in (sys.modules["__main__"], *own):
        _clear(module.__dict__)
    gc.collect()


def _is_own(module: object) -> bool:
    if not isinstance(module, types.ModuleType):
        return False
    file = module.__dict__.get("__file__")
    return isinstance(file, str) and not file.startswith((sys.prefix, sys.base_prefix, _OURS))


def _clear(namespace: dict[str, Any]) -> None:
    # The order of the interpreter: private names first, then the rest; builtins stay, destructors may need them.
    for private in (True, False):
        for name in list(namespace):
            if name.startswith("_") is private and name != "__builtins__":
                namespace[name] = None
