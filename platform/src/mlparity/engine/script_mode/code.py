"""The user's code: fetched into the code folder, told apart by kind, turned into a command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from mlparity.engine.script_mode.errors import ClientError

# A plain relative path: nothing that a shell or an interpreter could take for something else.
_SAFE = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._+-]*(/[A-Za-z0-9._+-]+)*")


def place(submitted: str, folder: Path) -> None:
    """Put the code into ``folder``, unless it is there already (the stack unpacks what lies in S3).

    ``submitted`` is a folder, an archive or a file in the job. Raises ``ClientError``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) or Path(submitted) == folder:
        return
    source = Path(submitted)
    if submitted.startswith("s3://"):
        raise ClientError(f"The code at {submitted} was not placed in {folder}: the archive is empty.")
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)
    elif source.is_file() and tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
    elif source.is_file():
        shutil.copy2(source, folder)
    else:
        raise ClientError(f"sagemaker_submit_directory: there is neither a folder nor an archive at {submitted}.")


def require_entry_point(name: str | None, folder: Path) -> str:
    """``name``, where it is a file of the code folder. Raises ``ClientError``."""
    if not name:
        raise ClientError(
            "The training entry point name is empty. Set the 'sagemaker_program' hyperparameter to the name of the "
            "script to run, relative to your source directory, for example 'train.py'."
        )
    if not _SAFE.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise ClientError(
            f"The training entry point {name!r} cannot be used. It must be a plain path inside your source directory: "
            "letters, digits, '.', '_', '+', '-' and '/', for example 'train.py' or 'bin/train.sh'."
        )
    script = (folder / name).resolve()
    package = (folder / "setup.py").exists()
    if not script.is_relative_to(folder.resolve()) or not (script.is_file() or package):
        found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise ClientError(f"The training entry point {name!r} is not in your source directory, which has: {found}.")
    return name


def is_command(name: str, folder: Path) -> bool:
    """Whether the entry point is run by a shell: a ``.sh``, or what is neither Python nor part of a package."""
    if name.endswith(".sh"):
        return True
    return not name.endswith(".py") and not (folder / "setup.py").exists()


def command(name: str, folder: Path, arguments: Sequence[str], *, as_module: bool) -> list[str]:
    """The command line: ``python name.py``, ``python -m name`` for packages, ``/bin/sh -c ./name.sh``."""
    if is_command(name, folder):
        path = folder / name
        path.chmod(0o777)
        return ["/bin/sh", "-c", " ".join([f"./{shlex.quote(name)}", *(shlex.quote(word) for word in arguments)])]
    if as_module or (folder / "setup.py").exists():
        return [sys.executable, "-m", name.removesuffix(".py").replace("/", "."), *arguments]
    return [sys.executable, name, *arguments]


def python_path(folder: Path, inherited: str) -> str:
    """PYTHONPATH with the code folder first."""
    return os.pathsep.join([str(folder), *([inherited] if inherited else [])])
