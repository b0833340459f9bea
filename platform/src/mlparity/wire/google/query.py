"""Query parameters to request fields, as Google's front ends bind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from mlparity.wire.google.descriptors import ApiVersion, Message
from mlparity.wire.google.json_reader import field_of, read_json
from mlparity.wire.google.status import Violation

# https://cloud.google.com/apis/docs/system-parameters
_SYSTEM = frozenset(
    {
        *("access_token", "alt", "callback", "fields", "key", "oauth_token", "prettyPrint", "quotaUser", "uploadType"),
        *("upload_protocol", "userProject", "requestReason", "%24alt"),
    }
)


def read_query(api: ApiVersion, pairs: Iterable[tuple[str, str]], message: Message) -> list[Violation]:
    """Set the fields that the pairs name; what was wrong. A repeated field takes each of its pairs."""
    found: list[Violation] = []
    collected: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in _SYSTEM and not name.startswith("$"):
            collected.setdefault(name, []).append(value)
    for name, values in collected.items():
        found += _bind(api, name, values, message)
    return found


def set_field(api: ApiVersion, path: str, value: str, message: Message) -> list[Violation]:
    """Set one field that the path of the URI gives."""
    return _bind(api, path, [value], message)


def _bind(api: ApiVersion, name: str, values: list[str], message: Message) -> list[Violation]:
    *parents, last = name.split(".")
    walked: list[str] = []
    for number, part in enumerate([*parents, last]):
        field = field_of(message.DESCRIPTOR, part)
        is_last = number == len(parents)
        if field is None or (not is_last and (field.message_type is None or field.is_repeated)):
            return [_unknown(name, part)]
        walked.append(field.name)
        if not is_last:
            message = getattr(message, field.name)
            message.SetInParent()
            continue
        if not field.is_repeated and len(values) > 1:
            text = f"Invalid value at '{'.'.join(walked)}' ({field.name}), it is given more than once"
            return [Violation(".".join(walked), text)]
        document: Any = [_value(field, value) for value in values] if field.is_repeated else _value(field, values[0])
        return read_json(api, {field.name: document}, message, ".".join(walked[:-1]))
    return []


def _value(field: FieldDescriptor, text: str) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL and text in {"true", "false"}:
        return text == "true"
    return text


def _unknown(name: str, part: str) -> Violation:
    text = f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
    return Violation("", f"{text}Field '{part}' could not be found in request message.")
