"""Payloads as tables: CSV, JSON, JSON Lines, LIBSVM and NPY.

JSON is read in every form that the vendors' servers take: a plain array, ``instances``, ``inputs``,
``dataframe_split`` and ``dataframe_records`` (MLflow), ``features`` and ``data`` (SageMaker's dense format).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.serving import exchange, numeric
from mlparity.serving.exchange import bad_request, unsupported_media_type
from mlparity.serving.json_codec import loads

Table = Any  # a 2-D numpy array, a scipy CSR matrix, or a pandas DataFrame where columns have names


def decode(body: bytes, content_type: str, columns: Sequence[str] = (), *, plain: bool = False) -> Table:
    """A table of ``body``. ``columns`` are the names the model knows its columns by, where it knows any.

    ``plain``: numbers in the columns' order come as an array; otherwise what has named columns comes as a frame.

    Raises ``RefusedError``: 415 for a format that is not read here, 400 for a body that is not of its format.
    """
    decoder = _DECODERS.get(content_type)
    if decoder is None:
        raise unsupported_media_type(content_type, tuple(_DECODERS))
    try:
        return decoder(body, _Columns(columns, plain))
    except Exception as error:
        raise bad_request(
            f"Loading {content_type} data failed with exception, please ensure the data is of that format: "
            f"{type(error).__name__}: {error}"
        ) from error


@dataclass(frozen=True)
class _Columns:
    names: Sequence[str]
    plain: bool

    def named(self, array: Any) -> Table:
        """``array`` as the model wants it, where it has as many columns as the model has names."""
        if self.plain or len(self.names) != array.shape[1]:
            return array
        import pandas as pd

        return pd.DataFrame(array, columns=list(self.names))


def _csv(body: bytes, wanted: _Columns) -> Table:
    columns = wanted.names
    text = body.decode("utf-8")
    if wanted.plain or not columns:
        array = numeric.csv_rows(text, columns)
        if array is not None:
            return array
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    if columns and rows[0] == list(columns):
        rows = rows[1:]
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        raise ValueError("the rows differ in their number of values")
    return _frame(rows, columns if len(columns) == width else range(width))


def _frame(rows: Sequence[Sequence[str]], columns: Sequence[str] | range) -> Table:
    """A frame whose columns are whole numbers, numbers or texts, whatever suits all their values."""
    import pandas as pd

    values = {name: _column([row[index] for row in rows]) for index, name in enumerate(columns)}
    return pd.DataFrame(values, columns=list(columns))


def _column(texts: Sequence[str]) -> Any:
    for kind in (int, float):
        try:
            return [kind(text) if text or kind is int else float("nan") for text in texts]
        except ValueError:
            continue
    return [text or None for text in texts]


def _json(body: bytes, wanted: _Columns) -> Table:
    return _json_table(loads(body), wanted)


def _json_lines(body: bytes, wanted: _Columns) -> Table:
    rows = [_json_row(loads(line)) for line in body.splitlines() if line.strip()]
    return _json_table(rows, wanted)


def _json_row(row: Any) -> Any:
    if isinstance(row, Mapping):
        if isinstance(row.get("features"), list):
            return row["features"]
        if isinstance(row.get("data"), Mapping):
            return row["data"]["features"]["values"]
    return row


def _json_table(document: Any, wanted: _Columns) -> Table:
    if isinstance(document, Mapping):
        return _json_object(document, wanted)
    import numpy as np

    rows = [_json_row(row) for row in document]
    if rows and isinstance(rows[0], Mapping):
        import pandas as pd

        return pd.DataFrame.from_records(rows)
    array = np.array(rows)
    if array.ndim == 1:  # one row, as the toolkits read a flat list
        array = array.reshape(1, -1)
    return wanted.named(array)


def _json_object(document: Mapping[str, Any], wanted: _Columns) -> Table:
    if wanted.plain:
        array = numeric.rows_of(document, dict.fromkeys(wanted.names, numeric.Kind.ANY))
        if array is not None:
            return array
    import pandas as pd

    if "dataframe_split" in document:
        split = document["dataframe_split"]
        return pd.DataFrame(split["data"], columns=split.get("columns"))
    if "dataframe_records" in document:
        return pd.DataFrame.from_records(document["dataframe_records"])
    for name in ("instances", "inputs"):
        if name in document:
            return _json_table(_rows(document[name]), wanted)
    row = _json_row(document)
    if isinstance(row, Mapping):
        return pd.DataFrame(row if all(isinstance(value, list) for value in row.values()) else [row])
    return _json_table([row], wanted)


def _rows(value: Any) -> Any:
    if isinstance(value, Mapping):  # MLflow's named inputs: column -> values
        import pandas as pd

        return pd.DataFrame(value).to_dict("records")
    return value


def _libsvm(body: bytes, wanted: _Columns) -> Table:
    import numpy as np
    from scipy.sparse import csr_matrix

    values: list[float] = []
    indices: list[int] = []
    starts = [0]
    for line in body.decode("utf-8").splitlines():
        entries = line.partition("#")[0].split()
        if not entries:
            continue
        for entry in entries:
            column, separator, value = entry.partition(":")
            if separator:  # a leading label has none
                indices.append(int(column))
                values.append(float(value))
        starts.append(len(values))
    width = max(len(wanted.names), max(indices, default=-1) + 1)
    return csr_matrix((np.asarray(values, dtype=np.float32), indices, starts), shape=(len(starts) - 1, width))


def _npy(body: bytes, wanted: _Columns) -> Table:
    import numpy as np

    array = np.load(io.BytesIO(body), allow_pickle=False)
    if array.ndim == 1:
        array = array.reshape(1, -1)
    return wanted.named(array)


_DECODERS: Mapping[str, Callable[[bytes, _Columns], Table]] = {
    exchange.CSV: _csv,
    exchange.JSON: _json,
    exchange.JSON_LINES: _json_lines,
    exchange.LIBSVM: _libsvm,
    exchange.NPY: _npy,
}
