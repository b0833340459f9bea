"""The kinds of fields that a list filter may name, and the operators that a method supports on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from mlparity.wire.aip160_syntax import COMPARATORS

EQUALITY = ("=", "!=")


class Kind(Enum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    TIME = "time"
    ENUM = "enum"
    TEXT_MAP = "map"
    STRUCT = "struct"
    TEXT_LIST = "list"
    PRESENCE = "presence"


@dataclass(frozen=True)
class FieldType:
    """A field, and the operators that the method supports on it.

    ``wildcards``: an asterisk stands for any text with ``=`` and ``!=``, too; with ``:`` it always does.
    """

    kind: Kind
    operators: tuple[str, ...]
    values: tuple[str, ...] = ()
    wildcards: bool = False


def text(operators: Sequence[str] = ("=", "!=", ":"), *, wildcards: bool = False) -> FieldType:
    """A string."""
    return FieldType(Kind.TEXT, tuple(operators), wildcards=wildcards)


def number(operators: Sequence[str] = COMPARATORS[:-1]) -> FieldType:
    """An int or a float."""
    return FieldType(Kind.NUMBER, tuple(operators))


def boolean() -> FieldType:
    """``true`` or ``false``."""
    return FieldType(Kind.BOOL, EQUALITY)


def time(operators: Sequence[str] = COMPARATORS) -> FieldType:
    """An aware datetime, written as RFC 3339; ``:*`` asks whether it is there."""
    return FieldType(Kind.TIME, tuple(operators))


def enumeration(values: Iterable[str]) -> FieldType:
    """One of the values' names."""
    return FieldType(Kind.ENUM, EQUALITY, tuple(values))


def text_map() -> FieldType:
    """Labels: ``labels.key=value``, ``labels.key:*`` and ``labels:key``."""
    return FieldType(Kind.TEXT_MAP, ("=", "!=", ":"))


def struct() -> FieldType:
    """A protobuf Struct: ``metadata.accuracy.number_value > 0.9``; deeper, ``metadata.a.struct_value.b.bool_value``."""
    return FieldType(Kind.STRUCT, COMPARATORS, wildcards=True)


def text_list() -> FieldType:
    """Strings, of which ``:`` asks for one."""
    return FieldType(Kind.TEXT_LIST, (":",))


def presence() -> FieldType:
    """A message, which can only be asked for being there."""
    return FieldType(Kind.PRESENCE, (":",))
