"""The twelve reference systems. A scenario is there when its folder has a scenario.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlparity.errors import ConfigurationError, NotFoundError

# Name and system, in the order in which they are shown.
SYSTEMS: tuple[tuple[str, str], ...] = (
    ("aws_platform", "End-to-end ML platform on AWS: MLflow server, SageMaker training, promotion to endpoints"),
    ("azure_training", "Azure ML: build, train, evaluate, register, driven by Azure DevOps stages"),
    ("sagemaker_training", "SageMaker Pipelines: process, train, evaluate, MSE gate, register with approval"),
    ("vertex_training", "Vertex AI Pipelines (KFP v2): data, train, evaluate, gate, register with lineage"),
    ("kubeflow_training", "Kubeflow Pipelines v2: two models, evaluate, select; lineage"),
    ("azure_deployment", "Azure ML endpoints: blue/green, mirror, smoke tests, monitor, retrain; batch"),
    ("mlflow_serving", "MLflow custom inference container, ECR, SageMaker endpoint; blue/green by version"),
    ("sagemaker_deployment", "Approved package to dev, pre-prod and prod endpoints; guardrails; retraining"),
    ("vertex_deployment", "Vertex registry to endpoint; traffic split; schedules; monitoring and retraining"),
    ("kserve_deployment", "KServe: select, package, InferenceService; canary; RBAC; dashboards; retraining"),
    ("dvc_versioning", "DVC data, models and pipelines; S3, Azure Blob and GCS remotes by profile"),
    ("feast_features", "Feast: offline and online stores, registry, training/serving consistency"),
)


@dataclass(frozen=True)
class Scenario:
    """One reference system. ``folder`` is None, and ``profiles`` empty, where it is not there yet."""

    name: str
    system: str
    title: str
    summary: str
    profiles: tuple[str, ...]
    folder: Path | None
    parts: Mapping[str, str] = field(default_factory=dict)  # what it can do beside its story: name -> one line

    @property
    def there(self) -> bool:
        """Whether it can be run."""
        return self.folder is not None

    def chosen_parts(self, names: Sequence[str]) -> tuple[str, ...]:
        """The parts ``names`` in the scenario's own order, each once. Raises ``NotFoundError`` for one it has not."""
        unknown = [name for name in names if name not in self.parts]
        if unknown:
            there = f"its parts: {', '.join(self.parts)}" if self.parts else "it has no parts"
            raise NotFoundError(
                f"the scenario {self.name} has no part {unknown[0]!r}", there, f"mlparity run {self.name} --all"
            )
        return tuple(name for name in self.parts if name in names)


def scenarios(folder: Path) -> list[Scenario]:
    """Every reference system, then whatever else ``folder`` holds. Raises ``ConfigurationError`` for a bad file."""
    systems = dict(SYSTEMS)
    others = sorted(path.parent.name for path in folder.glob("*/scenario.yaml") if path.parent.name not in systems)
    return [_scenario(folder / name, systems.get(name, "")) for name in (*systems, *others)]


def find_scenario(folder: Path, name: str) -> Scenario:
    """The scenario ``name``, which can be run. Raises ``NotFoundError``."""
    known = scenarios(folder)
    found = next((scenario for scenario in known if scenario.name == name), None)
    there = ", ".join(scenario.name for scenario in known if scenario.there) or "none"
    if found is None:
        raise NotFoundError(f"there is no scenario {name!r}", f"there are: {there}", "see `mlparity scenarios`")
    if not found.there:
        raise NotFoundError(f"the scenario {name} is not there yet", f"there are: {there}", "see `mlparity scenarios`")
    return found


def _scenario(folder: Path, system: str) -> Scenario:
    path = folder / "scenario.yaml"
    if not path.is_file():
        return Scenario(folder.name, system, "", "", (), None)
    document = _read(path)
    try:
        return Scenario(
            name=folder.name,
            system=str(document.get("system", system)),
            title=str(document["title"]),
            summary=str(document["summary"]),
            profiles=tuple(str(profile) for profile in document["profiles"]),
            folder=folder,
            parts={str(name): str(text) for name, text in (document.get("parts") or {}).items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{path}: {error} is missing or wrong", "a scenario has title, summary, profiles; parts: name and text"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    from mlparity.profiles.layers import read_yaml

    return read_yaml(path)
