"""The entry point: runs a command, and turns whatever goes wrong into three lines and an exit code.

Exit codes: 0 done; 1 it did not work; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from mlparity.errors import MlparityError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    import typer

    from mlparity.cli.app import app

    try:
        arguments = list(arguments) or ["--help"]
        result = typer.main.get_command(app).main(args=arguments, prog_name="mlparity", standalone_mode=False)
        sys.stdout.flush()
    except MlparityError as error:
        return _failed(error)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (``| head``) has gone; Python must not complain about it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person never sees a traceback
        return _unexpected(error)
    return result if isinstance(result, int) else 0


def _failed(error: MlparityError) -> int:
    """What, why and hint."""
    sys.stdout.flush()
    labels = ("error: ", "  why: ", "  try: ")
    for label, text in zip(labels, (error.what, error.why, error.hint), strict=True):
        if text:
            sys.stderr.write(label + text.replace("\n", "\n       ") + "\n")
    return FAILED


def _unexpected(error: Exception) -> int:
    """Usage errors speak for themselves; anything else is saved for a report."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        if type(error).__name__ == "NoArgsIsHelpError":  # a group of commands, and none of them named
            sys.stderr.write(f"{error.format_message()}\n")
            return USAGE
        context = getattr(error, "ctx", None)
        help_of = f"{context.command_path} --help" if context is not None else "mlparity --help"
        sys.stderr.write(f"error: {error.format_message()}\n  try: {help_of}\n")
        return int(error.exit_code)
    from mlparity.cli.crash import save_traceback

    place = save_traceback(error)
    sys.stderr.write(f"error: mlparity itself failed ({type(error).__name__}); the traceback is in {place}\n")
    return FAILED


if __name__ == "__main__":
    main()
