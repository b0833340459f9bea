"""Exact environments for ``venv`` runtimes: built once by uv, named by their content, offline after that."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path

from filelock import FileLock
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mlparity.engine.process import Runtime
from mlparity.errors import RuntimeUnavailableError

# The control plane's environment is clean; what uv needs of the person's arrives under this prefix.
BUILD_VARIABLE = "MLPARITY_BUILD_"
_DONE = ".complete"
_BESIDE = "mlparity-host.pth"  # names the folder of the packages that are there besides
_TAIL = 1500  # characters of uv's message


class Environments:
    """Virtual environments under ``root``; several threads and processes may ask for the same one at once."""

    def __init__(self, root: Path, *, exact: bool = False) -> None:
        """``exact``: a job's packages are always installed as it asks, also where the host has some that will do."""
        self._root = root
        self._exact = exact
        self._lock = threading.Lock()

    def ready(self, runtime: Runtime) -> Runtime:
        """The runtime with its interpreter: built now where it is of kind ``venv`` and not there yet.

        Raises ``RuntimeUnavailableError`` with uv's own words where it cannot be built.
        """
        if runtime.kind != "venv":
            return runtime
        folder = self._root / key(runtime)
        python = folder / "bin" / "python"
        if not (folder / _DONE).exists():
            with self._lock, FileLock(self._root.with_suffix(".lock")):
                if not (folder / _DONE).exists():
                    self._build(runtime, folder)
        return replace(runtime, python=str(python))

    def with_packages(self, runtime: Runtime, packages: Sequence[str]) -> Runtime:
        """The runtime with ``packages`` (requirement specifiers) in it: as it is where the host has them all.

        Where it has not, an environment with them is laid over the host's, as pip adds to what an image has.
        Containers and built-in algorithms have what they have. Raises ``RuntimeUnavailableError``.
        """
        if not packages or runtime.kind not in {"host", "venv"}:
            return self.ready(runtime)
        if runtime.kind == "host" and not self._exact and all(_is_installed(package) for package in packages):
            return runtime
        beside = runtime.kind == "host" and not self._exact
        wanted = (*runtime.requirements, *packages)
        return self.ready(replace(runtime, kind="venv", requirements=wanted, beside_host=beside))

    def _build(self, runtime: Runtime, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # half built, by somebody who was killed
        self._root.mkdir(parents=True, exist_ok=True)
        uv = _uv(runtime)
        _run(runtime, [uv, "venv", "--quiet", "--python", _interpreter(runtime), str(folder)])
        python = str(folder / "bin" / "python")
        install = [uv, "pip", "install", "--quiet", "--python", python]
        if runtime.beside_host:
            (own_packages(folder) / _BESIDE).write_text(f"{sysconfig.get_path('purelib')}\n", "utf-8")
            kept = folder / "host.txt"
            kept.write_text("".join(f"{line}\n" for line in _host_versions(runtime.requirements)), "utf-8")
            try:  # what they need besides is best taken at the versions that the host has
                _run(runtime, [*install, "--constraints", str(kept), *runtime.requirements])
            except RuntimeUnavailableError:
                _run(runtime, [*install, *runtime.requirements])
        else:
            _run(runtime, [*install, *runtime.requirements])
        (folder / _DONE).write_text(json.dumps(list(runtime.requirements)) + "\n", "utf-8")


def key(runtime: Runtime) -> str:
    """The environment's name: the same for the same interpreter version and requirements."""
    host = _host_versions(()) if runtime.beside_host else []
    content = json.dumps([runtime.python_version or _own_version(), sorted(runtime.requirements), *host])
    return f"{runtime.name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def requirement_lines(text: str) -> list[str]:
    """The requirements in a requirements.txt. Raises ``RuntimeUnavailableError`` for what is no plain requirement.

    The environment's name is its content, so the content must all be here: no further files, paths or indexes.
    """
    joined = text.replace("\\\n", " ")
    lines = [line.partition(" #")[0].strip() for line in joined.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    for line in lines:
        if line.startswith(("-", ".", "/")):
            raise RuntimeUnavailableError(
                "the job's requirements.txt cannot be installed",
                f"its line `{line}` is no plain requirement",
                "name packages and versions only, as in `xgboost==3.0.5`",
            )
    return lines


def own_packages(folder: Path) -> Path:
    """Where an environment of this interpreter's version has its packages."""
    return folder / "lib" / f"python{_own_version()}" / "site-packages"


def _host_versions(without: Sequence[str]) -> list[str]:
    """The packages of mlparity's environment as "name==version", but for those that are asked for by name."""
    asked = {canonicalize_name(Requirement(package).name) for package in without if _is_requirement(package)}
    return [f"{name}=={version}" for name, version in _host_packages() if name not in {*asked, "mlparity"}]


@cache
def _host_packages() -> Sequence[tuple[str, str]]:
    """Name and version of every package of this environment, which stays as it is while the stack runs."""
    return sorted((canonicalize_name(item.name), item.version) for item in metadata.distributions() if item.name)


def _is_requirement(package: str) -> bool:
    try:
        Requirement(package)
    except InvalidRequirement:
        return False
    return True


def _is_installed(package: str) -> bool:
    """Whether this environment satisfies a requirement specifier. What is none (a URL, a path) is not installed."""
    try:
        wanted = Requirement(package)
        if wanted.marker is not None and not wanted.marker.evaluate():
            return True
        return wanted.url is None and wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except (InvalidRequirement, metadata.PackageNotFoundError):
        return False


def _interpreter(runtime: Runtime) -> str:
    """What uv is told to use: this very interpreter where its version will do, which uv need not find or fetch."""
    version = runtime.python_version or _own_version()
    return str(getattr(sys, "_base_executable", sys.executable)) if version == _own_version() else version


def _own_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _uv(runtime: Runtime) -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise RuntimeUnavailableError(
            f"the environment of the runtime {runtime.name} cannot be built",
            "uv is not installed",
            f"{sys.executable} -m pip install uv",
        )
    return found


_HINT = "once built it needs no network; see runtimes.yaml for what it wants, or use a runtime of kind `host`"
_PACKAGES_HINT = "look at the packages' names and versions; to install them, the package index must be reachable"


def _run(runtime: Runtime, command: Sequence[str]) -> None:
    plain = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    building = {name.removeprefix(BUILD_VARIABLE): value for name, value in plain.items()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**plain, **building})  # noqa: S603
    if done.returncode:
        raise RuntimeUnavailableError(
            f"the environment of the runtime {runtime.name} cannot be built",
            done.stderr.strip()[-_TAIL:] or f"uv ended with {done.returncode}",
            _PACKAGES_HINT if runtime.beside_host else _HINT,
        )
