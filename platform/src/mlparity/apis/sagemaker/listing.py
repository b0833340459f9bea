"""Paging, sorting and time filters as SageMaker's List operations have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.sagemaker.context import Request
from mlparity.apis.sagemaker.errors import validation
from mlparity.errors import InvalidRequestError
from mlparity.state.paging import Page, PageRequest

_DEFAULT_SIZE = 10


def page_request(
    request: Request, columns: Mapping[str, str], *, default_sort: str, default_order: str, size: int = _DEFAULT_SIZE
) -> PageRequest:
    """The page a request asks for; ``columns`` maps the vendor's ``SortBy`` words to ours."""
    sort = request.get("SortBy", default_sort)
    if sort not in columns:
        raise validation(f"SortBy {sort} is not supported by mlparity for this operation")
    descending = request.get("SortOrder", default_order) == "Descending"
    return PageRequest(columns[sort], descending, request.get("MaxResults", size), request.get("NextToken"))


def with_token(members: dict[str, Any], page: Page[Any]) -> dict[str, Any]:
    """The response with ``NextToken`` where there is a next page."""
    if page.next_token is not None:
        members["NextToken"] = page.next_token
    return members


def bad_token(error: InvalidRequestError) -> Exception:
    """SageMaker's answer to a token that is not one."""
    return validation(f"{error.what}")


def times(request: Request) -> dict[str, Any]:
    """The time filters that most List operations share."""
    names = {
        "created_after": ("CreationTimeAfter", "CreatedAfter"),
        "created_before": ("CreationTimeBefore", "CreatedBefore"),
    }
    found: dict[str, Any] = {}
    for ours, theirs in names.items():
        for name in theirs:
            if name in request:
                found[ours] = request[name]
    return found
