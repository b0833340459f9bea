"""KFP's expressions: conditions on a task's inputs, and selectors of a part of an input.

They are CEL (cel-spec), evaluated by cel-python with the semantics of KFP's driver, which uses cel-go: numbers compare
by value whatever their types, and things of different types are not equal.
"""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from mlparity.pipeline_ir.errors import InvalidPipelineError, TaskFailedError
from mlparity.pipeline_ir.values import as_text, integral, kind_of

_REFERENCE = r"inputs\.parameter_values\['[^']*'\]"
# What the compiler makes of a comparison of a number with a string: the reference itself in quotes.
_QUOTED_REFERENCE = re.compile(rf"'((?:int\({_REFERENCE}\))|{_REFERENCE})'")
_WORDS = re.compile(rf"{_REFERENCE}|'")
_AFTER_LITERAL = re.compile(r"\)*(\s*$|\s+(&&|\|\||==|!=|<=|>=|<|>)\s)")
_FIELDS = {"struct": "struct_value", "list": "list_value", "number": "number_value", "bool": "bool_value"}


def check_expression(text: str, where: str) -> None:
    """Raise ``InvalidPipelineError`` where ``text`` is no CEL. ``where`` says what it belongs to."""
    try:
        _program(text)
    except TaskFailedError as error:
        raise InvalidPipelineError(f"the expression of {where} is invalid", error.why) from error


def holds(condition: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a trigger policy's condition is true for a task's inputs. Raises ``TaskFailedError``."""
    result = _evaluate(condition, {"inputs": {"parameter_values": dict(parameters)}})
    if not isinstance(result, bool):
        raise TaskFailedError(f"the condition {condition} cannot be evaluated", "its value is neither true nor false")
    return result


def select(expression: str, value: Any) -> Any:
    """What a ``parameterExpressionSelector`` picks from ``value``. Raises ``TaskFailedError``."""
    fields = {"string_value": as_text(value)}
    kind = kind_of(value)
    if kind in _FIELDS:
        fields[_FIELDS[kind]] = value
    return integral(_evaluate(expression, fields))


def _evaluate(text: str, variables: Mapping[str, Any]) -> Any:
    from celpy.adapter import json_to_cel
    from celpy.evaluation import CELEvalError

    program = _program(text)
    try:
        return _as_json(program.evaluate({name: json_to_cel(value) for name, value in variables.items()}))
    except (CELEvalError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise TaskFailedError(f"the expression {text} cannot be evaluated", _reason(error)) from error


def _reason(error: Exception) -> str:
    return str(error.args[0]) if error.args else repr(error)


@functools.lru_cache(maxsize=1024)
def _program(text: str) -> Any:
    from celpy import Environment
    from celpy.celparser import CELParseError

    environment = Environment()
    try:
        tree = environment.compile(_QUOTED_REFERENCE.sub(r"string(\1)", text))
    except CELParseError:
        try:
            tree = environment.compile(repaired(text))
        except CELParseError as error:
            raise TaskFailedError(f"the expression {text} is no CEL", str(error.args[0]).strip()) from error
    return environment.program(tree, functions=_functions())


def repaired(text: str) -> str:
    """A condition with its string literals escaped: KFP's compiler puts operands in quotes as they are.

    A literal ends at the first quote after which the expression goes on as the compiler writes it.
    """
    text = _QUOTED_REFERENCE.sub(r"string(\1)", text)
    done, position = "", 0
    while match := _WORDS.search(text, position):
        done += text[position : match.start()]
        if match.group() != "'":
            done, position = done + match.group(), match.end()
            continue
        end = _end_of_literal(text, match.end())
        content = text[match.end() : end].replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        done, position = f"{done}'{content}'", end + 1
    return done + text[position:]


def _end_of_literal(text: str, start: int) -> int:
    ends = [index for index in range(start, len(text)) if text[index] == "'"]
    return next((end for end in ends if _AFTER_LITERAL.match(text, end + 1)), ends[-1] if ends else len(text))


@functools.cache
def _functions() -> dict[str, Callable[..., Any]]:
    from celpy import celtypes

    def parse(text: Any) -> Any:
        from celpy.adapter import json_to_cel

        return json_to_cel(json.loads(text))

    def is_equal(left: Any, right: Any) -> Any:
        return celtypes.BoolType(_is_equal(left, right))

    def differs(left: Any, right: Any) -> Any:
        return celtypes.BoolType(not _is_equal(left, right))

    def as_string(value: Any) -> Any:
        return celtypes.StringType(as_text(_as_json(value)))

    ordering = {
        name: _ordering(compare)
        for name, compare in (
            ("_<_", operator.lt),
            ("_<=_", operator.le),
            ("_>_", operator.gt),
            ("_>=_", operator.ge),
        )
    }
    return {"parseJson": parse, "string": as_string, "_==_": is_equal, "_!=_": differs, **ordering}


def _ordering(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def compared(left: Any, right: Any) -> Any:
        from celpy import celtypes

        one, other = _as_json(left), _as_json(right)
        if kind_of(one) != kind_of(other) or kind_of(one) not in {"number", "string", "bool"}:
            raise TypeError(f"no such overload: {kind_of(one)} and {kind_of(other)} cannot be ordered")
        return celtypes.BoolType(compare(one, other))

    return compared


def _is_equal(left: Any, right: Any) -> bool:
    one, other = _as_json(left), _as_json(right)
    return kind_of(one) == kind_of(other) and bool(one == other)


def _as_json(value: Any) -> Any:
    from celpy import celtypes

    if isinstance(value, celtypes.BoolType):  # an int, in Python
        return bool(value)
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    for known in (int, float, str):
        if isinstance(value, known):
            return known(value)
    if value is None:
        return None
    raise TypeError(f"{type(value).__name__} is no JSON")
