"""Input filters, joins and output filters of a batch transform job: JSONPath over records of CSV or JSON.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html. SageMaker's subset of JSONPath
is one of RFC 9535, but for the dot that it allows before a bracket.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlparity.serving import exchange
from mlparity.serving.exchange import media_type
from mlparity.serving.transform.errors import DataError

_OUTPUT, _INPUT = "SageMakerOutput", "SageMakerInput"
_ROOT = "$"


@dataclass(frozen=True)
class Association:
    """What is done to records before and after the model."""

    content_type: str
    accept: str
    split_lines: bool
    input_filter: str = _ROOT
    output_filter: str = _ROOT
    join_input: bool = False

    @property
    def per_record(self) -> bool:
        """Whether answers have to be matched to records; else they pass as they are."""
        return self.join_input or self.output_filter != _ROOT

    def prepare(self, record: bytes) -> bytes:
        """What the model sees of a record."""
        if self.input_filter == _ROOT:
            return record
        return _write(select(self._input_path, _read(record, self.content_type)), self.content_type)

    def finish(self, records: Sequence[bytes], answer: bytes) -> bytes:
        """What is stored for a request's records, given the model's answer to it: a line a record.

        Raises ``DataError`` where the answer has not one line a record, or where a filter finds nothing.
        """
        parts = answer.splitlines() if self.split_lines else [answer]
        parts = [part for part in parts if part.strip()]
        if len(parts) != len(records):
            raise DataError(
                f"the algorithm answered with {len(parts)} records to {len(records)}: they cannot be associated"
            )
        return b"\n".join(self._finish_one(*pair) for pair in zip(records, parts, strict=True))

    def _finish_one(self, record: bytes, part: bytes) -> bytes:
        value = _read(part, self.accept)
        if self.join_input:
            value = _join(_read(record, self.content_type), value, rows=media_type(self.accept) == exchange.CSV)
        return _write(select(self._output_path, value), self.accept)

    @cached_property
    def _input_path(self) -> Any:
        return compile_path(self.input_filter)

    @cached_property
    def _output_path(self) -> Any:
        return compile_path(self.output_filter)


def compile_path(expression: str) -> Any:
    """A JSONPath as a query. Raises ``ValueError`` saying what is wrong with it."""
    import jsonpath_rfc9535 as jsonpath

    try:
        return jsonpath.compile(expression.replace(".[", "["))
    except jsonpath.JSONPathError as error:
        raise ValueError(f"{expression} is not a JSONPath: {error}") from error


def select(path: Any, value: Any) -> Any:
    """One value for a path that can only find one, an object of the named members, else the list of what it finds.

    Raises ``DataError`` where it finds nothing.
    """
    found = list(path.find(value))
    if not found:
        raise DataError(f"ClientError: the filter {path} selects nothing from a record")
    if path.singular_query():
        return found[0].value
    keys = [node.location[-1] for node in found]
    if all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys):
        return {key: node.value for key, node in zip(keys, found, strict=True)}
    return [node.value for node in found]


def _join(record: Any, output: Any, *, rows: bool) -> Any:
    if rows:
        return [*record, *output]
    if isinstance(record, dict):
        return {**record, _OUTPUT: output}
    return {_INPUT: record, _OUTPUT: output}


def _read(record: bytes, content_type: str) -> Any:
    try:
        if media_type(content_type) == exchange.CSV:
            return next(csv.reader(io.StringIO(record.decode("utf-8"))))
        return json.loads(record)
    except (ValueError, StopIteration, csv.Error) as error:
        raise DataError(f"ClientError: a record cannot be read as {content_type}: {error}") from error


def _write(value: Any, content_type: str) -> bytes:
    if media_type(content_type) != exchange.CSV:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(value if isinstance(value, list) else [value])
    return text.getvalue().encode()
