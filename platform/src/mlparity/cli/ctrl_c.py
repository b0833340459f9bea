"""Ctrl-C: at once and quietly as long as there is nothing to undo, as ``KeyboardInterrupt`` once there is."""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130


def leave_at_once() -> None:
    """From now on Ctrl-C ends this process with one word. For a command that has done nothing yet.

    Python would raise ``KeyboardInterrupt`` wherever it stands, also in the middle of a library's import, which tells
    of it in its own way. Where the signal is ignored (a shell's ``&``) it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def unwind() -> None:
    """From now on Ctrl-C is ``KeyboardInterrupt`` again: what is begun is undone first."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
