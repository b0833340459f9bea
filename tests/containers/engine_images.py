"""Images made from this machine's own files, for an engine that reaches no registry."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

PROGRAMS = ("sh", "cat", "ls", "sleep", "env", "id", "touch", "echo")


def engine_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


def root_file_system(programs: Sequence[str] = PROGRAMS, more: Mapping[str, Path] | None = None) -> bytes:
    """The programs with the libraries that they load, and ``more`` files by their place, as a tar."""
    files: dict[str, Path] = dict(more or {})
    for name in programs:
        found = shutil.which(name)
        assert found, name
        files[f"bin/{name}"] = Path(found).resolve()
    for library in libraries_of([path for place, path in files.items() if place.startswith("bin/")]):
        files[str(library).lstrip("/")] = library.resolve()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in ("tmp", "etc", "proc", "opt"):
            item = tarfile.TarInfo(folder)
            item.type, item.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(item)
        for name, path in files.items():
            tar.add(path, arcname=name)
    return packed.getvalue()


def libraries_of(programs: Iterable[Path]) -> set[Path]:
    """The shared libraries that these programs and libraries load, with their dependencies."""
    found: set[Path] = set()
    for program in programs:
        listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout  # a script?
        found |= {Path(name) for name in re.findall(r"^\s+(?:\S+ => )?(/\S+)", listed, re.MULTILINE)}
    return found
