"""Property names of SageMaker's Search, as ``InputDataConfig.ChannelName``, read by the shape of a search record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from mlparity.apis.sagemaker.errors import validation

_STATISTICS = {"max": "Max", "min": "Min", "avg": "Avg", "last": "Last", "count": "Count", "stddev": "StdDev"}
_TRAINING_METRICS, _COMPONENT_METRICS = "FinalMetricDataList", "Metrics"


class Kind(StrEnum):
    """What a property's values are. LOOSE ones are texts that may be numbers: hyperparameters, parameters, tags."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    BOOLEAN = "boolean"
    LOOSE = "loose"
    OBJECT = "object"


_SCALARS = {
    "string": Kind.TEXT,
    "integer": Kind.NUMBER,
    "long": Kind.NUMBER,
    "float": Kind.NUMBER,
    "double": Kind.NUMBER,
    "timestamp": Kind.TIME,
    "boolean": Kind.BOOLEAN,
}


@dataclass(frozen=True)
class _Step:
    """One step into a record: a member, a key of a map, a tag's value, or a metric's."""

    way: str
    name: str
    statistic: str = ""


@dataclass(frozen=True)
class Property:
    """Where a property is in a record, and what its values are."""

    kind: Kind
    steps: Sequence[_Step]

    def values(self, record: Any) -> list[Any]:
        """Every value that a record has of it; lists are gone through."""
        found = [record]
        for step in self.steps:
            found = [value for item in found for value in _into(item, step)]
        if self.kind is Kind.TIME:
            return [_time(value) for value in found]
        return [_plain(value) for value in found]

    def elements(self, record: Any) -> list[Any]:
        """The same without a look into the elements: for nested filters."""
        found = [record]
        for step in self.steps:
            found = [value for item in found for value in _into(item, step)]
        return found


def _into(value: Any, step: _Step) -> list[Any]:
    if isinstance(value, list | tuple):
        return [found for item in value for found in _into(item, step)]
    if not isinstance(value, Mapping):
        return []
    if step.way == "tag":
        tags = value.get("Tags") or value.get("Model", {}).get("Tags", ())
        return [tag["Value"] for tag in tags if tag["Key"] == step.name]
    if step.way == "metric":
        return _metric(value, step)
    found = value.get(step.name)
    if found is None:
        return []
    return list(found) if isinstance(found, list | tuple) else [found]


def _metric(record: Mapping[str, Any], step: _Step) -> list[Any]:
    found = [item["Value"] for item in record.get(_TRAINING_METRICS, ()) if item["MetricName"] == step.name]
    statistic = step.statistic or "Last"
    components = [item for item in record.get(_COMPONENT_METRICS, ()) if item["MetricName"] == step.name]
    return found + [item[statistic] for item in components if statistic in item]


def _plain(value: Any) -> Any:
    """A trial component's parameter or artifact as its value."""
    if isinstance(value, Mapping):
        for member in ("NumberValue", "StringValue", "Value"):
            if member in value:
                return value[member]
    return value


def _time(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)


def locate(shapes: Mapping[str, Any], shape: str, name: str) -> Property:
    """The property called ``name`` of records of ``shape``. Raises ``ValidationException`` where there is none.

    Members are found whatever their case; keys of maps, tags and metrics are taken as they are.
    """
    head, _, rest = name.partition(".")
    if head.lower() == "tags" and rest and rest.lower() not in {"key", "value"}:
        return Property(Kind.LOOSE, (_Step("tag", rest),))
    members = shapes[shape].get("members", {})
    if head.lower() == "metrics" and rest and {_TRAINING_METRICS, _COMPONENT_METRICS} & members.keys():
        metric, _, last = rest.rpartition(".")
        if metric and last.lower() in _STATISTICS:
            return Property(Kind.NUMBER, (_Step("metric", metric, _STATISTICS[last.lower()]),))
        return Property(Kind.NUMBER, (_Step("metric", rest),))
    steps: list[_Step] = []
    kind = _walk(shapes, shape, name, steps)
    if kind is None:
        raise validation(f"Unknown property name: {name}")
    return Property(kind, tuple(steps))


def _walk(shapes: Mapping[str, Any], shape: str, path: str, steps: list[_Step]) -> Kind | None:
    """Follow ``path`` from ``shape``; the kind at its end, None where it leads nowhere."""
    described = shapes[shape]
    if described["type"] == "list":
        return _walk(shapes, described["member"]["shape"], path, steps)
    if not path:
        return _SCALARS.get(described["type"], Kind.OBJECT)
    if described["type"] == "map":
        return _walk_map(shapes, described["value"]["shape"], path, steps)
    head, _, rest = path.partition(".")
    for member, target in described.get("members", {}).items():
        if member.lower() == head.lower():
            steps.append(_Step("member", member))
            return _walk(shapes, target["shape"], rest, steps)
    return None


def _walk_map(shapes: Mapping[str, Any], value: str, path: str, steps: list[_Step]) -> Kind | None:
    """The rest of the path is a key, which may have dots; a member of a structure may follow it."""
    members = shapes[value].get("members", {})
    key, _, last = path.rpartition(".")
    if key and last in members:
        steps += [_Step("member", key), _Step("member", last)]
        return _SCALARS.get(shapes[members[last]["shape"]]["type"], Kind.OBJECT)
    steps.append(_Step("member", path))
    return Kind.LOOSE


def member_shape(shapes: Mapping[str, Any], shape: str, name: str) -> str:
    """The shape of the elements of a list property. Raises ``ValidationException`` where it is not a list."""
    current = shape
    for part in name.split("."):
        members = shapes[current].get("members", {})
        found = next((target["shape"] for key, target in members.items() if key.lower() == part.lower()), None)
        if found is None:
            raise validation(f"Unknown property name: {name}")
        current = found
        if shapes[current]["type"] == "list":
            current = shapes[current]["member"]["shape"]
    return current
