"""JSON to messages and back, by the types of ``server_api``, with the rules of proto3's JSON.

Read: names in snake or camel case, 64-bit integers as text or number, enums by name or number, times in RFC 3339,
unknown members dropped, null the same as absent. Written: snake case, 64-bit integers as text, times in whole seconds
(KFP stores no more), absent members with their default; of a oneof only the member that is set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from mlparity.apis.kubeflow.errors import KubeflowError, invalid
from mlparity.apis.kubeflow.server_api import Model, server_api

Message = Mapping[str, Any]

_LIST, _DICT = re.compile(r"list\[(.+)\]"), re.compile(r"dict\(str, (.+)\)")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")
# Written as text on the wire, though the generated client calls them text as well: 64-bit integers.
_LONGS = frozenset(
    {
        "max_concurrency",
        "interval_second",
        "pipeline_context_id",
        "pipeline_run_context_id",
        "execution_id",
        "long_value",
    }
)
# Members of a oneof (and what proto3 calls optional): left out unless set.
_ONEOF = {
    "V2beta1Run": frozenset({"pipeline_version_id", "pipeline_spec", "pipeline_version_reference"}),
    "V2beta1RecurringRun": frozenset({"pipeline_version_id", "pipeline_spec", "pipeline_version_reference"}),
    "V2beta1Trigger": frozenset({"cron_schedule", "periodic_schedule"}),
    "PipelineTaskDetailChildTask": frozenset({"task_id", "pod_name"}),
    "V2beta1Predicate": frozenset(
        {"int_value", "long_value", "string_value", "timestamp_value", "int_values", "long_values", "string_values"}
    ),
}


def read(kind: str, document: Any) -> dict[str, Any]:
    """The members that ``document`` sets of a message. Raises ``KubeflowError`` for a value of a wrong type."""
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise _wrong(kind, document, "")
    model = server_api().models[kind]
    found: dict[str, Any] = {}
    for name, value in document.items():
        field = _field(model, name)
        if field is not None and value is not None:
            found[field] = _value(model.fields[field], field, value)
    return found


def read_text(kind: str, name: str, text: str) -> Any:
    """A parameter of the query string. Raises ``KubeflowError``."""
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            raise invalid(f'type mismatch, parameter: {name}, error: strconv.ParseInt: parsing "{text}"') from None
    if kind == "bool":
        if text.lower() not in {"true", "false", "1", "0", ""}:
            raise invalid(f'type mismatch, parameter: {name}, error: strconv.ParseBool: parsing "{text}"')
        return text.lower() in {"true", "1"}
    return text


def write(kind: str, message: Message) -> dict[str, Any]:
    """The answer's JSON. Raises ``ValueError`` for a member that the message does not have: a defect of ours."""
    if kind == "object":
        return dict(message)
    model = server_api().models[kind]
    unknown = [name for name in message if name not in model.fields]
    if unknown:
        raise ValueError(f"{kind} has no {', '.join(unknown)}")
    oneof = _ONEOF.get(kind, frozenset())
    return {
        name: _written(field, name, message.get(name))
        for name, field in model.fields.items()
        if message.get(name) is not None or name not in oneof
    }


def read_time(text: Any) -> datetime:
    """A time of the wire, in UTC. Raises ``ValueError``."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is not a time")
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.upper())).astimezone(UTC)


def write_time(moment: datetime) -> str:
    """A time for the wire."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _field(model: Model, name: str) -> str | None:
    if name in model.fields:
        return name
    snake = re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name)
    return snake if snake in model.fields else None


def _value(kind: str, name: str, value: Any) -> Any:
    if match := _LIST.fullmatch(kind):
        if not isinstance(value, list):
            raise _wrong(name, value, "[")
        return [_value(match[1], name, item) for item in value]
    if match := _DICT.fullmatch(kind):
        if not isinstance(value, dict):
            raise _wrong(name, value, "{")
        return {str(key): _value(match[1], name, item) for key, item in value.items()}
    if kind in server_api().models:
        model = server_api().models[kind]
        return _enum(model, name, value) if model.values else read(kind, value)
    return _scalar(kind, name, value)


def _scalar(kind: str, name: str, value: Any) -> Any:
    if name in _LONGS or kind == "int":
        return _integer(name, value)
    if kind == "datetime":
        try:
            return read_time(value)
        except ValueError:
            raise invalid(f"invalid google.protobuf.Timestamp value {value!r}: field {name}") from None
    if (kind == "str" and not isinstance(value, str)) or (kind == "bool" and not isinstance(value, bool)):
        raise _wrong(name, value, kind)
    return value


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        raise _wrong(name, value, "int64")
    try:
        number = int(value)
    except ValueError:
        raise _wrong(name, value, "int64") from None
    if isinstance(value, float) and number != value:
        raise _wrong(name, value, "int64")
    return number


def _enum(model: Model, name: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value in _numbered(model):
        return _numbered(model)[value]
    if value not in model.values:
        raise _wrong(name, value, "enum")
    return str(value)


@lru_cache(maxsize=32)
def _numbered_values(name: str, values: tuple[str, ...]) -> Mapping[int, str]:
    # filter.proto leaves number 4 out.
    skipped = 4 if name == "V2beta1PredicateOperation" else len(values) + 1
    return {(place if place < skipped else place + 1): value for place, value in enumerate(values)}


def _numbered(model: Model) -> Mapping[int, str]:
    return _numbered_values(model.name, model.values)


def _wrong(name: str, value: Any, kind: str) -> KubeflowError:
    wanted = {"[": "an array", "{": "an object", "": "a message", "str": "string type"}.get(kind, f"{kind} type")
    return invalid(f"proto: syntax error: invalid value for {wanted} field {name}: {value!r}")


def _written(kind: str, name: str, value: Any) -> Any:
    if value is None:
        return _default(kind, name)
    if match := _LIST.fullmatch(kind):
        return [_written(match[1], name, item) for item in value]
    if match := _DICT.fullmatch(kind):
        return {key: _written(match[1], name, item) for key, item in value.items()}
    if kind in server_api().models and isinstance(value, Mapping):
        return write(kind, value) if kind != "ProtobufAny" else dict(value)
    if isinstance(value, datetime):
        return write_time(value)
    return str(value) if name in _LONGS else value


def _default(kind: str, name: str) -> Any:
    if name in _LONGS:
        return "0"
    if kind in _DEFAULTS:
        return _DEFAULTS[kind]()
    if _LIST.fullmatch(kind):
        return []
    if _DICT.fullmatch(kind):
        return {}
    model = server_api().models.get(kind)
    return model.values[0] if model is not None and model.values else None


_DEFAULTS: Mapping[str, Callable[[], Any]] = {"str": str, "int": int, "bool": bool, "object": lambda: None}
