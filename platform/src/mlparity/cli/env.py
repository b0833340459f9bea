"""``mlparity env``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.errors import ConfigurationError, DataFolderError
from mlparity.profiles.environment import as_json, as_shell, client_environment, write_client_files
from mlparity.stack.folder import DataFolder
from mlparity.stack.record import public_settings
from mlparity.stack.resolve import control_plane_config
from mlparity.stack.running import running_stack_record

if TYPE_CHECKING:
    from mlparity.profiles.model import Profile

_SHELLS = ("bash", "fish", "json")


def env(choice: Choice, shell: str) -> None:
    """Print the profile's environment for ``shell``; "" is the person's own."""
    shell = shell or ("fish" if Path(os.environ.get("SHELL", "")).name == "fish" else "bash")
    if shell in ("sh", "zsh", "posix"):
        shell = "bash"
    if shell not in _SHELLS:
        raise ConfigurationError(f"--shell {shell}: no such shell", f"allowed: {', '.join(_SHELLS)}")
    profile = choice.load().profile
    if profile.local:
        DataFolder(profile.data_dir).prepare()
        write_client_files(profile)
        _tell_of_another(profile)
    environment = client_environment(profile, os.environ)
    output.line(as_json(environment) if shell == "json" else as_shell(environment, shell))


# What a client is told, and where it would then look in vain. The rest of the settings is the stack's own business.
_TOLD = (
    "aws_port",
    "mlflow_port",
    "gcp_port",
    "pipelines_port",
    "gateway_port",
    "region",
    "account_id",
    "role_name",
    "access_key_id",
    "gcp_project",
    "gcp_location",
)


def _tell_of_another(profile: Profile) -> None:
    """Note on standard error that the stack which is up has other values than the environment that is printed."""
    try:
        record = running_stack_record(DataFolder(profile.data_dir))
    except DataFolderError:
        return
    if record is None:
        return
    wanted = public_settings(control_plane_config(profile).as_json())
    other = [name for name in _TOLD if record.settings.get(name) != wanted[name]]
    if other:
        differing = ", ".join(f"{name} {record.settings.get(name)}, not {wanted[name]}" for name in other)
        sys.stderr.write(f"note: the stack that is up has {differing}\n")
