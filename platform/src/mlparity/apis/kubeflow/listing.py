"""What all list operations share: filter, order, page size and page token, as KFP reads them.

A token carries its order and filter with it, as the vendor's: a call that names others with it is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from mlparity.apis.kubeflow import messages
from mlparity.apis.kubeflow.context import Kubeflow, Request, Response
from mlparity.apis.kubeflow.errors import invalid
from mlparity.state.document_search import Comparison, Condition, Order
from mlparity.state.documents import Document

_DEFAULT_PAGE, _LARGEST_PAGE = 20, 200
_COMPARISONS: Mapping[str, Comparison] = {
    "EQUALS": "eq",
    "NOT_EQUALS": "ne",
    "GREATER_THAN": "gt",
    "GREATER_THAN_EQUALS": "ge",
    "LESS_THAN": "lt",
    "LESS_THAN_EQUALS": "le",
    "IN": "in",
    "IS_SUBSTRING": "contains",
}
_SCALARS = ("string_value", "int_value", "long_value", "timestamp_value")
_ARRAYS = {"int_values": "[]int32", "long_values": "[]int64", "string_values": "[]string"}
_TEXTS = frozenset({"name", "display_name", "description"})  # compared without regard to case
_TAGS = "tags."
_BY_CREATION = "created_at"


@dataclass(frozen=True)
class Listable:
    """A kind of resource: which of its fields may be filtered and sorted by, and the members that they stand for."""

    kind: str
    type_name: str  # as the vendor's messages call it
    members: str  # of the response: "runs"
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Predicate:
    """One condition of a filter; ``value`` is text, or a list of texts for "IN"."""

    key: str
    operation: str
    value: Any


def list_page(
    api: Kubeflow,
    listable: Listable,
    request: Request,
    conditions: Sequence[Condition],
    show: Callable[[Document], Response],
) -> Response:
    """One page of the documents that meet the request's filter and ``conditions``. Raises ``KubeflowError``."""
    limit = page_size(request.get("page_size", 0))
    token = str(request.get("page_token", ""))
    sort_by, filter_text = str(request.get("sort_by", "")), str(request.get("filter", ""))
    after: tuple[str, str] | None = None
    if token:
        sort_by, filter_text, after = _read_token(token, sort_by, filter_text)
    order = _order(listable, sort_by)
    wanted = [*conditions, *_conditions(listable, filter_text)]
    found = api.search.page(listable.kind, wanted, order, limit, after)
    return {
        listable.members: [show(document) for document in found.items],
        "total_size": found.total,
        "next_page_token": _token(sort_by, filter_text, found.last) if found.last else "",
    }


def member(name: str, value: str) -> Condition:
    """The member equals the value."""
    return Condition((name,), "eq", value)


def same_text(name: str, value: str) -> Condition:
    """The member equals the value, but for case: as the vendor's database compares names."""
    return Condition((name,), "eq", value, ignore_case=True)


def page_size(size: int) -> int:
    """The size of a page where ``size`` was asked for. Raises ``KubeflowError``."""
    if size < 0:
        raise invalid(f"The page size should be greater than 0. Got {size}")
    return min(size or _DEFAULT_PAGE, _LARGEST_PAGE)


def _order(listable: Listable, sort_by: str) -> Order:
    words = sort_by.lower().split()
    if len(words) > 2 or (len(words) == 2 and words[1] not in {"asc", "desc"}):  # noqa: PLR2004 - a field, a direction
        raise invalid(
            f'Received invalid sort by format "{sort_by}". Supported format: "field_name", "field_name desc", '
            'or "field_name asc"'
        )
    field = words[0] if words else _BY_CREATION
    if field not in listable.fields:
        raise invalid(f'Invalid sorting field: "{field}" on listable type {listable.type_name}')
    return Order((listable.fields[field],), descending=words[1:] == ["desc"])


def _conditions(listable: Listable, text: str) -> list[Condition]:
    return [_condition(listable, predicate) for predicate in predicates(text)]


def predicates(text: str) -> list[Predicate]:
    """The predicates of a filter, checked. Raises ``KubeflowError``."""
    return [_predicate(item) for item in _filter(text).get("predicates", [])] if text else []


def _filter(text: str) -> dict[str, Any]:
    """The filter's JSON; the vendor unquotes it once more than HTTP does."""
    for candidate in (text, unquote_plus(text)):
        try:
            document = json.loads(candidate)
        except ValueError:
            continue
        return messages.read("V2beta1Filter", document)
    raise invalid(f"failed to parse valid filter from {json.dumps(text)}")


def _predicate(predicate: Mapping[str, Any]) -> Predicate:
    key = str(predicate.get("key", ""))
    operation = str(predicate.get("operation", "OPERATION_UNSPECIFIED"))
    value = _predicate_value(predicate)
    if not key:
        raise invalid(f"Predicate key cannot be empty for operation {operation} and value {value}")
    if operation not in _COMPARISONS:
        raise invalid(f"invalid predicate operation: {operation}")
    _require_fitting(operation, predicate)
    return Predicate(key, operation, value)


def _condition(listable: Listable, predicate: Predicate) -> Condition:
    key, comparison = predicate.key, _COMPARISONS[predicate.operation]
    if key.startswith(_TAGS):
        return Condition(("tags", key.removeprefix(_TAGS)), comparison, predicate.value)
    if key not in listable.fields:
        raise invalid(f'no support for filtering on unrecognized field "{key}"')
    return Condition((listable.fields[key],), comparison, predicate.value, ignore_case=key in _TEXTS)


def _predicate_value(predicate: Mapping[str, Any]) -> Any:
    for name in _ARRAYS:
        if name in predicate:
            return [str(item) for item in predicate[name].get("values", [])]
    for name in _SCALARS:
        if name in predicate:
            value = predicate[name]
            return stored_time(value) if name == "timestamp_value" else str(value)
    raise invalid("Unknown type: <nil>")


def _require_fitting(operation: str, predicate: Mapping[str, Any]) -> None:
    array = next((kind for name, kind in _ARRAYS.items() if name in predicate), None)
    if operation == "IN" and array is None:
        raise invalid("cannot use IN operator with scalar type")
    if operation == "IS_SUBSTRING" and "string_value" not in predicate:
        raise invalid(f"cannot use non string value type with operator {operation}")
    if operation not in {"IN", "IS_SUBSTRING"} and array is not None:
        raise invalid(f"cannot use scalar operator {operation} on array type {array}")


def stored_time(moment: Any) -> str:
    """A time as bodies hold it: in UTC, always as long, so that text order is time order."""
    return str(moment.isoformat(timespec="microseconds"))


def _token(sort_by: str, filter_text: str, last: tuple[str, str]) -> str:
    return base64.b64encode(json.dumps([sort_by, filter_text, *last]).encode()).decode()


def _read_token(token: str, sort_by: str, filter_text: str) -> tuple[str, str, tuple[str, str]]:
    try:
        first, second, value, name = json.loads(base64.b64decode(token.encode(), validate=True))
        found = str(first), str(second), (str(value), str(name))
    except (binascii.Error, ValueError, TypeError):
        raise invalid("Invalid package token") from None
    if (sort_by and sort_by != found[0]) or (filter_text and filter_text != found[1]):
        raise invalid(
            "page token does not match the supplied sort by and/or filtering criteria. Either specify the same "
            "criteria or leave the latter empty if page token is specified",
        )
    return found
