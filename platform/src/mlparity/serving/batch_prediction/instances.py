"""Instances of JSON Lines, CSV and lists of files, as Vertex AI's batch prediction reads them.

https://cloud.google.com/vertex-ai/docs/predictions/get-batch-predictions#input_data_requirements
"""

from __future__ import annotations

import csv
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.serving.batch_prediction.plan import Conversion, InputFile


@dataclass(frozen=True)
class Instance:
    """``shown`` is what the results tell of it: {"instance": …} or {"key": …}. ``wrong``: why it cannot be sent."""

    shown: dict[str, Any]
    sent: Any
    wrong: str = ""


def instances(files: Sequence[InputFile], conversion: Conversion) -> Iterator[Instance]:
    """Those of all files, in order."""
    for file in files:
        if conversion.format == "csv":
            yield from _rows(file, conversion)
        elif conversion.format == "file-list":
            content = Path(file.path).read_bytes()
            yield Instance({"instance": file.uri}, {"b64": b64encode(content).decode()})
        else:
            yield from _lines(file, conversion)


def _lines(file: InputFile, conversion: Conversion) -> Iterator[Instance]:
    with Path(file.path).open("rb") as stream:
        for line in stream:
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                yield Instance({"instance": line.decode("utf-8", "replace").strip()}, None, f"invalid JSON: {error}")
                continue
            yield _converted(value, conversion)


def _converted(value: Any, conversion: Conversion) -> Instance:
    shown = {"instance": value}
    wants_object = conversion.instance_type == "object" or conversion.included or conversion.excluded
    if (wants_object or conversion.key_field) and not isinstance(value, dict):
        return Instance(shown, None, "the line is no JSON object")
    if not isinstance(value, dict):
        return Instance(shown, value)
    if conversion.key_field:
        if conversion.key_field not in value:
            return Instance(shown, None, f"the instance has no key field {conversion.key_field!r}")
        shown = {"key": value[conversion.key_field]}
    names = conversion.included or [name for name in value if name not in conversion.excluded]
    names = [name for name in names if name != conversion.key_field]
    absent = [name for name in names if name not in value]
    if absent:
        return Instance(shown, None, f"the instance has no field {absent[0]!r}")
    if conversion.instance_type == "array":
        return Instance(shown, [value[name] for name in names])
    return Instance(shown, {name: value[name] for name in names})


def _rows(file: InputFile, conversion: Conversion) -> Iterator[Instance]:
    """Values in quotes are texts, all others numbers."""
    with Path(file.path).open(encoding="utf-8", newline="") as stream:
        header = next(csv.reader([next(stream, "")]), [])
        for line in stream:
            plain = line.strip("\r\n")
            if plain:
                yield _row(plain, header, conversion)


def _row(line: str, header: Sequence[str], conversion: Conversion) -> Instance:
    try:
        (row,) = csv.reader([line], quoting=csv.QUOTE_NONNUMERIC)
    except ValueError as error:
        return Instance({"instance": line}, None, f"a value without quotes is no number: {error}")
    if len(row) != len(header):
        return Instance({"instance": row}, None, f"the row has {len(row)} values, the header {len(header)}")
    if not conversion.key_field:
        return Instance({"instance": row}, row)
    if conversion.key_field not in header:
        return Instance({"instance": row}, None, f"the header has no key field {conversion.key_field!r}")
    place = header.index(conversion.key_field)
    return Instance({"key": row[place]}, [*row[:place], *row[place + 1 :]])
