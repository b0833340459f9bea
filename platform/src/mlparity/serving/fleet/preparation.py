"""What a deployment's workers share, made ready before the first of them starts: models, code, runtimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mlparity.engine.environments import requirement_lines
from mlparity.engine.process import Runtime
from mlparity.errors import MlparityError, NotFoundError, RuntimeUnavailableError
from mlparity.serving import requirements
from mlparity.serving.archive import ArchiveError
from mlparity.serving.endpoints.plans import ModelContainer
from mlparity.serving.fleet.artifacts import Artifacts
from mlparity.serving.fleet.reasons import Words, words_of

# ``skops.io`` is the format of MLflow's scikit-learn models; it imports all of scikit-learn.
_MLFLOW = (
    "mlflow.pyfunc",
    "mlflow.pyfunc.model",
    "mlflow.pyfunc.scoring_server",
    "mlflow.sklearn",
    "mlflow.xgboost",
    "skops.io",
)
SUBMIT_DIRECTORY = "SAGEMAKER_SUBMIT_DIRECTORY"


class RuntimeResolver(Protocol):
    """What image stands for what runtime."""

    def resolve(self, image: str) -> Runtime:
        """Raises ``RuntimeUnavailableError``."""
        ...


class Preparer(Protocol):
    """Makes a runtime usable: builds its environment where it needs one."""

    def ready(self, runtime: Runtime) -> Runtime:
        """Raises ``RuntimeUnavailableError``."""
        ...


class PreparationError(Exception):
    """The deployment cannot start; the text is the reason, in the vendor's words where it has some."""


@dataclass(frozen=True)
class PreparedContainer:
    """One container, ready to run any number of times."""

    runtime: Runtime
    environment: Mapping[str, str]
    role: str
    model: Path | None  # a folder to show at /opt/ml/model
    code: Path | None  # a folder to show where SAGEMAKER_SUBMIT_DIRECTORY says
    plan: ModelContainer

    @property
    def folders(self) -> Sequence[Path]:
        """What must not be pruned while it is in use."""
        return [path for path in (self.model, self.code) if path is not None]


def prepare(
    containers: Sequence[ModelContainer], artifacts: Artifacts, runtimes: RuntimeResolver, environments: Preparer
) -> list[PreparedContainer]:
    """A variant's containers. Takes as long as a download. Raises ``PreparationError``."""
    prepared = []
    for number, container in enumerate(containers, 1):
        try:
            runtime = environments.ready(runtimes.resolve(container.image))
        except RuntimeUnavailableError as error:
            raise PreparationError(error.sentence()) from error
        ready = _prepared(container, f"container_{number}", runtime, artifacts)
        ready = _with_requirements(ready, runtimes.resolve(container.image), environments)
        prepared.append(_with_mlflow(ready))
    return prepared


def _with_requirements(container: PreparedContainer, plain: Runtime, environments: Preparer) -> PreparedContainer:
    """Where the runtime is an environment of its own and the model brings requirements: one that has both."""
    path = _requirements(container) if plain.kind == "venv" else None
    if path is None:
        return container
    try:
        wanted = (*plain.requirements, *requirement_lines(path.read_text("utf-8")))
        runtime = environments.ready(replace(plain, requirements=wanted))
    except RuntimeUnavailableError as error:
        raise PreparationError(error.sentence()) from error
    return replace(container, runtime=runtime, environment={**container.environment, requirements.INSTALLED: "true"})


def _with_mlflow(container: PreparedContainer) -> PreparedContainer:
    """MLflow models fork from workers that have imported MLflow: its import takes seconds."""
    runtime = container.runtime
    is_mlflow = container.model is not None and requirements.mlflow_folder(container.model) is not None
    if not is_mlflow or not runtime.preload:
        return container
    return replace(container, runtime=replace(runtime, preload=(*runtime.preload, *_MLFLOW)))


def _requirements(container: PreparedContainer) -> Path | None:
    model, code = container.model, container.code
    own = [folder / "requirements.txt" for folder in (code, model and model / "code") if folder is not None]
    return next((path for path in own if path.is_file()), requirements.find(model) if model is not None else None)


def _prepared(container: ModelContainer, name: str, runtime: Runtime, artifacts: Artifacts) -> PreparedContainer:
    environment = dict(container.environment)
    code_uri = container.code_uri
    if not code_uri and environment.get(SUBMIT_DIRECTORY, "").startswith("s3://"):
        code_uri = environment.pop(SUBMIT_DIRECTORY)
    words = words_of(container.contract)
    model = None
    if container.model_uri:
        model = _fetched(artifacts, container.model_uri, name, words, packed=container.packed)
    code = _fetched(artifacts, code_uri, name, words, packed=True) if code_uri else None
    return PreparedContainer(runtime, environment, container.role, model, code, container)


def _fetched(artifacts: Artifacts, uri: str, name: str, words: Words, *, packed: bool) -> Path:
    try:
        return artifacts.folder(uri, packed=packed)
    except NotFoundError as error:
        raise PreparationError(words.not_found(name, uri)) from error
    except ArchiveError as error:
        raise PreparationError(words.not_unpacked(name, uri, str(error))) from error
    except (MlparityError, OSError) as error:
        raise PreparationError(words.not_placed(name, uri, str(error))) from error
