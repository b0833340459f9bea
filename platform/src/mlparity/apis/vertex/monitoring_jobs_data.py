"""What a monitoring run compares: the training dataset's features, and those of the requests that were logged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from mlparity.apis.vertex.monitoring_jobs_spec import Objective
from mlparity.errors import InvalidRequestError
from mlparity.monitoring.divergence import Distribution, are_numbers, distribution
from mlparity.storage.base import ObjectStore
from mlparity.storage.uris import parse_uri

LOGS = "request-response-logging"
_NUMBERS = frozenset({"number", "integer"})
_HOUR = timedelta(hours=1)
Rows = Sequence[Mapping[str, Any]]


def schema(store: ObjectStore, uri: str) -> dict[str, str]:
    """Feature -> type, in their order, of an analysis instance schema (OpenAPI in YAML); {} where there is none.

    Raises ``InvalidRequestError`` where the file is no such schema, ``StorageError`` where it is not there.
    """
    if not uri:
        return {}
    import yaml

    try:
        document = yaml.safe_load(store.get_bytes(*parse_uri(uri)))
        return {str(name): str(one["type"]) for name, one in document["properties"].items()}
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        why = "an object with properties that have a type is needed"
        raise InvalidRequestError(f"the instance schema {uri} cannot be read", f"{why}: {error}") from error


def training(store: ObjectStore, objective: Objective) -> Rows:
    """The training dataset's rows, without the target. Raises ``StorageError``, ``InvalidRequestError``."""
    rows: list[Mapping[str, Any]] = []
    for uri in objective.training_uris:
        text = store.get_bytes(*parse_uri(uri)).decode("utf-8-sig")
        try:
            rows += _from_csv(text) if objective.training_format == "csv" else map(json.loads, text.splitlines())
        except ValueError as error:
            raise InvalidRequestError(f"the training dataset {uri} cannot be read", str(error)) from error
    if objective.training_rate < 1:
        chosen = Random(_seed(objective.training_uris))  # noqa: S311 - a sample, the same each time
        rows = [row for row in rows if chosen.random() < objective.training_rate]
    return [{name: value for name, value in row.items() if name != objective.target_field} for row in rows]


def _seed(uris: Sequence[str]) -> str:
    """What a sample of a dataset is drawn with."""
    return "\n".join(uris)


def logged(
    store: ObjectStore, folder: str, start: datetime, end: datetime, names: Sequence[str]
) -> list[Mapping[str, Any]]:
    """The instances of the requests that were logged below ``folder`` (gs://…) from ``start`` to before ``end``.

    ``names`` are given to the values of instances that are arrays. Raises ``InvalidRequestError`` where there are none.
    """
    bucket, prefix = parse_uri(folder)
    found: list[Mapping[str, Any]] = []
    for hour in _hours(start, end):
        for info in store.iterate(bucket, f"{prefix}/{hour:%Y/%m/%d/%H}/"):
            for line in store.get_bytes(bucket, info.key).splitlines():
                record = json.loads(line)
                if start <= datetime.fromisoformat(record["logging_time"]) < end:
                    found += [_named(json.loads(text), names) for text in record["request_payload"]]
    return found


def distributions(rows: Rows, types: Mapping[str, bool]) -> dict[str, Distribution]:
    """Of every feature in ``rows``. ``types``: whether a feature is a number; else its values tell."""
    names = dict.fromkeys(name for row in rows for name in row)
    found = {}
    for name in names:
        values = [row.get(name) for row in rows]
        found[name] = distribution(values, numerical=types[name] if name in types else are_numbers(values))
    return found


def declared(fields: Mapping[str, str]) -> dict[str, bool]:
    """Whether a feature is a number, by the schema's types."""
    return {name: kind in _NUMBERS for name, kind in fields.items()}


def _from_csv(text: str) -> Iterator[Mapping[str, Any]]:
    """Columns of numbers alone become numbers, an empty cell is missing."""
    table = list(csv.DictReader(io.StringIO(text)))
    numeric = {name: _is_numeric(row[name] for row in table) for name in (table[0] if table else ())}
    for row in table:
        if None in row or None in row.values():
            raise ValueError("a row has not as many cells as the header")
        yield {name: (None if cell == "" else float(cell) if numeric[name] else cell) for name, cell in row.items()}


def _is_numeric(cells: Iterable[str]) -> bool:
    try:
        return bool([float(cell) for cell in cells if cell not in {"", None}])
    except ValueError:
        return False


def _named(instance: Any, names: Sequence[str]) -> Mapping[str, Any]:
    if isinstance(instance, dict):
        return instance
    values = instance if isinstance(instance, list) else [instance]
    if not names:
        raise InvalidRequestError(
            "the features of the instances have no names",
            "they are arrays of values",
            "set analysis_instance_schema_uri: its properties name the values in their order",
        )
    if len(values) != len(names):
        raise InvalidRequestError(
            f"an instance has {len(values)} values, and the schema names {len(names)} features",
            "",
            "the schema must name every value",
        )
    return dict(zip(names, values, strict=True))


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield hour
        hour += _HOUR
