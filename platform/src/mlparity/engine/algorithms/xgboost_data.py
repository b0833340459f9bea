"""Channels of SageMaker's XGBoost: CSV (label first, no header), LIBSVM and Parquet folders -> DMatrix.

https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost.html, "Input/Output Interface"
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from email.message import Message
from pathlib import Path
from typing import Any

from mlparity.engine.algorithms.errors import UserError

_ACCEPTED = {
    "csv": "csv",
    "text/csv": "csv",
    "libsvm": "libsvm",
    "text/libsvm": "libsvm",
    "text/x-libsvm": "libsvm",
    "parquet": "parquet",
    "application/x-parquet": "parquet",
    "recordio-protobuf": "recordio-protobuf",
    "application/x-recordio-protobuf": "recordio-protobuf",
}
_CHANNELS = ("train", "validation", "code")
_MAX_DEPTH = 3  # folders below the channel that the container still reads

_log = logging.getLogger(__name__)


def check_channels(channels: Mapping[str, Mapping[str, str]]) -> None:
    """Which channels a job may have. Raises ``UserError``."""
    if "train" not in channels:
        raise UserError("Missing required channel: train")
    for name in channels:
        if name not in _CHANNELS:
            raise UserError(f"Extraneous channel found: {name}")


def content_type(value: str | None) -> str:
    """The format that a channel's ContentType names: csv, libsvm (the default), parquet. Raises ``UserError``."""
    if not value:
        return "libsvm"
    header = Message()
    header["content-type"] = value.lower()
    main, *_ = (header["content-type"] or "").split(";")
    kind = _ACCEPTED.get(main.strip())
    if kind is None:
        raise UserError(f"{value} is not an accepted ContentType: {', '.join(_ACCEPTED)}.")
    size = header.get_param("label_size")
    if kind == "csv" and size not in {None, "1"}:
        raise UserError(f"{value} is not an accepted csv ContentType. Optional parameter label_size must be equal to 1")
    if kind == "recordio-protobuf":
        raise UserError(f"{value} is not supported by mlparity: use text/csv, text/libsvm or application/x-parquet")
    return kind


def load(channel: Path, kind: str, *, weights: bool = False, pipe: bool = False) -> Any | None:
    """A DMatrix of all files under ``channel``; None where they hold nothing. Raises ``UserError``.

    In Pipe mode (``pipe``) it is made of the channel's first epoch; that is for CSV.
    """
    files: Sequence[Any] = _piped(channel, kind) if pipe else _files(channel)
    if not files:
        return None
    readers = {"csv": _read_csv, "libsvm": _read_libsvm, "parquet": _read_parquet}
    try:
        matrix = readers[kind](files, weights)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"Failed to load {kind} data with exception:\n{error}") from error
    if matrix.get_label().size == 0:
        raise UserError("Got input data without labels. Please check the input data set.")
    return matrix


def _piped(channel: Path, kind: str) -> list[io.BytesIO]:
    if kind == "libsvm":
        raise UserError("Pipe mode not supported for LibSVM.")
    if kind != "csv":
        raise UserError(f"mlparity does not read {kind} data in Pipe mode: use text/csv, or File mode")
    data = channel.with_name(f"{channel.name}_0").read_bytes()
    return [io.BytesIO(data)] if data else []


def _files(channel: Path) -> list[Path]:
    if not channel.exists():
        return []
    files = [channel] if channel.is_file() else sorted(path for path in channel.rglob("*") if path.is_file())
    if any(path.name.startswith(".") for path in files):
        raise UserError("Hidden file found in the data path! Remove that before training.")
    kept = [path for path in files if len(path.relative_to(channel).parts) <= _MAX_DEPTH]
    if len(kept) < len(files):
        _log.warning(
            "The depth of folder %s exceed the limit %d. Files in deeper sub dirs won't be loaded. "
            "Please adjust the folder structure accordingly.",
            channel,
            _MAX_DEPTH,
        )
    return [path for path in kept if path.stat().st_size > 0]


def _delimiter(line: str) -> str:
    try:
        delimiter = csv.Sniffer().sniff(line).delimiter
    except csv.Error as error:
        raise UserError(f"Could not determine delimiter on line {line[:50]}:\n{error}") from error
    _log.info("Determined delimiter of CSV input is '%s'", delimiter)
    return delimiter


def _first_line(file: Path | io.BytesIO) -> str:
    if isinstance(file, io.BytesIO):
        line = file.readline()
        file.seek(0)
    else:
        with file.open("rb") as stream:
            line = stream.readline()
    return line.decode("utf-8", "ignore").replace("\r\n", "\n")


def _read_csv(files: Sequence[Path | io.BytesIO], weights: bool) -> Any:
    import numpy as np
    import pandas as pd
    import xgboost

    delimiter = _delimiter(_first_line(files[0]))
    frames = [pd.read_csv(file, header=None, sep=delimiter, dtype=np.float32) for file in files]
    if len({frame.shape[1] for frame in frames}) > 1:
        raise UserError("Failed to load csv data with exception:\nfiles differ in their number of columns")
    data = np.concatenate([frame.to_numpy() for frame in frames])
    first = 2 if weights else 1
    if data.shape[1] <= first:
        raise UserError("Failed to load csv data with exception:\nthere is no column besides the label")
    weight = data[:, 1] if weights else None
    return xgboost.DMatrix(data[:, first:], label=data[:, 0], weight=weight)


def _read_parquet(files: Sequence[Path], weights: bool) -> Any:  # noqa: ARG001 - csv_weights is for CSV
    import numpy as np
    import pyarrow.parquet
    import xgboost

    data = np.concatenate([pyarrow.parquet.read_table(path).to_pandas().to_numpy() for path in files])
    return xgboost.DMatrix(data[:, 1:].astype(np.float32), label=data[:, 0].astype(np.float32))


def _read_libsvm(files: Sequence[Path], weights: bool) -> Any:  # noqa: ARG001 - weights stand in the lines
    import numpy as np
    import xgboost
    from scipy.sparse import csr_matrix

    labels: list[float] = []
    line_weights: list[float] = []
    values: list[float] = []
    columns: list[int] = []
    starts = [0]
    for path in files:
        for line in path.read_text("utf-8").splitlines():
            entries = line.partition("#")[0].split()
            if not entries:
                continue
            try:
                label, _, weight = entries[0].partition(":")
                labels.append(float(label))
                line_weights.append(float(weight) if weight else 1.0)
                for entry in entries[1:]:
                    column, _, value = entry.partition(":")
                    columns.append(int(column))
                    values.append(float(value))
            except ValueError:
                raise UserError(
                    f"First line '{line[:50]}...' of file '{path.name}' is not 'LIBSVM' format. "
                    "Please ensure the file is in 'LIBSVM' format."
                ) from None
            starts.append(len(values))
    matrix = csr_matrix((np.asarray(values, dtype=np.float32), columns, starts))
    weight_column = np.asarray(line_weights) if any(weight != 1.0 for weight in line_weights) else None
    return xgboost.DMatrix(matrix, label=np.asarray(labels), weight=weight_column)
