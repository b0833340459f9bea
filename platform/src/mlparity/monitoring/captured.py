"""Captured invocations: JSON lines of an endpoint's data capture, also with the truth merged in.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlparity.monitoring.errors import CustomerError

CSV, JSON, BASE64 = "CSV", "JSON", "BASE64"
_FLAT = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Payload:
    """One side of an invocation as it was captured. ``encoding`` is CSV, JSON or BASE64."""

    data: str
    encoding: str
    content_type: str = ""

    def text(self) -> str:
        """The payload itself. Raises ``CustomerError`` where it is no text."""
        if self.encoding.upper() != BASE64:
            return self.data
        try:
            return base64.b64decode(self.data, validate=True).decode("utf-8")
        except ValueError as error:
            raise CustomerError(f"A captured payload ({self.content_type}) is no text: {error}") from error

    @property
    def is_json(self) -> bool:
        """Whether the text is JSON; else it is CSV."""
        if self.encoding.upper() == BASE64:
            return "json" in self.content_type.lower()
        return self.encoding.upper() == JSON


@dataclass(frozen=True)
class Capture:
    """One invocation; ``record`` is the line as it was written."""

    record: Mapping[str, Any]
    input: Payload | None
    output: Payload | None
    truth: Payload | None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """eventId, inferenceId where the caller gave one, inferenceTime, customAttributes."""
        found: Mapping[str, Any] = self.record.get("eventMetadata", {})
        return found

    @property
    def time(self) -> datetime | None:
        """When the invocation was answered."""
        text = self.metadata.get("inferenceTime")
        try:
            return datetime.fromisoformat(text) if text else None
        except ValueError:
            return None


def read(folder: Path) -> Iterator[Capture]:
    """The captures in every file under ``folder``, by file name. Raises ``CustomerError`` naming the line."""
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield parse(line, f"{path.name}, line {number}")


def parse(line: str, where: str) -> Capture:
    """One line. Raises ``CustomerError``."""
    try:
        record = json.loads(line)
        data = record["captureData"]
        truth = record.get("groundTruthData")
        return Capture(
            record, _payload(data.get("endpointInput")), _payload(data.get("endpointOutput")), _payload(truth)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CustomerError(f"{where} is no captured record: {error!r}") from error


def _payload(side: Mapping[str, Any] | None) -> Payload | None:
    if not side:
        return None
    return Payload(side["data"], side.get("encoding", CSV), side.get("observedContentType") or "")


def rows(capture: Capture, *, output_first: bool = True) -> list[dict[str, Any]]:
    """What a capture adds to the dataset, column by column: the output's columns before the input's, or after them.

    CSV columns are called by their position ("0", "1", ...), JSON members by their names. Raises ``CustomerError``.
    """
    order = (capture.output, capture.input) if output_first else (capture.input, capture.output)
    sides = [side for side in order if side is not None]
    kinds = {side.encoding.upper() for side in sides}
    if len(kinds) > 1:
        there = capture.input.encoding if capture.input else ""
        back = capture.output.encoding if capture.output else ""
        raise CustomerError(
            f"Encoding mismatch: Encoding is {there} for endpointInput, but Encoding is {back} for endpointOutput. "
            "We currently only support the same type of input and output encoding at the moment. "
            "A record_preprocessor_script can bring them together"
        )
    tables = [_table(side) for side in sides]
    lengths = {len(table) for table in tables}
    if len(lengths) > 1:
        counts = " and ".join(str(len(table)) for table in tables)
        raise CustomerError(f"An invocation's input and output have different numbers of rows: {counts}")
    return [_side_by_side(parts, output_first=output_first) for parts in zip(*tables, strict=True)]


def _table(side: Payload) -> list[dict[str, Any]]:
    text = side.text()
    if not side.is_json:
        lines = [line for line in text.splitlines() if line.strip()]
        return [{str(index): cell.strip() or None for index, cell in enumerate(line.split(","))} for line in lines]
    return flat_records(json_values(text), "A captured JSON payload")


def json_values(text: str) -> list[Any]:
    """One JSON value, or JSON lines. Raises ``CustomerError``."""
    try:
        whole = json.loads(text)
    except ValueError:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise CustomerError(f"A captured payload is no JSON: {error}") from error
    return whole if isinstance(whole, list) else [whole]


def flat_records(values: Sequence[Any], what: str) -> list[dict[str, Any]]:
    """JSON objects of texts and numbers, as they are. Raises ``CustomerError`` for anything deeper."""
    for value in values:
        if not isinstance(value, dict) or not all(isinstance(item, _FLAT) for item in value.values()):
            raise CustomerError(
                f"{what} is neither tabular nor flattened JSON: {json.dumps(value)[:200]}. "
                "A record_preprocessor_script can flatten it"
            )
    return list(values)


def _side_by_side(parts: Sequence[dict[str, Any]], *, output_first: bool) -> dict[str, Any]:
    if all(name.isdigit() for part in parts for name in part):
        cells = [value for part in parts for value in part.values()]
        return {str(index): value for index, value in enumerate(cells)}
    joined: dict[str, Any] = {}
    # An output's member wins over an input's of the same name.
    for part in reversed(parts) if output_first else parts:
        joined = {**joined, **part}
    return joined
