"""Pipeline parameters: defaults, given values, their types and enumerations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker.errors import SageMakerError, validation


def effective(document: Mapping[str, Any], given: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Every parameter's typed value for one execution. Raises ``ValidationException``."""
    values = {item["Name"]: item["Value"] for item in given}
    if len(values) != len(given):
        raise validation("Parameter names must be unique")
    declared = {item["Name"]: item for item in document.get("Parameters") or ()}
    unknown = sorted(values.keys() - declared.keys())
    if unknown:
        raise validation(f"Unknown parameters in the request: {', '.join(unknown)}")
    result: dict[str, Any] = {}
    for name, declaration in declared.items():
        if name in values:
            result[name] = _typed(name, declaration["Type"], values[name])
        elif "DefaultValue" in declaration:
            result[name] = declaration["DefaultValue"]
        else:
            raise validation(f"Parameter {name} has no default value and none is given")
        allowed = declaration.get("EnumValues")
        if allowed and result[name] not in allowed:
            raise validation(f"Parameter {name}: {result[name]} is not one of {allowed}")
    return result


def _typed(name: str, kind: str, text: str) -> Any:
    try:
        if kind == "Integer":
            return int(text)
        if kind == "Float":
            return float(text)
    except ValueError:
        raise _bad(name, kind, text) from None
    if kind == "Boolean":
        if text.lower() not in {"true", "false"}:
            raise _bad(name, kind, text)
        return text.lower() == "true"
    return text


def _bad(name: str, kind: str, text: str) -> SageMakerError:
    return validation(f"Parameter {name}: {text!r} is not of type {kind}")
