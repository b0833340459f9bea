"""Validation of requests and responses against the service models that botocore ships.

The model (``service-2.json``) has what AWS checks at its front door: required members, types, enums, lengths,
ranges and patterns. Messages follow the wording of AWS's own ``ValidationException``:
``1 validation error detected: Value 'x' at 'trainingJobName' failed to satisfy constraint: Member must …``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import regex

_MAX_REPORTED = 10


@dataclass(frozen=True)
class Violation:
    """One broken constraint: where (``a.b.1.member.c``, AWS's notation), the offending value, and the rule."""

    path: str
    value: Any
    constraint: str

    def sentence(self) -> str:
        """The violation in AWS's words."""
        shown = "null" if self.value is None else f"'{_shown(self.value)}'"
        return f"Value {shown} at '{self.path}' failed to satisfy constraint: {self.constraint}"


class SerializationError(Exception):
    """A JSON value has a type that the model cannot take; AWS answers ``SerializationException``."""


def message(violations: list[Violation]) -> str:
    """AWS's message for a list of violations."""
    count = len(violations)
    noun = "error" if count == 1 else "errors"
    sentences = "; ".join(violation.sentence() for violation in violations[:_MAX_REPORTED])
    return f"{count} validation {noun} detected: {sentences}"


class AwsModel:
    """One service's model. Shapes are read lazily from the JSON; nothing of botocore's client is used."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._shapes: Mapping[str, Any] = document["shapes"]
        self._operations: Mapping[str, Any] = document["operations"]

    @classmethod
    def load(cls, service: str) -> AwsModel:
        """The newest model of ``service`` ("sagemaker", "iam") in the installed botocore."""
        from botocore.loaders import Loader

        return cls(Loader().load_service_model(service, "service-2"))

    @property
    def operations(self) -> tuple[str, ...]:
        """Every operation of the service, in the model's order."""
        return tuple(self._operations)

    def read_request(self, operation: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
        """The request with timestamps as ``datetime`` and unknown members dropped, and what is wrong with it.

        Raises ``SerializationError`` for a value of the wrong JSON type.
        """
        shape = self._operations[operation].get("input")
        if shape is None:
            return {}, []
        violations: list[Violation] = []
        value = self._read(shape["shape"], body, "", violations)
        return value, violations

    def check_response(self, operation: str, body: Mapping[str, Any]) -> list[Violation]:
        """What the model finds wrong with a response about to be sent, unknown members included."""
        shape = self._operations[operation].get("output")
        if shape is None:
            return [Violation("", body, "Operation has no output")] if body else []
        violations: list[Violation] = []
        try:
            self._read(shape["shape"], body, "", violations, strict=True)
        except SerializationError as error:
            violations.append(Violation("", None, str(error)))
        return violations

    def output_members(self, operation: str) -> tuple[str, ...]:
        """The member names of an operation's response."""
        shape = self._operations[operation].get("output")
        return tuple(self._shapes[shape["shape"]].get("members", ())) if shape else ()

    def members(self, shape: str) -> tuple[str, ...]:
        """The member names of a structure."""
        return tuple(self._shapes[shape].get("members", ()))

    def read_shape(self, shape: str, value: Any, path: str = "") -> tuple[Any, list[Violation]]:
        """Check one value against a named shape, as for a part of a request that arrives by another way."""
        violations: list[Violation] = []
        return self._read(shape, value, path, violations), violations

    def _read(self, name: str, value: Any, path: str, violations: list[Violation], *, strict: bool = False) -> Any:
        shape = self._shapes[name]
        kind = shape["type"]
        if kind == "structure":
            return self._read_structure(shape, value, path, violations, strict=strict)
        if kind == "list":
            _require(isinstance(value, list), value, "List", path)
            _check_size(len(value), shape, value, path, violations)
            member = shape["member"]["shape"]
            return [
                self._read(member, item, f"{path}.{index}.member", violations, strict=strict)
                for index, item in enumerate(value, 1)
            ]
        if kind == "map":
            _require(isinstance(value, dict), value, "Map", path)
            _check_size(len(value), shape, value, path, violations)
            return {
                self._read(shape["key"]["shape"], key, f"{path}.key", violations, strict=strict): self._read(
                    shape["value"]["shape"], item, f"{path}.{key}.member", violations, strict=strict
                )
                for key, item in value.items()
            }
        return _read_scalar(shape, kind, value, path, violations)

    def _read_structure(
        self, shape: Mapping[str, Any], value: Any, path: str, violations: list[Violation], *, strict: bool
    ) -> dict[str, Any]:
        _require(isinstance(value, dict), value, "Structure", path)
        members: Mapping[str, Any] = shape.get("members", {})
        violations.extend(
            Violation(_join(path, required), None, "Member must not be null")
            for required in shape.get("required", ())
            if value.get(required) is None
        )
        if shape.get("union") and sum(item is not None for item in value.values()) > 1:
            violations.append(Violation(path, value, "Member must have exactly one value set"))
        result: dict[str, Any] = {}
        for key, item in value.items():
            if key not in members:
                if strict:
                    violations.append(Violation(_join(path, key), item, "Member is not in the model"))
                continue
            if item is None:
                continue
            result[key] = self._read(members[key]["shape"], item, _join(path, key), violations, strict=strict)
        return result


def _read_scalar(shape: Mapping[str, Any], kind: str, value: Any, path: str, violations: list[Violation]) -> Any:
    if kind == "string":
        _require(isinstance(value, str), value, "String", path)
        violations.extend(_string_violations(shape, value, path))
        return value
    if kind == "boolean":
        _require(isinstance(value, bool), value, "Boolean", path)
        return value
    if kind in {"integer", "long"}:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        _require(whole and not isinstance(value, bool), value, kind.capitalize(), path)
        _check_range(value, shape, path, violations)
        return int(value)
    if kind in {"float", "double"}:
        value = _special_float(value)
        _require(isinstance(value, int | float) and not isinstance(value, bool), value, kind.capitalize(), path)
        _check_range(value, shape, path, violations)
        return value
    if kind == "timestamp":
        return _timestamp(value, path)
    return value  # blob


def _special_float(value: Any) -> Any:
    special = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    return special.get(value, value) if isinstance(value, str) else value


def _timestamp(value: Any, path: str) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):
            raise SerializationError(f"{value} is not a timestamp") from None
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise SerializationError(f"'{value}' can not be converted to a Timestamp") from None
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    raise SerializationError(f"{_json_kind(value)} can not be converted to a Timestamp at '{path}'")


def _string_violations(shape: Mapping[str, Any], value: str, path: str) -> Iterator[Violation]:
    enum = shape.get("enum")
    if enum and value not in enum:
        yield Violation(path, value, f"Member must satisfy enum value set: [{', '.join(enum)}]")
    minimum, maximum = shape.get("min"), shape.get("max")
    if maximum is not None and len(value) > maximum:
        yield Violation(path, value, f"Member must have length less than or equal to {maximum}")
    if minimum is not None and len(value) < minimum:
        yield Violation(path, value, f"Member must have length greater than or equal to {minimum}")
    pattern = shape.get("pattern")
    if pattern and not _pattern(pattern).fullmatch(value):
        yield Violation(path, value, f"Member must satisfy regular expression pattern: {pattern}")


def _check_size(size: int, shape: Mapping[str, Any], value: Any, path: str, violations: list[Violation]) -> None:
    minimum, maximum = shape.get("min"), shape.get("max")
    if maximum is not None and size > maximum:
        violations.append(Violation(path, value, f"Member must have length less than or equal to {maximum}"))
    if minimum is not None and size < minimum:
        violations.append(Violation(path, value, f"Member must have length greater than or equal to {minimum}"))


def _check_range(value: float, shape: Mapping[str, Any], path: str, violations: list[Violation]) -> None:
    minimum, maximum = shape.get("min"), shape.get("max")
    if maximum is not None and value > maximum:
        violations.append(Violation(path, value, f"Member must have value less than or equal to {maximum}"))
    if minimum is not None and value < minimum:
        violations.append(Violation(path, value, f"Member must have value greater than or equal to {minimum}"))


@lru_cache(maxsize=2048)
def _pattern(pattern: str) -> regex.Pattern[str]:
    r"""A model pattern, which is Java's dialect.

    Differences that occur: surrogate pairs stand for the astral planes, and two patterns end in ``$`` with a
    repeat count (a slip in the vendor's model that Java tolerates).
    """
    translated = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    translated = regex.sub(r"\$\{\d+,\d+\}$", "$", translated)
    return regex.compile(translated)


def _require(condition: bool, value: Any, wanted: str, path: str) -> None:
    if not condition:
        where = f" at '{path}'" if path else ""
        raise SerializationError(f"{_json_kind(value)} can not be converted to a {wanted}{where}")


def _json_kind(value: Any) -> str:
    if value is None:
        return "NULL_VALUE"
    if isinstance(value, bool):
        return f"{str(value).upper()}_VALUE"
    if isinstance(value, int | float):
        return "NUMBER_VALUE"
    if isinstance(value, str):
        return "STRING_VALUE"
    return "START_ARRAY" if isinstance(value, list) else "START_OBJECT"


def _join(path: str, member: str) -> str:
    name = member[:1].lower() + member[1:]
    return f"{path}.{name}" if path else name


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 1024 else f"{text[:1021]}..."  # noqa: PLR2004 - AWS shortens long values too
