"""What a model asks for in its requirements.txt, compared with what its runtime has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

# Set where the worker's environment was built with the model's requirements in it (see ``engine.job_run``).
INSTALLED = "MLPARITY_REQUIREMENTS_INSTALLED"
_REMEDY = (
    "workers run offline in the environment that mlparity is installed in, and cannot change it: install it there, "
    "or map the image to a runtime of kind `venv` in runtimes.yaml, which is then built with the model's requirements"
)


def mlflow_folder(model: Path) -> Path | None:
    """The folder of the MLflow model: ``model`` or one below it; None where there is none."""
    candidates = (model, *sorted(path for path in model.glob("*") if path.is_dir()))
    return next((path for path in candidates if (path / "MLmodel").is_file()), None)


def find(model: Path) -> Path | None:
    """The requirements.txt of the MLflow model in ``model``; None where there is none."""
    folder = mlflow_folder(model)
    return folder / "requirements.txt" if folder is not None and (folder / "requirements.txt").is_file() else None


def unmet(path: Path) -> list[str]:
    """The lines that this environment does not meet, each with what it has instead. Options are not judged."""
    return list(_unmet(path.read_text("utf-8").splitlines()))


def refusal(path: Path, lines: Iterable[str]) -> str:
    """What to say where ``lines`` of the file are not met."""
    return f"{path.name} asks for what this runtime has not: {'; '.join(lines)}. {_REMEDY}"


def _unmet(lines: Iterable[str]) -> Iterable[str]:
    from importlib import metadata

    from packaging.requirements import InvalidRequirement, Requirement

    for line in lines:
        text = line.split(" #")[0].strip()
        if not text or text.startswith(("#", "-")):
            continue
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            yield f"{text} (not a requirement that can be checked here)"
            continue
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            found = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield f"{text} (not installed)"
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            yield f"{text} (installed: {found})"
