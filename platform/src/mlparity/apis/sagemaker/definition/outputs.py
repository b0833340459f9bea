"""OutputParameters of Callback and Lambda steps: declared with a type, given as text or JSON, kept typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker.errors import validation
from mlparity.errors import InvalidRequestError

_TYPES = ("String", "Integer", "Float", "Boolean")
_MOST_OUTPUTS = 50
_MOST_CHARACTERS = 1024  # of a value as text


def check_declared(step: Mapping[str, Any]) -> None:
    """What can be wrong with the declaration. Raises ``ValidationException``."""
    outputs = step.get("OutputParameters")
    if outputs is None or step["Type"] not in {"Callback", "Lambda"}:
        return
    if not isinstance(outputs, list) or not all(isinstance(item, dict) for item in outputs):
        raise validation(f"Step {step['Name']}: OutputParameters must be a list of objects")
    names = [item.get("OutputName") for item in outputs]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != len(names):
        raise validation(f"Step {step['Name']}: every output parameter must have an OutputName of its own")
    if len(names) > _MOST_OUTPUTS:
        raise validation(f"Step {step['Name']}: there can be {_MOST_OUTPUTS} output parameters at most")
    for item in outputs:
        if item.get("OutputType") not in _TYPES:
            raise validation(
                f"Step {step['Name']}: OutputType {item.get('OutputType')} of {item['OutputName']} "
                f"is not one of {', '.join(_TYPES)}"
            )


def declared(step: Mapping[str, Any]) -> dict[str, str]:
    """Output name -> type."""
    return {item["OutputName"]: item["OutputType"] for item in step.get("OutputParameters") or ()}


def typed(name: str, kind: str, value: Any) -> Any:
    """A value in its declared type; text is read. Raises ``InvalidRequestError``."""
    try:
        made = _READERS[kind](value)
    except (ValueError, TypeError):
        raise InvalidRequestError(f"output parameter {name}: {value!r} is not of type {kind}") from None
    if len(as_text(made)) > _MOST_CHARACTERS:
        raise InvalidRequestError(f"output parameter {name} is longer than {_MOST_CHARACTERS} characters")
    return made


def as_text(value: Any) -> str:
    """As the API shows a value."""
    return value if isinstance(value, str) else json.dumps(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in {"true", "false"}:
        raise ValueError(value)
    return str(value).lower() == "true"


_READERS = {"String": as_text, "Integer": _integer, "Float": _float, "Boolean": _boolean}
