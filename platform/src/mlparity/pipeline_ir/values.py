"""JSON values and KFP's parameter types.

A PipelineSpec keeps numbers as doubles. KFP's backend writes whole numbers without a fraction, so that programs read
them as integers; so do we, at every depth, and a NUMBER_DOUBLE itself stays a float.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.pipeline_ir.errors import InvalidPipelineError, TaskFailedError

_LARGEST_EXACT = 2**53
_KINDS = {
    "NUMBER_INTEGER": "number",
    "NUMBER_DOUBLE": "number",
    "STRING": "string",
    "BOOLEAN": "bool",
    "LIST": "list",
    "STRUCT": "struct",
    "TASK_FINAL_STATUS": "struct",
    "TASK_CONFIG": "struct",
}


def integral(value: Any) -> Any:
    """``value`` with every whole float as an integer."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {key: integral(value[key]) for key in sorted(value)}  # as protobuf's JSON has them
    if isinstance(value, list | tuple):
        return [integral(item) for item in value]
    return value


def finite(value: Any) -> Any:
    """``value`` with the names of the numbers that JSON does not have: a metric may be NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def parse_items(text: str, where: str) -> list[Any]:
    """A JSON list. Raises ``InvalidPipelineError`` naming ``where`` it stands."""
    try:
        items = json.loads(text)
    except ValueError as error:
        raise InvalidPipelineError(f"{where} is no JSON", str(error)) from error
    if not isinstance(items, list):
        raise InvalidPipelineError(f"{where} is no list", f"it is {kind_of(items)}")
    return integral(items)  # type: ignore[no-any-return]


def kind_of(value: Any) -> str:
    """protobuf.Value's word for what a JSON value is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list | tuple) else "struct"


def as_type(value: Any, type_name: str, name: str) -> Any:
    """``value`` as an input parameter of the type takes it, in the way of KFP's driver.

    A STRING takes anything, as its JSON text. Raises ``TaskFailedError`` in the driver's words where it does not fit.
    """
    actual = kind_of(value)
    if type_name == "STRING":
        return value if actual in {"string", "null"} else as_text(value)
    if actual == "null":
        return None
    if actual != _KINDS.get(type_name, actual):
        raise TaskFailedError(f'input parameter "{name}" type mismatch: expect {type_name}, got {actual}')
    if type_name == "NUMBER_DOUBLE":
        return float(value)
    if type_name == "NUMBER_INTEGER":
        if isinstance(value, float) and not value.is_integer():
            raise TaskFailedError(f'input parameter "{name}" type mismatch: expect {type_name}, got {value}')
        return int(value)
    return integral(value) if isinstance(value, float) else value


def check_literals(value: Any, literals: Sequence[Any], name: str) -> None:
    """Raise ``TaskFailedError`` where a Literal parameter has another value than those it may have."""
    if literals and value not in literals:
        allowed = ", ".join(as_text(item) for item in literals)
        raise TaskFailedError(f'input parameter "{name}" is {as_text(value)}', f"it must be one of {allowed}")


def as_text(value: Any) -> str:
    """A value where text is wanted: strings as they are, everything else as JSON without spaces, as KFP writes it."""
    if isinstance(value, str):
        return value
    return json.dumps(integral(value), separators=(",", ":"), ensure_ascii=False)


def parse_output(text: str, type_name: str, name: str) -> Any:
    """What a program wrote into an output parameter's file. Raises ``TaskFailedError`` where the type does not fit."""
    if type_name == "STRING":
        return text
    try:
        value = _number(text, type_name) if type_name.startswith("NUMBER") else json.loads(text.strip() or "null")
    except ValueError as error:
        raise TaskFailedError(
            f'output parameter "{name}" is no {type_name}', f"the program wrote {text[:100]!r}"
        ) from error
    return as_output(value, type_name, name)


def _number(text: str, type_name: str) -> float:
    return int(text.strip()) if type_name == "NUMBER_INTEGER" else float(text.strip())


def as_output(value: Any, type_name: str, name: str) -> Any:
    """A value that a program reported for an output parameter of the type."""
    if isinstance(value, float) and not math.isfinite(value):
        raise TaskFailedError(f'output parameter "{name}" is {value}', "JSON knows no such number")
    return as_type(value, type_name, name)
