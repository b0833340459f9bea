"""Client tokens: the same token gives the same answer, and does the work once."""

from __future__ import annotations

from collections.abc import Callable

from mlparity.apis.sagemaker.context import Response, SageMaker
from mlparity.errors import NotFoundError

_KIND = "ClientToken"


def once(api: SageMaker, operation: str, token: str | None, action: Callable[[], Response]) -> Response:
    """Run ``action`` unless the token was seen for this operation; its earlier response then.

    What it writes and the token are committed together: a call that was cut off by a crash is done, and known by its
    token, or it never was. Two calls with one token at the same time wait for one another.
    """
    with api.transaction():
        if not token:
            return action()
        key = f"{operation}:{token}"
        try:
            return dict(api.documents.get(_KIND, key).body)
        except NotFoundError:
            pass
        response = action()
        api.documents.create(_KIND, key, response)
    return response
