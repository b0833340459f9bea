"""Python packages as jobs: where ``python_package_spec`` puts them, how they start, and what they depend on.

https://cloud.google.com/vertex-ai/docs/training/create-python-pre-built-container
"""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from email import message_from_string
from importlib import resources
from typing import Any

from mlparity.engine.jobs import JobInput
from mlparity.errors import MlparityError
from mlparity.storage.base import ObjectStore
from mlparity.storage.uris import parse_uri

FOLDER = "/user_dir"  # the job's own
_PROGRAM = f"{FOLDER}/python_package.py"
# What the SDK has an image of one's own do with a script: install its package, run its module.
_INSTALLS = re.compile(
    r"pip install --upgrade pip && pip3 install -q --user /gcs/(?P<package>[^\s&]+) "
    r"&& python3 -m (?P<module>[\w.]+)(?P<rest>.*)",
    re.DOTALL,
)
_LARGEST = 64 * 1024 * 1024  # bytes of a package that is looked into


def command(spec: Mapping[str, Any]) -> list[str]:
    """What runs a ``pythonPackageSpec`` (JSON)."""
    return ["python3", _PROGRAM, FOLDER, spec["pythonModule"], *spec.get("args", [])]


def recognised(container: Mapping[str, Any]) -> tuple[Mapping[str, Any], Sequence[str]] | None:
    """The package (JSON) that a ``containerSpec`` installs as the SDK has it, and the command that runs it without pip.

    A job's environment cannot be changed by pip here; the package is put on the path instead.
    """
    command: Sequence[str] = container.get("command", [])
    found = _INSTALLS.fullmatch(command[-1]) if command[:-1] == ["sh", "-c"] else None
    if found is None:
        return None
    package = {"packageUris": [f"gs://{found['package']}"], "pythonModule": found["module"]}
    return package, ["sh", "-c", f"exec python3 {_PROGRAM} {FOLDER} {found['module']}{found['rest']}"]


def files() -> dict[str, str]:
    """The program that ``command`` starts."""
    return {_PROGRAM: resources.files("mlparity.apis.vertex.runtime").joinpath("python_package.py").read_text("utf-8")}


def inputs(spec: Mapping[str, Any]) -> list[JobInput]:
    """The packages, in their order."""
    return [
        JobInput(f"package-{number}", uri, f"{FOLDER}/packages/{number:03d}/{uri.rpartition('/')[2]}", kind="tree")
        for number, uri in enumerate(spec["packageUris"])
    ]


def requirements(store: ObjectStore, spec: Mapping[str, Any]) -> Sequence[str]:
    """What the packages depend on."""
    return tuple(dict.fromkeys(line for texts in _packages(store, spec) for line in _declared(texts)))


def sources(store: ObjectStore, spec: Mapping[str, Any]) -> Sequence[str]:
    """The text of the packages' Python files."""
    return [text for texts in _packages(store, spec) for name, text in texts.items() if name.endswith(".py")]


def _packages(store: ObjectStore, spec: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    """The text files of each package. One that is not there or cannot be read has none: the job will say so."""
    for uri in spec["packageUris"]:
        try:
            bucket, key = parse_uri(uri)
            if store.head(bucket, key).size <= _LARGEST:
                yield _texts(store.get_bytes(bucket, key))
        except (MlparityError, tarfile.TarError, zipfile.BadZipFile, OSError, EOFError):
            continue


def _declared(texts: Mapping[str, str]) -> Iterator[str]:
    """The dependencies that a distribution declares, those of extras left out."""
    for name, text in texts.items():
        if name.endswith(("/PKG-INFO", ".dist-info/METADATA")):
            told = message_from_string(text).get_all("Requires-Dist") or []
            yield from (line for line in told if "extra ==" not in line)
        elif name.endswith(".egg-info/requires.txt"):
            yield from _plain_requirements(text)


def _plain_requirements(text: str) -> Iterator[str]:
    """Those before the first [extra]; [:marker] sections are kept, with their marker."""
    marker, wanted = "", True
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            extra, _, marker = line.strip("[]").partition(":")
            wanted = not extra
        elif wanted:
            yield f"{line}; {marker}" if marker else line


def _texts(archive: bytes) -> Mapping[str, str]:
    """The files of a distribution that are code or may declare dependencies."""
    kinds = (".py", "/PKG-INFO", ".dist-info/METADATA", ".egg-info/requires.txt")
    if zipfile.is_zipfile(io.BytesIO(archive)):
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            names = [name for name in packed.namelist() if name.endswith(kinds)]
            return {name: packed.read(name).decode("utf-8", "replace") for name in names}
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        members = [item for item in packed.getmembers() if item.isfile() and item.name.endswith(kinds)]
        return {item.name: _read(packed, item) for item in members}


def _read(packed: tarfile.TarFile, item: tarfile.TarInfo) -> str:
    stream = packed.extractfile(item)
    return "" if stream is None else stream.read().decode("utf-8", "replace")
