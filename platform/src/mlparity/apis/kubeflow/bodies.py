"""Documents of resources: bodies that hold the API's members, times as text of one form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlparity.apis.kubeflow.context import Kubeflow
from mlparity.apis.kubeflow.errors import invalid, not_found
from mlparity.errors import NotFoundError
from mlparity.state.documents import Document

_MOST_TAGS, _LONGEST_TAG = 20, 63
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}\+00:00")


def get(api: Kubeflow, kind: str, name: str) -> Document:
    """The resource. Raises ``KubeflowError``: "Run 123 not found."."""
    try:
        return api.documents.get(kind, name)
    except NotFoundError:
        raise not_found(kind, name) from None


def shown(document: Document, members: Sequence[str]) -> dict[str, Any]:
    """These members of a body that are set, times as times again."""
    return {name: _time(document.body[name]) for name in members if document.body.get(name) is not None}


def read_time(value: str | None) -> datetime | None:
    """A time as bodies hold it."""
    return datetime.fromisoformat(value) if value else None


def require_length(kind: str, field: str, value: str, longest: int) -> None:
    """Refuse what the vendor's database has no room for. Raises ``KubeflowError``."""
    if len(value) > longest:
        raise invalid(f"{kind}.{field} length cannot exceed {longest}")


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Refuse too many or too long ones. Raises ``KubeflowError``."""
    if len(tags) > _MOST_TAGS:
        raise invalid(f"too many tags: {len(tags)} exceeds the maximum of {_MOST_TAGS}")
    for key, value in tags.items():
        if not key:
            raise invalid("tag key cannot be empty")
        if len(key) > _LONGEST_TAG or len(value) > _LONGEST_TAG:
            raise invalid(f"tag {key!r} exceeds the maximum length of {_LONGEST_TAG} characters")
    return dict(tags)


def _time(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) and _TIME.fullmatch(value) else value
