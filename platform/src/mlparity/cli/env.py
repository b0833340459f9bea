"""``mlparity env``."""

from __future__ import annotations

import os
from pathlib import Path

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.errors import ConfigurationError
from mlparity.profiles.environment import as_json, as_shell, client_environment, write_client_files
from mlparity.stack.folder import DataFolder

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
    environment = client_environment(profile, os.environ)
    output.line(as_json(environment) if shell == "json" else as_shell(environment, shell))
