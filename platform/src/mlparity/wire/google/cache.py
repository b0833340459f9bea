"""The descriptors in the data folder: written once for each version of the installed package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlparity.errors import MissingDependencyError, StackError
from mlparity.wire.google.descriptors import FORMAT, VERSIONS, ApiVersion

_PACKAGE = "google-cloud-aiplatform"
_SECONDS = 300.0


class GoogleApis:
    """The versions of the API, by name; each is read when it is first asked for.

    ``folder`` is where the cache is; nothing else may be kept there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, ApiVersion] = {}
        self._lock = threading.Lock()
        self._failure: StackError | None = None

    def ready(self) -> bool:
        """Whether ``get`` can answer at once. Raises ``StackError`` where ``prepare`` failed."""
        if self._failure is not None:
            raise self._failure
        return "v1" in self._loaded or self._complete(self._target())

    def prepare(self) -> None:
        """Write the cache if it is not there (about ten seconds, in another process) and read v1.

        Raises ``MissingDependencyError`` where the package is not installed, ``StackError`` where it cannot be read.
        """
        target = self._target()
        try:
            if not self._complete(target) or not self._readable():
                self._write(target)
                self.get("v1")
        except StackError as error:
            self._failure = error
            raise

    def _readable(self) -> bool:
        try:
            self.get("v1")
        except StackError:
            return False
        return True

    def get(self, name: str) -> ApiVersion:
        """One version. Raises ``StackError`` where the cache is not ready or damaged, ``KeyError`` for other names."""
        if name not in VERSIONS:
            raise KeyError(name)
        with self._lock:
            if name not in self._loaded:
                target = self._target()
                try:
                    self._loaded[name] = ApiVersion.load(target, name)
                except (OSError, ValueError, KeyError) as error:
                    shutil.rmtree(target, ignore_errors=True)
                    raise StackError("Vertex's types are not ready", repr(error), "restart the stack") from error
            return self._loaded[name]

    def _target(self) -> Path:
        try:
            return self._folder / f"aiplatform-{version(_PACKAGE)}-{FORMAT}"
        except PackageNotFoundError as error:
            raise MissingDependencyError(
                f"{_PACKAGE} is not installed", "Vertex's types are read from it", f"pip install {_PACKAGE}"
            ) from error

    @staticmethod
    def _complete(target: Path) -> bool:
        return (target / f"{VERSIONS[-1]}.json").exists()

    def _write(self, target: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=self._folder, prefix="new-"))
        try:
            _extract(new)
            for old in self._folder.glob(f"{target.name.rpartition('-')[0]}-*"):
                shutil.rmtree(old, ignore_errors=True)  # what an older mlparity wrote, or damage
            new.replace(target)
        except OSError as error:
            if not self._complete(target):  # else another process was quicker
                raise StackError("Vertex's types cannot be written", str(error), "free disk space") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _extract(folder: Path) -> None:
    command = [sys.executable, "-m", "mlparity.wire.google.extract", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS, text=True)  # noqa: S603 - our module
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        told = str(error.stderr or "").strip().splitlines()[-1:] or [str(error)]
        raise StackError(f"{_PACKAGE} cannot be read", told[0], "reinstall it") from error
