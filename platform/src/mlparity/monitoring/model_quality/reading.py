"""Predictions and labels found in a dataset, by the attributes that the user named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlparity.monitoring import captured
from mlparity.monitoring.captured import Capture, Payload
from mlparity.monitoring.errors import CustomerError
from mlparity.monitoring.model_quality.predictions import BINARY, Predictions, label

if TYPE_CHECKING:
    import pandas as pd

_THRESHOLD = 0.5


@dataclass(frozen=True)
class Attributes:
    """Where predictions are: a column's name or index, or a JMESPath into a JSON payload."""

    problem: str
    inference: str | None = None
    probability: str | None = None
    truth: str | None = None
    threshold: float | None = None


def from_table(frame: pd.DataFrame, attributes: Attributes) -> Predictions:
    """The predictions of a baseline dataset. Raises ``CustomerError``."""
    truth = _column(frame, attributes.truth, "ground_truth_attribute")
    inference = _column(frame, attributes.inference, "inference_attribute") if attributes.inference else None
    probability = _column(frame, attributes.probability, "probability_attribute") if attributes.probability else None
    return _predictions(attributes, truth, inference, probability)


def from_captures(captures: Iterable[Capture], attributes: Attributes) -> Predictions:
    """The predictions of captured invocations that the truth was merged into. Raises ``CustomerError``."""
    truths: list[Any] = []
    inferences: list[Any] = []
    probabilities: list[Any] = []
    for capture in captures:
        if capture.truth is None or capture.output is None:
            continue
        actual = _values(capture.truth, attributes.truth)
        truths += actual
        if attributes.inference or not attributes.probability:
            inferences += _as_many(_values(capture.output, attributes.inference), actual)
        if attributes.probability:
            probabilities += _as_many(_values(capture.output, attributes.probability), actual)
    return _predictions(attributes, truths, inferences or None, probabilities or None)


def _column(frame: pd.DataFrame, attribute: str | None, what: str) -> list[Any]:
    if not attribute:
        raise CustomerError(f"{what} is needed")
    if attribute in frame.columns:
        return list(frame[attribute])
    if attribute.isdigit() and int(attribute) < frame.shape[1]:
        return list(frame.iloc[:, int(attribute)])
    raise CustomerError(f"{what}: there is no column {attribute!r}; there are {', '.join(map(str, frame.columns))}")


def _values(payload: Payload, attribute: str | None) -> list[Any]:
    text = payload.text()
    if not payload.is_json:
        lines = [line.split(",") for line in text.splitlines() if line.strip()]
        index = int(attribute) if attribute and attribute.isdigit() else 0
        if any(index >= len(cells) for cells in lines):
            raise CustomerError(f"A captured CSV payload has no column {index}: {text[:100]!r}")
        return [cells[index].strip() for cells in lines]
    return [item for value in captured.json_values(text) for item in _found(value, attribute)]


def _found(value: Any, attribute: str | None) -> list[Any]:
    if isinstance(value, dict) and attribute:
        import jmespath  # type: ignore[import-untyped]

        try:
            found = value[attribute] if attribute in value else jmespath.search(attribute, value)
        except jmespath.exceptions.JMESPathError as error:
            raise CustomerError(f"The attribute {attribute!r} is no JMESPath: {error}") from error
        if found is None:
            raise CustomerError(f"The attribute {attribute!r} finds nothing in {str(value)[:200]}")
        value = found
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        raise CustomerError(f"An attribute must say where in {str(value)[:200]} the prediction is")
    return [value]


def _as_many(values: list[Any], actual: Sequence[Any]) -> list[Any]:
    if len(values) != len(actual):
        raise CustomerError(f"An invocation has {len(values)} predictions and {len(actual)} labels")
    return values


def _predictions(
    attributes: Attributes, truth: Sequence[Any], inference: Sequence[Any] | None, probability: Sequence[Any] | None
) -> Predictions:
    import numpy as np
    import pandas as pd

    if inference is None and (probability is None or attributes.problem != BINARY):
        raise CustomerError("inference_attribute is needed, or probability_attribute of a binary classification")
    chances = None
    if probability is not None and attributes.problem == BINARY:
        try:
            chances = np.array(probability, dtype=np.float64)
        except ValueError as error:
            raise CustomerError(f"Probabilities must be numbers: {error}") from error
    threshold = _THRESHOLD if attributes.threshold is None else attributes.threshold
    if inference is None or (chances is not None and attributes.threshold is not None):
        assert chances is not None  # noqa: S101 - one of them is there
        inference = ["1" if chance > threshold else "0" for chance in chances]
    known = [i for i, (a, b) in enumerate(zip(truth, inference, strict=True)) if not (pd.isna(a) or pd.isna(b))]
    return Predictions(
        [label(inference[i]) for i in known],
        [label(truth[i]) for i in known],
        chances[known] if chances is not None else None,
    )
