"""What SageMaker's XGBoost does after each round. Imports XGBoost: import it where training begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xgboost.callback import TrainingCallback

from mlparity.engine.algorithms import xgboost_checkpoints as checkpoints


class Rounds(TrainingCallback):  # type: ignore[misc]
    """Prints a line of metrics as CloudWatch shows it (tabs as #011), and saves what has to be saved."""

    def __init__(self, done: int, checkpoint_folder: Path | None, model: Path | None) -> None:
        self._done = done  # rounds of the checkpoint that training resumed from
        self._checkpoint_folder = checkpoint_folder
        self._model = model  # kept up to date where the job wants it on termination

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
        """Print and save; never stops the training."""
        number = self._done + epoch
        shown = [f"{data}-{name}:{values[-1]:.5f}" for data, log in evals_log.items() for name, values in log.items()]
        print("#011".join([f"[{number}]", *shown]), flush=True)  # noqa: T201 - the container's log line
        if self._checkpoint_folder is not None:
            checkpoints.save(model, self._checkpoint_folder, number)
        if self._model is not None:
            checkpoints.write(model, self._model)
        return False
