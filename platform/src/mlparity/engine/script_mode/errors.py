"""What the toolkit's ``train`` program may say went wrong. Names and form are part of ``FailureReason``."""

from __future__ import annotations

from collections.abc import Sequence


class ClientError(Exception):
    """A mistake of the caller: its text goes to the failure file as it is."""


class _CommandError(ClientError):
    """A command that failed: its name, exit code, what it said and the command line."""

    def __init__(self, command: Sequence[str], code: int, output: str, info: str = "") -> None:
        lines = [f"{type(self).__name__}:", f"ExitCode {code}", f'ErrorMessage "{output}"']
        lines += [f'ExtraInfo "{info}"'] if info else []
        super().__init__("\n".join([*lines, f'Command "{" ".join(command)}"']))


class InstallRequirementsError(_CommandError):
    """The script's requirements.txt could not be installed."""


class ExecuteUserScriptError(_CommandError):
    """The user's script failed."""
