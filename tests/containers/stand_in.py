"""A stand-in for `python:X.Y-slim` where no registry is to be reached: this machine's own Python, shell and libraries.

It has the official image's name and paths (/usr/local/bin/python, /usr/local/lib/pythonX.Y/site-packages), so that
Dockerfiles build unchanged. It is not the official image, and ``note`` says so wherever tests report.
"""

from __future__ import annotations

import importlib.util
import io
import os
import ssl
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.containers.engine_images import PROGRAMS, libraries_of, root_file_system

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
BASE = f"python:{VERSION}-slim"
LABEL = "mlparity.stand-in-for"
_PROGRAMS = (*PROGRAMS, "bash", "rm", "mkdir", "chmod")
_AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "dist-packages"}
_PIP = "#!/usr/local/bin/python3\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"


def note() -> str:
    """What it is and what it is not: one line."""
    return (
        f"{BASE} is a stand-in: this machine's Python {sys.version.split()[0]} and libraries, not the official image "
        "(pull that one first, and it is used instead)"
    )


def official() -> bool:
    """Whether the engine has an image of this name that is no stand-in."""
    label = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    command = ["docker", "image", "inspect", "--format", label, BASE]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.returncode == 0 and BASE not in asked.stdout


def make() -> None:
    """Import it into the engine under the official name, in the place of one that a killed run has left."""
    remove()
    names = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    names |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT"), f"/{_AUTHORITIES}")
    changes = [f"ENV {name}={value}" for name, value in names.items()]
    changes += [f"LABEL {LABEL}={BASE}", 'CMD ["python3"]']
    command = ["docker", "import", *(f"--change={change}" for change in changes), "-", BASE]
    subprocess.run(command, input=_root(), capture_output=True, check=True)


def remove() -> None:
    """Take the name away."""
    subprocess.run(["docker", "image", "rm", "--force", BASE], capture_output=True, check=False)


def _root() -> bytes:
    """The interpreter where it lies here, and over /usr/local a virtual environment of it, with pip."""
    home = Path(os.path.realpath(sys.base_prefix)) / "bin" / f"python{VERSION}"
    interpreter = home if home.exists() else Path(os.path.realpath(sys.executable))
    files = {str(path).lstrip("/"): path for path in _standard_library()}
    site = f"usr/local/lib/python{VERSION}/site-packages"
    package = _package("pip")
    for folder in (package, *package.parent.glob("pip-*.dist-info")):
        files |= {f"{site}/{path.relative_to(package.parent)}": path for path in _files(folder)}
    compiled = [path for path in files.values() if path.suffix == ".so"]
    for library in libraries_of([interpreter, *compiled, *_wheels()]):
        if not library.is_relative_to(sys.prefix):  # what a wheel brings itself
            files[str(library).lstrip("/")] = library.resolve()
    files[str(interpreter).lstrip("/")] = interpreter
    authorities = ssl.get_default_verify_paths().cafile
    if authorities:
        files[_AUTHORITIES] = Path(authorities).resolve()
    packed = io.BytesIO(root_file_system(_PROGRAMS, files))
    with tarfile.open(fileobj=packed, mode="a") as tar:
        _text(
            tar, "usr/local/pyvenv.cfg", f"home = {interpreter.parent}\ninclude-system-site-packages = false\n", 0o644
        )
        _text(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)
        _text(tar, "usr/local/bin/pip", _PIP, 0o755)
        for name in ("python", "python3", f"python{VERSION}"):
            link = tarfile.TarInfo(f"usr/local/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, str(interpreter)
            tar.addfile(link)
    return packed.getvalue()


def _standard_library() -> Iterator[Path]:
    for place in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        folder = Path(place)
        if folder.is_relative_to(sys.prefix) and sys.prefix != sys.base_prefix:
            continue  # of the environment, not of the interpreter
        yield from (path for path in _files(folder) if not _LEFT_OUT & set(path.relative_to(folder).parts))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _wheels() -> Iterator[Path]:
    """Compiled packages from PyPI: what they want of the system (libstdc++, librt), the official image has."""
    for name in ("numpy", "pyarrow", "sklearn"):
        yield from sorted(_package(name).glob("**/*.so"))[:9]


def _package(name: str) -> Path:
    """An installed package's folder; the package is not imported."""
    found = importlib.util.find_spec(name)
    assert found is not None, name
    assert found.origin is not None, name
    return Path(found.origin).parent


def _text(tar: tarfile.TarFile, name: str, content: str, mode: int) -> None:
    entry, data = tarfile.TarInfo(name), content.encode()
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
