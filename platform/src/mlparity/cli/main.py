"""The entry point: runs a command, and turns whatever goes wrong into three lines and an exit code.

Exit codes: 0 done; 1 it did not work; 2 wrong usage; 130 interrupted; 141 the reader of the output has gone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from mlparity.cli.ctrl_c import INTERRUPTED, leave_at_once
from mlparity.errors import MlparityError

FAILED, USAGE = 1, 2
NO_READER = 141  # as a shell tells of SIGPIPE


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    leave_at_once()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller has closed it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - for as long as the process lives
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    import typer

    from mlparity.cli.app import app

    arguments = list(arguments) or ["--help"]
    command = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="mlparity", standalone_mode=False)
        sys.stdout.flush()
    except MlparityError as error:
        return _failed(error)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        return _no_reader()
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):  # typer has met it first
            return _no_reader()
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person never sees a traceback
        return _unexpected(error, _path_of(command, arguments))
    if result == INTERRUPTED:  # so says typer of a KeyboardInterrupt
        sys.stderr.write("interrupted\n")
    return result if isinstance(result, int) else 0


def _no_reader() -> int:
    """The reader (``| head``) has gone; Python must not complain about it again at exit. The exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.__stdout__, sys.__stderr__)):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    return NO_READER


def _path_of(command: Any, arguments: Sequence[str]) -> str:
    """The command that the arguments name, e.g. "mlparity profile show"."""
    path = "mlparity"
    for word in arguments:
        below = getattr(command, "commands", {}).get(word)
        if below is not None:
            command, path = below, f"{path} {word}"
    return path


def _failed(error: MlparityError) -> int:
    """What, why and hint."""
    sys.stdout.flush()
    labels = ("error: ", "  why: ", "  try: ")
    for label, text in zip(labels, (error.what, error.why, error.hint), strict=True):
        if text:
            sys.stderr.write(label + text.replace("\n", "\n       ") + "\n")
    return FAILED


def _unexpected(error: Exception, path: str) -> int:
    """Usage errors speak for themselves; anything else is saved for a report."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        if type(error).__name__ == "NoArgsIsHelpError":  # a group of commands, and none of them named
            sys.stderr.write(f"{error.format_message()}\n")
            return USAGE
        context = getattr(error, "ctx", None)
        help_of = context.command_path if context is not None else path  # an option without its value has no context
        sys.stderr.write(f"error: {error.format_message()}\n  try: {help_of} --help\n")
        return int(error.exit_code)
    from mlparity.cli.crash import save_traceback

    place = save_traceback(error)
    sys.stderr.write(f"error: mlparity itself failed ({type(error).__name__}); the traceback is in {place}\n")
    return FAILED


if __name__ == "__main__":
    main()
