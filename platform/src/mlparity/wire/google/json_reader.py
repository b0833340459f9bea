"""JSON to protobuf as Google's front ends read it: strictly, and every fault named with its path.

https://protobuf.dev/programming-guides/json/ ; the wording of faults is that of Google's transcoder.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError

from mlparity.wire.google.descriptors import ApiVersion, Message
from mlparity.wire.google.status import Violation

_DEEPEST = 100
_INTEGERS = {
    FieldDescriptor.TYPE_INT32: ("TYPE_INT32", -(2**31), 2**31),
    FieldDescriptor.TYPE_SINT32: ("TYPE_SINT32", -(2**31), 2**31),
    FieldDescriptor.TYPE_SFIXED32: ("TYPE_SFIXED32", -(2**31), 2**31),
    FieldDescriptor.TYPE_UINT32: ("TYPE_UINT32", 0, 2**32),
    FieldDescriptor.TYPE_FIXED32: ("TYPE_FIXED32", 0, 2**32),
    FieldDescriptor.TYPE_INT64: ("TYPE_INT64", -(2**63), 2**63),
    FieldDescriptor.TYPE_SINT64: ("TYPE_SINT64", -(2**63), 2**63),
    FieldDescriptor.TYPE_SFIXED64: ("TYPE_SFIXED64", -(2**63), 2**63),
    FieldDescriptor.TYPE_UINT64: ("TYPE_UINT64", 0, 2**64),
    FieldDescriptor.TYPE_FIXED64: ("TYPE_FIXED64", 0, 2**64),
}
_FLOATS = {FieldDescriptor.TYPE_DOUBLE: "TYPE_DOUBLE", FieldDescriptor.TYPE_FLOAT: "TYPE_FLOAT"}
_WELL_KNOWN = frozenset(
    f"google.protobuf.{name}"
    for name in (
        *("Any", "Timestamp", "Duration", "FieldMask"),
        *("DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue"),
        *("StringValue", "BytesValue"),
    )
)

_FREE = {  # messages that hold any JSON, or any of one kind
    "google.protobuf.Value": (dict, list, str, int, float, type(None)),
    "google.protobuf.Struct": (dict,),
    "google.protobuf.ListValue": (list,),
}


class _FaultError(Exception):
    """A value does not fit its field: the description without the path."""


def read_json(api: ApiVersion, document: Any, message: Message, path: str = "") -> list[Violation]:
    """Fill ``message`` from a JSON document; what was wrong, in order. ``path`` is where it is in the request."""
    reader = _Reader(api)
    reader.message(document, message, path, 0)
    return reader.found


def field_of(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    """A field by its JSON name or its own."""
    return descriptor.fields_by_camelcase_name.get(name) or descriptor.fields_by_name.get(name)


class _Reader:
    def __init__(self, api: ApiVersion) -> None:
        self._api = api
        self.found: list[Violation] = []

    def message(self, document: Any, message: Message, path: str, depth: int) -> None:
        descriptor = message.DESCRIPTOR
        if descriptor.full_name in _FREE:
            self._free(document, message, path)
        elif descriptor.full_name in _WELL_KNOWN:
            self._well_known(document, message, path)
        elif not isinstance(document, dict):
            self._wrong(path, f"type.googleapis.com/{descriptor.full_name}", document)
        elif depth > _DEEPEST:
            self._told(path, f"Message too deep. Max recursion depth reached for key '{path}'")
        else:
            self._members(document, message, path, depth)

    def _members(self, document: Mapping[str, Any], message: Message, path: str, depth: int) -> None:
        taken: dict[str, str] = {}
        for name, value in document.items():
            field = field_of(message.DESCRIPTOR, name)
            if field is None:
                where = f" at '{path}'" if path else ""
                text = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
                self.found.append(Violation(path, text))
                continue
            if value is None and not _is(field, "google.protobuf.Value"):
                continue
            here = f"{path}.{field.name}" if path else field.name
            if field.containing_oneof is not None:
                oneof = field.containing_oneof.name
                if oneof in taken and taken[oneof] != field.name:
                    text = f"Invalid value at '{path or field.name}' (oneof), oneof field '{oneof}' is already set. "
                    self.found.append(Violation(path, f"{text}Cannot set '{field.name}'"))
                    continue
                taken[oneof] = field.name
            self._field(value, message, field, here, depth)

    def _field(self, value: Any, message: Message, field: FieldDescriptor, path: str, depth: int) -> None:
        if _is_map(field):
            self._map(value, message, field, path, depth)
        elif field.is_repeated:
            items = value if isinstance(value, list) else [value]
            target = getattr(message, field.name)
            for number, item in enumerate(items):
                here = f"{path}[{number}]"
                if item is None and not _is(field, "google.protobuf.Value"):
                    self._told(here, f"Invalid value at '{path}' (TYPE_REPEATED), null")
                elif field.message_type is not None:
                    self.message(item, target.add(), here, depth + 1)
                else:
                    self._scalar(field, item, here, target.append)
        elif isinstance(value, list) and not _takes_lists(field):
            text = f"Invalid JSON payload received. Unknown name \"{field.name}\" at '{path}': "
            self._told(path, f"{text}Proto field is not repeating, cannot start list.")
        elif field.message_type is not None:
            target = getattr(message, field.name)
            target.SetInParent()
            self.message(value, target, path, depth + 1)
        else:
            self._scalar(field, value, path, lambda read: setattr(message, field.name, read))

    def _map(self, value: Any, message: Message, field: FieldDescriptor, path: str, depth: int) -> None:
        if not isinstance(value, dict):
            self._told(path, f"Invalid value at '{path}' (Map), Cannot bind a list to map for field '{field.name}'.")
            return
        keys, values = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        target = getattr(message, field.name)
        for number, (name, item) in enumerate(value.items()):
            here = f"{path}[{number}].value"
            read: list[Any] = []
            self._scalar(keys, name, f"{path}[{number}].key", read.append, lenient=True)
            if not read:
                continue
            if values.message_type is not None:
                self.message(item, target[read[0]], here, depth + 1)
            else:
                self._scalar(values, item, here, lambda found, key=read[0]: target.__setitem__(key, found))

    def _scalar(self, field: FieldDescriptor, value: Any, path: str, put: Any, *, lenient: bool = False) -> None:
        try:
            put(_scalar(field, value, lenient=lenient))
        except (_FaultError, ValueError, TypeError):
            kind = _INTEGERS[field.type][0] if field.type in _INTEGERS else _type_name(field)
            self._wrong(path, kind, value)

    def _free(self, value: Any, message: Message, path: str) -> None:
        name = message.DESCRIPTOR.full_name
        if not isinstance(value, _FREE[name]):
            self._wrong(path, f"type.googleapis.com/{name}", value)
            return
        try:
            fill_value(message, value)
        except RecursionError:
            self._told(path, f"Message too deep. Max recursion depth reached for key '{path}'")

    def _well_known(self, value: Any, message: Message, path: str) -> None:
        name = message.DESCRIPTOR.full_name
        try:
            if name == "google.protobuf.FieldMask" and isinstance(value, str):
                message.paths.extend(mask_paths(value))
            else:
                ParseDict(value, message, descriptor_pool=self._api.pool, max_recursion_depth=_DEEPEST)
        except (ParseError, TypeError, ValueError, AttributeError, OverflowError):
            self._wrong(path, f"type.googleapis.com/{name}", value)

    def _wrong(self, path: str, kind: str, value: Any) -> None:
        shown = orjson.dumps(value).decode()
        self._told(path, f"Invalid value at '{path}' ({kind}), {shown[:200]}")

    def _told(self, path: str, text: str) -> None:
        self.found.append(Violation(path, text))


def fill_value(message: Message, value: Any, depth: int = 0) -> None:
    """Set a google.protobuf.Value, Struct or ListValue from JSON. Raises ``RecursionError`` for what is too deep."""
    if depth > _DEEPEST:
        raise RecursionError
    name = message.DESCRIPTOR.name
    if name == "Struct":
        for key, item in value.items():
            fill_value(message.fields[key], item, depth + 1)
    elif name == "ListValue":
        for item in value:
            fill_value(message.values.add(), item, depth + 1)
    elif value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int | float):
        message.number_value = value
    elif isinstance(value, str):
        message.string_value = value
    else:
        part = message.struct_value if isinstance(value, dict) else message.list_value
        part.SetInParent()
        fill_value(part, value, depth)


def mask_paths(text: str) -> list[str]:
    """The paths of a FieldMask in JSON: "displayName,labels.a" is display_name and labels.a."""
    return ["".join(f"_{c.lower()}" if c.isupper() else c for c in path.strip()) for path in text.split(",") if path]


def _scalar(field: FieldDescriptor, value: Any, *, lenient: bool) -> Any:
    if field.type in _INTEGERS:
        return _integer(value, *_INTEGERS[field.type][1:])
    if field.type in _FLOATS:
        return _float(value)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _boolean(value, lenient=lenient)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _enum(field, value)
    if not isinstance(value, str):
        raise _FaultError
    return _bytes(value) if field.type == FieldDescriptor.TYPE_BYTES else value


def _boolean(value: Any, *, lenient: bool) -> bool:
    if lenient and value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise _FaultError
    return value


def _bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        raise _FaultError from None


def _integer(value: Any, least: int, above: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _FaultError
    number = float(value) if isinstance(value, str) and not value.strip("-").isdigit() else value
    if isinstance(number, float) and not number.is_integer():
        raise _FaultError
    if not least <= int(number) < above:
        raise _FaultError
    return int(number)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _FaultError
    if isinstance(value, str) and not math.isfinite(float(value)) and value not in {"NaN", "Infinity", "-Infinity"}:
        raise _FaultError
    return float(value)


def _enum(field: FieldDescriptor, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = field.enum_type.values_by_name.get(value) if isinstance(value, str) else None
    if found is None and isinstance(value, str) and value.isdigit():
        return int(value)
    if found is None:
        raise _FaultError
    return int(found.number)


def _type_name(field: FieldDescriptor) -> str:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return f"type.googleapis.com/{field.enum_type.full_name}"
    return _FLOATS.get(field.type) or {
        FieldDescriptor.TYPE_BOOL: "TYPE_BOOL",
        FieldDescriptor.TYPE_BYTES: "TYPE_BYTES",
        FieldDescriptor.TYPE_STRING: "TYPE_STRING",
    }.get(field.type, "TYPE_MESSAGE")


def _is(field: FieldDescriptor, name: str) -> bool:
    return field.message_type is not None and field.message_type.full_name == name


def _takes_lists(field: FieldDescriptor) -> bool:
    return _is(field, "google.protobuf.Value") or _is(field, "google.protobuf.ListValue")


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)
