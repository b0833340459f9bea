"""Predictions beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlparity.monitoring.errors import CustomerError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REGRESSION = "Regression"
BINARY = "BinaryClassification"
MULTICLASS = "MulticlassClassification"


@dataclass(frozen=True)
class Predictions:
    """Row by row: what was predicted, what was true, and how probable the positive label was (binary alone)."""

    predicted: list[str]
    actual: list[str]
    probability: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """How many rows."""
        return len(self.actual)

    def numbers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(predicted, actual) of a regression. Raises ``CustomerError`` for what is no number."""
        import numpy as np

        try:
            return np.array(self.predicted, dtype=np.float64), np.array(self.actual, dtype=np.float64)
        except ValueError as error:
            raise CustomerError(f"A regression's predictions and labels must be numbers: {error}") from error


def label(value: object) -> str:
    """A label in one form: "1", 1 and 1.0 are the same, and so are true and True."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text.lower() if text.lower() in {"true", "false"} else text
    return str(int(number)) if number.is_integer() else str(number)


def positive(labels: set[str]) -> str:
    """The label that counts as positive: 1 or true where they are there, else the last in order."""
    for candidate in ("1", "true"):
        if candidate in labels:
            return candidate
    return "1" if labels <= {"0"} else max(labels)
