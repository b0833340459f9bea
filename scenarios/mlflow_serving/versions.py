"""Two registered versions of the model, and the aliases that say which one serves."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from mlparity.scenarios import Platform
from scenarios.mlflow_serving.digest import model_digest
from scenarios.mlflow_serving.flights import COLUMNS, TARGET
from scenarios.mlflow_serving.names import CHALLENGER, CHAMPION, EXPERIMENT, REGISTERED_MODEL

_PACKAGES = ("mlflow", "scikit-learn", "pandas", "numpy", "joblib")


@dataclass(frozen=True)
class Version:
    """A registered version with its files."""

    number: str
    folder: Path
    digest: str

    @property
    def tag(self) -> str:
        """The image's tag, and the end of every name that the version gets."""
        return self.digest[:12]


def train(flights: pd.DataFrame, *, rounds: int) -> Any:
    """A fitted estimator over what the model's own preparation makes of the flights."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    from scenarios.mlflow_serving.model.arrival_rules import prepared

    return HistGradientBoostingRegressor(max_iter=rounds, random_state=0).fit(prepared(flights), flights[TARGET])


def register(platform: Platform, estimator: Any, flights: pd.DataFrame) -> str:
    """Log the model as code with the estimator beside it, and register it; the version's number."""
    import joblib
    import mlflow

    saved = platform.workdir / "estimator.joblib"
    joblib.dump(estimator, saved)
    example = flights.head(3)[list(COLUMNS)]
    mlflow.set_tracking_uri(platform.tracking_uri)
    mlflow.set_experiment(EXPERIMENT)
    rules = str(platform.folder / "model")
    if rules not in sys.path:  # MLflow runs the model's file once before it logs it
        sys.path.insert(0, rules)
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(platform.folder / "model" / "arrival.py"),
            code_paths=[str(platform.folder / "model" / "arrival_rules.py")],
            artifacts={"estimator": str(saved)},
            signature=_signature(example),
            input_example=example,
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in _PACKAGES],
        )
    client = _client(platform)
    if REGISTERED_MODEL not in {model.name for model in client.search_registered_models()}:
        client.create_registered_model(REGISTERED_MODEL)
    return str(client.create_model_version(REGISTERED_MODEL, logged.model_uri, model_id=logged.model_id).version)


def _signature(example: pd.DataFrame) -> Any:
    from mlflow.models import infer_signature

    return infer_signature(example, pd.DataFrame({"delay_minutes": [1.5], "late": [True]}))


def fetch(platform: Platform, reference: str) -> Version:
    """The version behind ``name@alias`` or ``name/number`` of ``models:/``, with its files downloaded."""
    import mlflow

    mlflow.set_tracking_uri(platform.tracking_uri)
    name, at, alias = reference.partition("@")
    number = str(_client(platform).get_model_version_by_alias(name, alias).version) if at else name.rpartition("/")[2]
    folder = platform.workdir / "models" / number
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = Path(mlflow.artifacts.download_artifacts(f"models:/{reference}", dst_path=str(folder)))
    return Version(number, found, model_digest(found))


def aliases(platform: Platform) -> dict[str, str]:
    """Alias to version's number; empty where the model is not registered."""
    from mlflow.exceptions import MlflowException

    try:
        found = _client(platform).get_registered_model(REGISTERED_MODEL).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    return {alias: str(number) for alias, number in found.items()}


def numbers(platform: Platform) -> list[str]:
    """Of all registered versions."""
    found = _client(platform).search_model_versions(f"name = '{REGISTERED_MODEL}'")
    return sorted((str(version.version) for version in found), key=int)


def point(platform: Platform, champion: str, challenger: str) -> None:
    """Move both aliases."""
    client = _client(platform)
    client.set_registered_model_alias(REGISTERED_MODEL, CHAMPION, champion)
    client.set_registered_model_alias(REGISTERED_MODEL, CHALLENGER, challenger)


def forget(platform: Platform) -> None:
    """Delete the registered model with its versions, and the runs (which MLflow marks as deleted)."""
    from mlflow.exceptions import MlflowException

    client = _client(platform)
    try:
        client.delete_registered_model(REGISTERED_MODEL)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return
    for model in client.search_logged_models(experiment_ids=[experiment.experiment_id]):
        client.delete_logged_model(model.model_id)
    for run in client.search_runs([experiment.experiment_id]):
        client.delete_run(run.info.run_id)


def _client(platform: Platform) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=platform.tracking_uri)
