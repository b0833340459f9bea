"""EventBridge event patterns: validation and matching.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_ABSENT = object()


class InvalidPatternError(Exception):
    """The pattern cannot be right; the text is the vendor's reason."""


def read_pattern(text: str) -> dict[str, Any]:
    """A pattern from JSON text, checked. Raises ``InvalidPatternError``."""
    try:
        pattern = json.loads(text)
    except ValueError:
        raise InvalidPatternError("Invalid JSON") from None
    if not isinstance(pattern, dict):
        raise InvalidPatternError("Filter is not an object")
    _check(pattern)
    return pattern


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether ``event`` (JSON values) has everything that ``pattern`` asks for. An empty pattern matches all."""
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(matches(one, event) for one in wanted):
                return False
            continue
        value = event.get(key, _ABSENT) if isinstance(event, dict) else _ABSENT
        if isinstance(wanted, dict):
            # In a list of objects, one of them must have it all.
            nested = value if isinstance(value, list) else [value]
            if not any(matches(wanted, each) for each in nested):
                return False
        elif not _any_filter(wanted, value):
            return False
    return True


def _any_filter(filters: list[Any], value: Any) -> bool:
    leaves = [] if value is _ABSENT else value if isinstance(value, list) else [value]
    leaves = [leaf for leaf in leaves if not isinstance(leaf, dict)]
    for each in filters:
        if isinstance(each, dict) and "exists" in each:
            if bool(leaves) == each["exists"]:
                return True
        elif any(_leaf_matches(each, leaf) for leaf in leaves):
            return True
    return False


def _leaf_matches(wanted: Any, leaf: Any) -> bool:
    if not isinstance(wanted, dict):
        # 1 and True are equal in Python and not in JSON.
        return leaf == wanted and isinstance(leaf, bool) == isinstance(wanted, bool)
    ((name, argument),) = wanted.items()
    if name == "anything-but":
        if isinstance(argument, dict):
            ((inner, values),) = argument.items()
            listed = values if isinstance(values, list) else [values]
            return not any(_leaf_matches({inner: each}, leaf) for each in listed)
        return not any(_leaf_matches(each, leaf) for each in (argument if isinstance(argument, list) else [argument]))
    if name == "numeric":
        is_number = isinstance(leaf, int | float) and not isinstance(leaf, bool)
        return is_number and all(
            _NUMERIC[sign](leaf, bound) for sign, bound in zip(argument[::2], argument[1::2], strict=True)
        )
    return isinstance(leaf, str) and _text_matches(name, argument, leaf)


def _text_matches(name: str, argument: Any, leaf: str) -> bool:
    if isinstance(argument, dict):  # {"prefix": {"equals-ignore-case": "x"}}
        argument, leaf = argument["equals-ignore-case"].lower(), leaf.lower()
    return _TEXT_FILTERS[name](leaf, argument)


def _in_network(leaf: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(leaf) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _wildcard(text: str) -> re.Pattern[str]:
    pieces = re.split(r"(\\\*|\\\\|\*)", text)
    special = {"*": ".*", "\\*": r"\*", "\\\\": r"\\"}
    return re.compile("".join(special.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)


_TEXT_FILTERS: Mapping[str, Callable[[str, str], bool]] = {
    "prefix": str.startswith,
    "suffix": str.endswith,
    "equals-ignore-case": lambda leaf, wanted: leaf.lower() == wanted.lower(),
    "wildcard": lambda leaf, wanted: _wildcard(wanted).fullmatch(leaf) is not None,
    "cidr": _in_network,
}


def _check(pattern: Mapping[str, Any]) -> None:
    if not pattern:
        raise InvalidPatternError("Empty objects are not allowed")
    for key, wanted in pattern.items():
        if key == "$or":
            if not isinstance(wanted, list) or len(wanted) < 2 or not all(isinstance(one, dict) for one in wanted):  # noqa: PLR2004
                raise InvalidPatternError("There must have at least 2 Objects in $or relationship.")
            for one in wanted:
                _check(one)
        elif isinstance(wanted, dict):
            _check(wanted)
        elif not isinstance(wanted, list):
            raise InvalidPatternError(f'"{key}" must be an object or an array')
        elif not wanted:
            raise InvalidPatternError("Empty arrays are not allowed")
        else:
            for each in wanted:
                _check_filter(each)


def _check_filter(each: Any) -> None:
    if isinstance(each, list):
        raise InvalidPatternError("Match value must be String, number, true, false, or null")
    if not isinstance(each, dict):
        return
    if len(each) != 1:
        raise InvalidPatternError("Only one key allowed in match expression")
    ((name, argument),) = each.items()
    check = _CHECKS.get(name)
    if check is None:
        raise InvalidPatternError(f"Unrecognized match type {name}")
    if not check(argument):
        raise InvalidPatternError(f"Invalid value for match type {name}")


def _is_text(argument: Any) -> bool:
    return isinstance(argument, str)


def _is_affix(argument: Any) -> bool:
    return _is_text(argument) or (
        isinstance(argument, dict) and list(argument) == ["equals-ignore-case"] and _is_text(*argument.values())
    )


def _is_numeric(argument: Any) -> bool:
    return (
        isinstance(argument, list)
        and len(argument) in {2, 4}
        and all(sign in _NUMERIC for sign in argument[::2])
        and all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in argument[1::2])
    )


def _is_cidr(argument: Any) -> bool:
    try:
        ipaddress.ip_network(argument, strict=False)
    except ValueError:
        return False
    return True


def _is_anything_but(argument: Any) -> bool:
    if isinstance(argument, dict):
        if len(argument) != 1:
            return False
        ((name, values),) = argument.items()
        listed = values if isinstance(values, list) else [values]
        return (
            name in {"prefix", "suffix", "equals-ignore-case", "wildcard"}
            and bool(listed)
            and all(map(_is_affix, listed))
        )
    listed = argument if isinstance(argument, list) else [argument]
    return bool(listed) and all(isinstance(each, str | int | float) for each in listed)


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "exists": lambda argument: isinstance(argument, bool),
    "prefix": _is_affix,
    "suffix": _is_affix,
    "equals-ignore-case": _is_text,
    "wildcard": lambda argument: _is_text(argument) and "**" not in argument,
    "anything-but": _is_anything_but,
    "numeric": _is_numeric,
    "cidr": _is_cidr,
}
