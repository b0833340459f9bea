"""``mlparity exec``: any command, unchanged, with the clouds' own hosts answered on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlparity.cli.choice import Choice
from mlparity.cli.ctrl_c import unwind
from mlparity.cli.up import bring_up
from mlparity.errors import ConfigurationError, StackError
from mlparity.profiles.zero_change import write_zero_change_files, zero_change
from mlparity.stack.folder import DataFolder
from mlparity.stack.running import running_stack_record

if TYPE_CHECKING:
    from mlparity.profiles.model import Profile

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells say it


def exec_command(choice: Choice, command: Sequence[str]) -> int:
    """Become ``command`` with the profile's environment; only returns where it cannot be started.

    The command keeps this process's id, terminal, standard streams and signals, so its exit code is the caller's.
    """
    loaded = choice.load()
    profile = loaded.profile
    before = dict(os.environ)
    if profile.local:
        if profile.gateway is None:
            raise ConfigurationError(
                f"the profile {profile.name} has no gateway",
                "`mlparity exec` needs its port",
                "set gateway.port in the profile, or MLPARITY_GATEWAY_PORT",
            )
        _bring_up_apart(choice, profile)
        write_zero_change_files(profile, before)
    prepared = zero_change(profile, before)
    if prepared.ignored:
        hosts = ", ".join(prepared.ignored)
        sys.stderr.write(f"note: NO_PROXY's {hosts} is left out: with a local profile, nothing reaches a cloud\n")
    return _become(command, prepared.environment.applied_to(before))


def _bring_up_apart(choice: Choice, profile: Profile) -> None:
    """Bring the stack up in another process: the command must not inherit the supervisor as its child."""
    if running_stack_record(DataFolder(profile.data_dir)) is None:
        options = ["--profile", profile.name, "--data-dir", str(profile.data_dir)]
        up = [sys.executable, "-m", "mlparity.cli.main", "up", *options]
        unwind()
        process = subprocess.Popen(up, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603
        if _waited_for(process):
            raise StackError("the command was not started", "the stack did not come up", f"see `{_shown(choice)}`")
    bring_up(profile)  # says what differs where a stack with other settings runs


def _waited_for(process: subprocess.Popen[bytes]) -> int:
    """The exit code. Ctrl-C reaches the process as well: it stops what it has started, and that takes a moment."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def _shown(choice: Choice) -> str:
    return f"mlparity doctor{f' --profile {choice.profile}' if choice.profile else ''}"


def _become(command: Sequence[str], environment: Mapping[str, str]) -> int:
    program = shutil.which(command[0], path=environment.get("PATH", os.defpath))
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and ignored signals outlive exec
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if program is None:
            raise FileNotFoundError(command[0])
        os.execve(program, list(command), dict(environment))  # noqa: S606 - it is what the command is for
    except OSError as error:
        missing = program is None and not os.path.lexists(command[0])
        why = "no such program is on PATH" if missing else (error.strerror or "it cannot be executed")
        sys.stderr.write(
            f"error: {command[0]} cannot be started\n  why: {why}\n  try: check its name and permissions\n"
        )
        return NOT_FOUND if missing else NOT_EXECUTABLE
