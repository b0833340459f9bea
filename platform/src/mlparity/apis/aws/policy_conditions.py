"""The condition block of a policy statement.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import translate
from typing import Any

# Condition key (lower case) -> its values.
Context = Mapping[str, Sequence[str]]
Compare = Callable[[str, str], bool]  # (the request's value, the policy's value)


def condition_holds(block: Mapping[str, Any], context: Context) -> tuple[bool, list[str]]:
    """Whether every operator of ``block`` holds, and the keys that ``context`` does not have."""
    holds = True
    missing: list[str] = []
    for name, keys in block.items():
        for key, wanted in keys.items():
            values = context.get(key.lower())
            policy_values = [_text(item) for item in (wanted if isinstance(wanted, list) else [wanted])]
            if values is None and not name.endswith("IfExists") and name != "Null":
                missing.append(key)
            holds = _operator_holds(name, values, policy_values) and holds
    return holds, missing


def _operator_holds(name: str, values: Sequence[str] | None, wanted: Sequence[str]) -> bool:
    if name == "Null":
        return (values is None) == (wanted[0].lower() == "true")
    quantifier, _, bare = name.rpartition(":")
    optional = bare.endswith("IfExists")
    bare = bare.removesuffix("IfExists")
    negated = "Not" in bare
    compare = _OPERATORS.get(bare.replace("Not", "", 1) if negated else bare)
    if compare is None:
        return False  # an operator nobody knows grants nothing
    if values is None:
        return optional or negated or quantifier == "ForAllValues"

    def one(value: str) -> bool:
        return any(_safely(compare, value, item) for item in wanted) != negated

    return any(map(one, values)) if quantifier == "ForAnyValue" else all(map(one, values))


def _safely(compare: Compare, value: str, wanted: str) -> bool:
    try:
        return compare(value, wanted)
    except ValueError:
        return False  # not a number, date or address


def _like(value: str, wanted: str) -> bool:
    # fnmatch knows sets in brackets, IAM does not.
    return re.fullmatch(translate(wanted.replace("[", "[[]")), value) is not None


def _numeric(compare: Callable[[float, float], bool]) -> Compare:
    return lambda value, wanted: compare(float(value), float(wanted))


def _dated(compare: Callable[[datetime, datetime], bool]) -> Compare:
    return lambda value, wanted: compare(_moment(value), _moment(wanted))


def _moment(text: str) -> datetime:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _address(value: str, wanted: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_OPERATORS: Mapping[str, Compare] = {
    "StringEquals": operator.eq,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "NumericEquals": _numeric(operator.eq),
    "NumericLessThan": _numeric(operator.lt),
    "NumericLessThanEquals": _numeric(operator.le),
    "NumericGreaterThan": _numeric(operator.gt),
    "NumericGreaterThanEquals": _numeric(operator.ge),
    "DateEquals": _dated(operator.eq),
    "DateLessThan": _dated(operator.lt),
    "DateLessThanEquals": _dated(operator.le),
    "DateGreaterThan": _dated(operator.gt),
    "DateGreaterThanEquals": _dated(operator.ge),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "BinaryEquals": operator.eq,
    "IpAddress": _address,
}
