"""What google.api.field_behavior asks of a request: required fields are set, output-only ones are not read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from google.protobuf.descriptor import FieldDescriptor

from mlparity.wire.google.descriptors import ApiVersion, Message
from mlparity.wire.google.status import Violation

REQUIRED = "Required field is not set."
_NUMERIC = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
        FieldDescriptor.CPPTYPE_DOUBLE,
        FieldDescriptor.CPPTYPE_FLOAT,
        FieldDescriptor.CPPTYPE_BOOL,
    }
)


def missing(
    api: ApiVersion, message: Message, path: str = "", skip: Callable[[str, str], bool] = lambda _kind, _path: False
) -> Iterator[Violation]:
    """The required fields that are not set, in this message and in those that it holds.

    Numbers and booleans cannot be told from zero, and pass. ``skip`` is asked with "Message.field" and the path.
    """
    descriptor = message.DESCRIPTOR
    required = api.behaviour(descriptor.full_name).required
    for field in descriptor.fields:
        here = f"{path}.{field.name}" if path else field.name
        if field.name in required and not is_set(message, field) and not skip(f"{descriptor.name}.{field.name}", here):
            yield Violation(here, REQUIRED)
    for where, child in children(message, path):
        yield from missing(api, child, where, skip)


def unknown_enums(message: Message, path: str = "") -> Iterator[Violation]:
    """Numbers that their enumeration does not have."""
    for field, value in message.ListFields():
        if field.enum_type is None:
            continue
        here = f"{path}.{field.name}" if path else field.name
        for number in value if field.is_repeated else [value]:
            if number not in field.enum_type.values_by_number:
                kind = f"type.googleapis.com/{field.enum_type.full_name}"
                yield Violation(here, f"Invalid value at '{here}' ({kind}), {number}")
    for where, child in children(message, path):
        yield from unknown_enums(child, where)


def clear_output_only(api: ApiVersion, message: Message, keep: Collection[str] = (), path: str = "") -> None:
    """Forget what only the service sets. ``keep`` are paths that stay: names that tell which resource is meant."""
    behaviour = api.behaviour(message.DESCRIPTOR.full_name)
    for field, _ in message.ListFields():
        here = f"{path}.{field.name}" if path else field.name
        if field.name in behaviour.output_only and here not in keep:
            message.ClearField(field.name)
    for where, child in children(message, path):
        clear_output_only(api, child, keep, where)


def children(message: Message, path: str) -> Iterator[tuple[str, Message]]:
    """The messages that are set in a message, with their paths. Google's own types are values, not messages."""
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is None or kind.full_name.startswith("google.protobuf."):
            continue
        here = f"{path}.{field.name}" if path else field.name
        if kind.GetOptions().map_entry:
            entry = kind.fields_by_name["value"].message_type
            if entry is not None and not entry.full_name.startswith("google.protobuf."):
                yield from ((f"{here}[{key}]", item) for key, item in value.items())
        elif field.is_repeated:
            yield from ((f"{here}[{number}]", item) for number, item in enumerate(value))
        else:
            yield here, value


def is_set(message: Message, field: FieldDescriptor) -> bool:
    """Whether a field has a value; a number always has."""
    value = getattr(message, field.name)
    if field.is_repeated:
        return len(value) > 0
    if field.has_presence:
        return bool(message.HasField(field.name))
    if field.cpp_type in _NUMERIC:
        return True
    return bool(value)
