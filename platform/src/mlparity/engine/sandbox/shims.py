"""The folder of commands that comes first on a job's PATH: warm ``python`` and offline ``pip``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from mlparity.engine.sandbox import layout as paths

# The launcher's own interpreter. A link, so that the first line of the launcher is short and has no spaces.
_INTERPRETER = ".interpreter"
_PIP = '#!/bin/sh\nexec "{python}" -m pip "$@"\n'


def python_names() -> tuple[str, ...]:
    """The commands that mean this interpreter: python, python3, python3.11."""
    return ("python", "python3", f"python3.{sys.version_info.minor}")


def inside_commands(executable: str) -> tuple[str, ...]:
    """Every first word of a command that a warm interpreter answers."""
    return (*python_names(), *(f"{paths.SHIMS}/{name}" for name in python_names()), executable)


def write(folder: Path, executable: str) -> None:
    """Fill ``folder`` (made if absent) for the interpreter ``executable``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _INTERPRETER).symlink_to(Path(executable).resolve())
    source = resources.files("mlparity.engine.warm").joinpath("launcher.py").read_text("utf-8")
    source = source.replace("@SOCKET@", paths.SOCKET).replace("@PYTHON@", executable)
    launcher = f"#!{paths.SHIMS}/{_INTERPRETER} -ISE\n{source}"
    for name in python_names():
        _write(folder / name, launcher)
    for name in _pip_names():
        _write(folder / name, _PIP.format(python=paths.PYTHON))


def _pip_names() -> Sequence[str]:
    return ("pip", "pip3")


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)
