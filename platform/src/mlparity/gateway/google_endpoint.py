"""The one Google endpoint: Vertex AI, Cloud Storage and what stands around them, told apart by host or path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mlparity.apis.gcp import projects, tokens
from mlparity.gateway.aws_endpoint import ADMIN_PREFIX
from mlparity.gateway.hosts import Authority

_TOKEN_HOSTS = ("oauth2.googleapis.com", "www.googleapis.com", "accounts.google.com")
_DEDICATED = ".vertexai.goog"  # endpoints with a host of their own


@dataclass(frozen=True)
class GoogleApps:
    """What answers."""

    admin: ASGIApp
    storage: ASGIApp
    vertex: ASGIApp
    tokens: ASGIApp
    projects: ASGIApp
    predictions: ASGIApp  # online predictions, by the router
    is_storage: Callable[[str], bool]  # of a path, where the host does not tell
    is_prediction: Callable[[str], bool]  # of a path


class GoogleEndpoint:
    """Routes by the host that an SDK was to call, and where that is this machine by the path."""

    def __init__(self, apps: GoogleApps) -> None:
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event: HTTP only."""
        if scope["type"] == "http":
            await self._app(scope)(scope, receive, send)

    def _app(self, scope: Scope) -> ASGIApp:
        apps, path = self._apps, scope["path"]
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        authority = Authority.parse(host, 80)
        name = authority.host if authority is not None else ""
        if name.endswith((".googleapis.com", _DEDICATED)):
            return self._by_host(name, scope)
        if path.startswith(ADMIN_PREFIX):
            return apps.admin
        if path in tokens.PATHS:
            return apps.tokens
        if projects.PATH.match(path):
            return apps.projects
        return apps.storage if apps.is_storage(path) else self._vertex(scope)

    def _vertex(self, scope: Scope) -> ASGIApp:
        is_prediction = scope["method"] == "POST" and self._apps.is_prediction(scope["path"])
        return self._apps.predictions if is_prediction else self._apps.vertex

    def _by_host(self, name: str, scope: Scope) -> ASGIApp:
        path = scope["path"]
        apps, label = self._apps, name.removesuffix(".googleapis.com")
        if label == "storage" or label.endswith(".storage") or (label == "www" and apps.is_storage(path)):
            return apps.storage
        if label == "aiplatform" or label.endswith(("-aiplatform", _DEDICATED)):
            return self._vertex(scope)
        if name in _TOKEN_HOSTS and path in tokens.PATHS:
            return apps.tokens
        return apps.projects if label == "cloudresourcemanager" else _Unserved(name)


class _Unserved:
    """Google's own error for an API that there is none of."""

    def __init__(self, host: str) -> None:
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"there is no local API for {self._host}; `mlparity parity` lists what there is"
        body = {"error": {"code": 501, "message": message, "status": "UNIMPLEMENTED"}}
        await JSONResponse(body, 501)(scope, receive, send)
