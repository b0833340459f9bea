"""Field masks (AIP-161): what of a message is changed or read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.json_reader import mask_paths
from mlparity.wire.google.status import Violation

ALL = "*"


def mask_violations(descriptor: Descriptor, paths: Iterable[str], field: str) -> Iterator[Violation]:
    """The paths that name nothing in the message. ``field`` is the mask's own path in the request."""
    for path in paths:
        if path != ALL and resolve(descriptor, path) is None:
            yield Violation(field, f'The field mask path "{path}" does not exist in {descriptor.name}.')


def resolve(descriptor: Descriptor, path: str) -> list[FieldDescriptor] | None:
    """The fields that a path goes through; a map's key ends it. None where it names nothing."""
    found: list[FieldDescriptor] = []
    at: Descriptor | None = descriptor
    for part in path.split("."):
        if at is None:
            return None
        field = at.fields_by_name.get(part) or at.fields_by_name.get(mask_paths(part)[0] if part else "")
        if field is None:
            return None
        found.append(field)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return found
        if field.message_type is not None and field.message_type.full_name == "google.protobuf.Struct":
            return found
        at = field.message_type
    return found


def merge(target: Message, source: Message, paths: Sequence[str]) -> None:
    """Replace in ``target`` what the paths name by what ``source`` has; what it lacks is cleared.

    A map or a repeated field is replaced as a whole, and so is a path's key in a map.
    """
    for path in paths:
        fields = resolve(target.DESCRIPTOR, path) or []
        into, out_of = target, source
        for field in fields[:-1]:
            into, out_of = getattr(into, field.name), getattr(out_of, field.name)
        if not fields:
            continue
        last = fields[-1]
        key = ".".join(path.split(".")[len(fields) :])
        if key:
            _merge_key(getattr(into, last.name), getattr(out_of, last.name), key)
        else:
            _replace(into, out_of, last)


def read(message: Message, paths: Sequence[str]) -> Message:
    """A copy with only what the paths name; everything for no paths or ``*``."""
    if not paths or ALL in paths:
        return message
    copy = type(message)()
    merge(copy, message, paths)
    return copy


def _replace(into: Message, out_of: Message, field: FieldDescriptor) -> None:
    into.ClearField(field.name)
    value = getattr(out_of, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(into, field.name).MergeFrom(value)
    elif field.is_repeated:
        getattr(into, field.name).extend(value)
    elif field.message_type is not None:
        if out_of.HasField(field.name):
            getattr(into, field.name).CopyFrom(value)
    elif not field.has_presence or out_of.HasField(field.name):
        setattr(into, field.name, value)


def _merge_key(into: Any, out_of: Any, key: str) -> None:
    if hasattr(into, "fields"):  # google.protobuf.Struct
        into, out_of = into.fields, out_of.fields
    if key not in out_of:
        into.pop(key, None)
    elif hasattr(out_of[key], "DESCRIPTOR"):
        into[key].CopyFrom(out_of[key])
    else:
        into[key] = out_of[key]
