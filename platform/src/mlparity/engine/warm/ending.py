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
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

_OURS = str(Path(__file__).parents[2])
_FLUSH_FAILED = 120  # what CPython answers when the standard streams cannot be flushed


def run(entry: types.CodeType, body: Callable[[], Any], modules_before: int) -> NoReturn:
    """Run ``body`` and end the process as an interpreter would.

    What it raises is reported without the frames above ``entry``: the job's own first one. ``modules_before``
    is how many modules there were when the job began. Nothing else may hold ``body``: the job's objects are to
    be let go of when it ends.
    """
    caught: BaseException | None = None
    try:
        body()
    except SystemExit as request:
        code = _exit_code(request)
    except BaseException as error:  # noqa: BLE001 - stands in for the interpreter's last resort
        caught = error
    else:
        code = 0
    del body
    if caught is None:
        finish(code, modules_before)
    trace = caught.__traceback__
    while trace is not None and trace.tb_frame.f_code is not entry:
        trace = trace.tb_next
    fail(caught.with_traceback(trace), modules_before)


def fail(error: BaseException, modules_before: int) -> NoReturn:
    """Report ``error`` and end: with code 1, or by SIGINT for a KeyboardInterrupt."""
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    broken: BaseException | None = None
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as request:
        finish(_exit_code(request), modules_before)
    except BaseException as raised:  # noqa: BLE001 - as the interpreter: a broken hook does not hide the error
        broken = raised
    if broken is not None:
        broken = broken.with_traceback(broken.__traceback__ and broken.__traceback__.tb_next)
        print("Error in sys.excepthook:", file=sys.stderr)  # noqa: T201
        sys.__excepthook__(type(broken), broken, broken.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)  # noqa: T201
        sys.__excepthook__(type(error), error, error.__traceback__)
    interrupted = isinstance(error, KeyboardInterrupt)
    del sys.last_type, sys.last_value, sys.last_traceback, error
    finish(1, modules_before, interrupted=interrupted)


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
    flushed = _flush(sys.stdout, sys.stderr)
    _take_apart(modules_before)
    flushed = _flush(sys.__stdout__, sys.__stderr__) and flushed
    ctypes.CDLL(None).fflush(None)  # what C and C++ code has printed
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code if flushed else _FLUSH_FAILED)


def _flush(stdout: Any, stderr: Any) -> bool:
    """Flush both; False where ``stdout`` cannot be."""
    flushed = True
    for stream in (stdout, stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception as error:  # noqa: BLE001 - any failure counts the same
            if stream is stdout:
                flushed = False
                print(f"Exception ignored in: {stream!r}\n{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
    return flushed


def _take_apart(modules_before: int) -> None:
    """Let go of the job's own modules, so that its files are flushed and its destructors run."""
    # From the end: looking at a preloaded module copies its memory, and there are thousands.
    newest = itertools.islice(reversed(sys.modules), max(0, len(sys.modules) - modules_before))
    own = ["__main__", *(name for name in newest if _is_own(sys.modules[name]))]
    left = [weakref.ref(sys.modules.pop(name)) for name in own]
    gc.collect()
    for reference in left:
        module = reference()
        if module is not None:  # something else still refers to it
            _clear(module.__dict__)
    gc.collect()


def _is_own(module: object) -> bool:
    if not isinstance(module, types.ModuleType):
        return False
    file = module.__dict__.get("__file__")
    return isinstance(file, str) and not file.startswith((sys.prefix, sys.base_prefix, _OURS))


def _clear(namespace: dict[str, Any]) -> None:
    # The order of the interpreter: names with one underscore first; builtins stay, destructors may need them.
    for private in (True, False):
        for name in list(namespace):
            if (name.startswith("_") and not name.startswith("__")) is private and name != "__builtins__":
                namespace[name] = None
