"""The program of a prebuilt training container: puts the job's Python packages on the path and runs their module.

    python3 python_package.py FOLDER MODULE ARGUMENTS…

FOLDER/packages holds source distributions and wheels, in folders that are named by their order. A package whose code
lies ready in its archive is used as it is there; any other is built by pip. Their dependencies are the stack's to
provide. It is copied into jobs and run there by itself: the standard library only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def main(folder: Path, module: str, arguments: list[str]) -> None:
    """Become ``python3 -m module``."""
    archives = sorted(path for path in (folder / "packages").glob("*/*") if path.is_file())
    places = [str(_placed(archive, folder / "code" / archive.parent.name, module)) for archive in archives]
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*reversed(places), *([inherited] if inherited else [])])
    sys.stdout.flush()
    os.execvp("python3", ["python3", "-m", module, *arguments])  # noqa: S606, S607


def _placed(archive: Path, folder: Path, module: str) -> Path:
    """The folder to import an archive's packages from."""
    folder.mkdir(parents=True)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)  # noqa: S202 - zipfile keeps members inside
        if archive.suffix == ".whl":
            return folder
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    else:
        sys.exit(f"{archive.name} is neither a source distribution nor a wheel")
    return _ready(folder, module) or _built(archive, folder)


def _ready(folder: Path, module: str) -> Path | None:
    """Where the archive's code can be imported from as it lies there; None where it must be built."""
    for root in (path for path in folder.iterdir() if path.is_dir()):
        names = _top_level(root) or [module.partition(".")[0]]
        for place in (root, root / "src"):
            if all((place / name).is_dir() or (place / f"{name}.py").is_file() for name in names):
                return None if list(root.rglob("*.pyx")) or list(root.rglob("*.c")) else place
    return None


def _top_level(root: Path) -> list[str]:
    """The names that the distribution says it installs."""
    for listed in (*root.glob("*.egg-info/top_level.txt"), *root.glob("src/*.egg-info/top_level.txt")):
        return listed.read_text("utf-8").split()
    return []


def _built(archive: Path, folder: Path) -> Path:
    target = folder / "built"
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    done = subprocess.run(  # noqa: S603
        ["python3", "-m", "pip", "install", *options, "--target", str(target), str(archive)],  # noqa: S607
        check=False,
    )
    if done.returncode:
        sys.exit(f"{archive.name} could not be installed")
    return target


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
