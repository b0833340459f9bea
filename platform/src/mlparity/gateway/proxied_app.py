"""What answers HTTP that came through the gateway: the local API of the request's host, or a refusal."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from mlparity.gateway.aws_endpoint import ADMIN_PREFIX
from mlparity.gateway.hosts import Authority, Hosts, Route, Verdict
from mlparity.gateway.unserved import answer_unserved, is_from_an_sdk
from mlparity.ids import IdSource

_LOG = logging.getLogger(__name__)
_REMEMBERED = 1000  # refused hosts that are logged; later ones are refused silently
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
     b"transfer-encoding", b"upgrade"}
)  # fmt: skip
_NOT_A_WEBSITE = Verdict(
    Route.REFUSED,
    "this is mlparity's proxy",
    "it answers for the hosts of local APIs, and this request names none",
    "run your command with `mlparity exec -- CMD`",
)


class Refusals:
    """Logs every refused host once."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def note(self, host: str, verdict: Verdict) -> None:
        """Say that ``host`` was refused."""
        if host not in self._known and len(self._known) < _REMEMBERED:
            self._known.add(host)
            _LOG.warning("%s", verdict.reason)


@dataclass(frozen=True)
class Apps:
    """What answers behind the gateway."""

    aws: ASGIApp
    google: ASGIApp
    tracking_port: int = 0  # MLflow's; 0: there is none
    grpc_port: Callable[[], int] = lambda: 0  # of Google's APIs in gRPC; 0: not yet, or none


class ProxiedApp:
    """ASGI: routes by the Host header. ``own_port`` is the gateway's."""

    def __init__(self, apps: Apps, hosts: Hosts, refusals: Refusals, ids: IdSource, own_port: int) -> None:
        self._aws = apps.aws
        self._google = apps.google
        self._hosts = hosts
        self._refusals = refusals
        self._ids = ids
        self._own_port = own_port
        self._tracking = Authority("127.0.0.1", apps.tracking_port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        authority = Authority.parse(host, 443 if scope["scheme"] == "https" else 80)
        if authority is None:
            await refuse(send, _NOT_A_WEBSITE, 400)
            return
        if authority.is_loopback and authority.port == self._own_port:
            if scope["path"].startswith(ADMIN_PREFIX):
                await self._aws(scope, receive, send)
            else:
                await refuse(send, _NOT_A_WEBSITE, 400)
            return
        verdict = self._hosts.verdict(authority)
        if verdict.route is Route.AWS:
            await self._aws(scope, receive, send)
        elif verdict.route is Route.GOOGLE:
            await self._google(scope, receive, send)
        elif verdict.route is Route.UNSERVED and is_from_an_sdk(scope):
            self._refusals.note(authority.host, verdict)
            why = f"is not served: {verdict.why} ({authority.host}); {verdict.hint}"
            await answer_unserved(scope, receive, send, why, self._ids.uuid())
        elif verdict.route is Route.TRACKING:
            await forward(scope, receive, send, self._tracking)
        elif verdict.route is Route.LOOPBACK and scope["scheme"] == "http":
            await forward(scope, receive, send, authority)
        else:
            self._refusals.note(authority.host, verdict)
            await refuse(send, verdict, 403)


async def refuse(send: Send, verdict: Verdict, status: int) -> None:
    """Answer with the verdict's lines as text."""
    body = f"{verdict.what}\n  why: {verdict.why}\n  try: {verdict.hint}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def forward(scope: Scope, receive: Receive, send: Send, authority: Authority) -> None:
    """Pass a plain request on to a loopback address, body and answer streamed; 502 where nothing answers there."""
    import httpx

    named = "127.0.0.1" if authority.host.endswith("localhost") else authority.host
    address = f"[{named}]" if ":" in named else named
    target = scope["raw_path"].decode("latin-1") + (f"?{query}" if (query := scope["query_string"].decode()) else "")
    headers = [(name, value) for name, value in scope["headers"] if name not in (*_HOP_BY_HOP, b"host")]
    headers.append((b"host", f"{address}:{authority.port}".encode()))
    has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: the default one would read every public CA
    async with httpx.AsyncClient(trust_env=False, timeout=None, verify=plain) as client:  # noqa: S113 - the client's
        url = f"http://{address}:{authority.port}{target}"
        request = client.build_request(
            scope["method"], url, headers=headers, content=_body(receive) if has_body else None
        )
        try:
            answer = await client.send(request, stream=True)
        except httpx.HTTPError as error:
            what = f"{authority.host}:{authority.port} does not answer"
            await refuse(send, Verdict(Route.REFUSED, what, str(error), "start the program that listens there"), 502)
            return
        kept = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in _HOP_BY_HOP]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
        async for chunk in answer.aiter_raw():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        yield message.get("body", b"")
        more = message.get("more_body", False)
