"""Pages of documents by what stands in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mlparity.apis.sagemaker.context import SageMaker
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest


def matching(
    api: SageMaker, kind: str, wanted: DocumentFilter, page: PageRequest, fits: Callable[[Document], bool]
) -> tuple[list[Document], str | None]:
    """As many documents as ``page`` asks for, and the token of the next page where there is one."""
    found: list[Document] = []
    token = page.token
    while True:
        part = api.documents.list(kind, wanted, replace(page, limit=page.limit - len(found), token=token))
        found += [document for document in part.items if fits(document)]
        token = part.next_token
        if token is None or len(found) >= page.limit:
            return found, token
