"""The one AWS endpoint: every service behind one port, told apart as AWS's own front door could."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from mlparity.gateway.router_app import INVOCATION
from mlparity.wire.aws_service import service_of

ADMIN_PREFIX = "/_mlparity/"  # not a bucket: bucket names have no underscore
_ASYNC_INVOCATION = re.compile(r"/endpoints/[^/]*/async-invocations\Z")
_SAGEMAKER = frozenset({"sagemaker"})


class AwsEndpoint:
    """Routes by the service of the request's signature (or target, or host).

    ``invocations`` are requests for models behind endpoints; ``async_invocations`` those that are answered later.
    """

    def __init__(
        self,
        *,
        admin: ASGIApp,
        s3: ASGIApp,
        sagemaker: ASGIApp,
        invocations: ASGIApp,
        async_invocations: ASGIApp,
        others: ASGIApp,
    ) -> None:
        self._admin = admin
        self._invocations = invocations
        self._async_invocations = async_invocations
        self._s3 = s3
        self._sagemaker = sagemaker
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event: HTTP only."""
        if scope["type"] != "http":
            return
        await self._app(scope)(scope, receive, send)

    def _app(self, scope: Scope) -> ASGIApp:
        if scope["path"].startswith(ADMIN_PREFIX):
            return self._admin
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        service = service_of(headers, scope["query_string"].decode("latin-1"), headers.get("host", ""))
        if service == "s3":
            return self._s3
        if service not in _SAGEMAKER:
            return self._others
        if INVOCATION.match(scope["path"]):
            return self._invocations
        return self._async_invocations if _ASYNC_INVOCATION.match(scope["path"]) else self._sagemaker
