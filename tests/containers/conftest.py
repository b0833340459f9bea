"""A container engine, and a tiny image made from this machine's own shell: nothing is pulled."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

IMAGE = "mlparity-test-shell:1"
PROGRAMS = ("sh", "cat", "ls", "sleep", "env", "id", "touch", "echo")


def engine_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    if not engine_answers():
        pytest.skip("no container engine answers (`docker info`)")
    subprocess.run(["docker", "import", "-", IMAGE], input=root_file_system(), capture_output=True, check=True)
    yield IMAGE
    subprocess.run(["docker", "image", "rm", "--force", IMAGE], capture_output=True, check=False)


def root_file_system(programs: Sequence[str] = PROGRAMS, more: Mapping[str, Path] | None = None) -> bytes:
    """The programs with the libraries that they load, and ``more`` files by their place, as a tar."""
    files: dict[str, Path] = dict(more or {})
    for name in programs:
        found = shutil.which(name)
        assert found, name
        files[f"bin/{name}"] = Path(found).resolve()
        listed = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+)", listed):
            files[library.lstrip("/")] = Path(library).resolve()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in ("tmp", "etc", "proc", "opt"):
            item = tarfile.TarInfo(folder)
            item.type, item.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(item)
        for name, path in files.items():
            tar.add(path, arcname=name)
    return packed.getvalue()
