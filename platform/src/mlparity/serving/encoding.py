"""Predictions as CSV, JSON, JSON Lines or NPY."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from mlparity.serving import exchange
from mlparity.serving.exchange import Reply, not_acceptable
from mlparity.serving.json_codec import dumps


class JsonForm(Enum):
    """How a family of servers writes predictions in JSON."""

    ARRAY = "array"  # SageMaker's scikit-learn images: the plain (nested) list
    SCORES = "scores"  # SageMaker's XGBoost: {"predictions": [{"score": 0.5}, ...]}
    MLFLOW = "mlflow"  # {"predictions": [...]}


def encode(predictions: Any, accept: str, form: JsonForm) -> Reply:
    """``predictions`` (array, frame, series or list; one entry a row) in the wanted format.

    Raises ``RefusedError`` 406 for a format that is not written here.
    """
    encoder = _ENCODERS.get(accept)
    if encoder is None:
        raise not_acceptable(accept, tuple(_ENCODERS))
    return Reply(encoder(predictions, form), accept)


def rows(predictions: Any) -> list[Any]:
    """Plain Python values: one entry a row; a frame's rows are records."""
    if hasattr(predictions, "to_dict") and hasattr(predictions, "columns"):
        records: list[Any] = predictions.to_dict("records")
        return records
    if hasattr(predictions, "tolist"):
        values: Any = predictions.tolist()
        return values if isinstance(values, list) else [values]
    return list(predictions) if isinstance(predictions, list | tuple) else [predictions]


def _csv(predictions: Any, form: JsonForm) -> bytes:  # noqa: ARG001 - CSV has one form
    import csv

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows(predictions):
        if isinstance(row, Mapping):
            writer.writerow(row.values())
        else:
            writer.writerow(row if isinstance(row, list) else [row])
    return text.getvalue().encode()


def _json(predictions: Any, form: JsonForm) -> bytes:
    if form is JsonForm.ARRAY and not hasattr(predictions, "columns"):  # a scalar or an object stays what it is
        return dumps(predictions.tolist() if hasattr(predictions, "tolist") else predictions)
    values = rows(predictions)
    if form is JsonForm.SCORES:
        return dumps({"predictions": [{"score": value} for value in values]})
    if form is JsonForm.MLFLOW:
        return dumps({"predictions": values})
    return dumps(values)


def _json_lines(predictions: Any, form: JsonForm) -> bytes:
    values = rows(predictions)
    if form is JsonForm.SCORES:
        values = [{"score": value} for value in values]
    return b"".join(dumps(value) + b"\n" for value in values)


def _npy(predictions: Any, form: JsonForm) -> bytes:  # noqa: ARG001 - NPY has one form
    import numpy as np

    stream = io.BytesIO()
    np.save(stream, np.asarray(predictions))
    return stream.getvalue()


_ENCODERS: Mapping[str, Callable[[Any, JsonForm], bytes]] = {
    exchange.CSV: _csv,
    exchange.JSON: _json,
    exchange.JSON_LINES: _json_lines,
    exchange.NPY: _npy,
}
