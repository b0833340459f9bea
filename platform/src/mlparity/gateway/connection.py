"""A connection to the gateway until it is known what it is: a CONNECT request, or plain HTTP.

After CONNECT to a host that a local API serves, the client's TLS ends here with a certificate for that host, and the
HTTP in it is uvicorn's. Follows RFC 9110, section 9.3.6 (CONNECT).
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

import h11

from mlparity.errors import MlparityError
from mlparity.gateway.hosts import TERMINATED, Authority, Route, Verdict
from mlparity.gateway.tunnel import connect_loopback, join

if TYPE_CHECKING:
    from mlparity.gateway.gateway import Gateway

_CONNECT = b"CONNECT "
_HTTPS, _HTTP = 443, 80
_IDLE_SECONDS = 30.0  # for the first request to arrive, and for the TLS handshake
_BAD_REQUEST = Verdict(Route.REFUSED, "not a CONNECT request", "it names no host and port", "use an HTTP client")
_TOO_EARLY = Verdict(Route.REFUSED, "data before the tunnel", "a client waits for the answer to CONNECT", "")


class Connection(asyncio.Protocol):
    """Reads the first bytes, then hands the transport over."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._first = b""
        self._parsing = False
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, not for ever."""
        self._transport = cast("asyncio.Transport", transport)  # by its methods; uvloop's is none by its class
        self._timer = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._transport.abort)
        self._gateway.state.connections.add(self)  # type: ignore[arg-type] # uvicorn needs no more than ``shutdown``

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Forget it."""
        self._leave()

    def shutdown(self) -> None:
        """Close; called when the server ends."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Tell CONNECT from the rest by its first bytes."""
        self._first += data
        if _CONNECT.startswith(self._first[: len(_CONNECT)]) and len(self._first) < len(_CONNECT):
            return
        if self._first.startswith(_CONNECT):
            self._read_connect(data if self._parsing else self._first)
        elif self._transport is not None:
            self._leave()
            self._gateway.hand_over(self._transport, self._first)

    def _read_connect(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        self._parsing = True
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError:
            self._refuse(_BAD_REQUEST, 400)
            return
        if not isinstance(event, h11.Request):
            return
        if self._http.trailing_data[0]:
            self._refuse(_TOO_EARLY, 400)
            return
        transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._connect(transport, event.target.decode("latin-1")))
        self._gateway.state.tasks.add(task)
        task.add_done_callback(self._gateway.state.tasks.discard)

    async def _connect(self, transport: asyncio.Transport, target: str) -> None:
        authority = Authority.parse(target, 0)
        if authority is None or not authority.port:
            self._refuse(_BAD_REQUEST, 400)
            return
        verdict = self._gateway.hosts.verdict(authority)
        if verdict.route in TERMINATED and authority.port in (_HTTPS, _HTTP):
            await self._terminate(transport, authority)
        elif verdict.route is Route.LOOPBACK:
            await self._tunnel(transport, authority)
        else:
            if verdict.route in TERMINATED:
                why = f"port {authority.port} is not one that is served there"
                verdict = Verdict(Route.REFUSED, f"mlparity refused {authority.host}", why, "use port 443")
            self._gateway.refusals.note(authority.host, verdict)
            self._refuse(verdict, 403)

    async def _terminate(self, transport: asyncio.Transport, authority: Authority) -> None:
        """Be the host that was asked for."""
        if authority.port == _HTTP:
            self._accept()
            self._leave()
            self._gateway.hand_over(transport, b"")
            transport.resume_reading()
            return
        loop, arrived = asyncio.get_running_loop(), _Arrived()
        try:
            context = await loop.run_in_executor(None, self._gateway.tls_context, authority.host)
        except MlparityError as error:
            self._refuse(Verdict(Route.REFUSED, error.what, error.why, error.hint), 502)
            return
        self._accept()
        self._leave()
        try:
            secure = await loop.start_tls(
                transport, arrived, context, server_side=True, ssl_handshake_timeout=_IDLE_SECONDS
            )
        except (ssl.SSLError, OSError) as error:
            self._gateway.tls_failed(authority.host, error)
            transport.abort()
            return
        if secure is None or arrived.lost:
            return
        encryption = secure.get_extra_info("ssl_object")
        if encryption is not None and encryption.selected_alpn_protocol() == "h2":
            await self._to_grpc(secure, arrived)
        else:
            self._gateway.hand_over(secure, bytes(arrived.data))

    async def _to_grpc(self, secure: asyncio.Transport, arrived: _Arrived) -> None:
        """HTTP/2 is gRPC here: its bytes go to the server that speaks it, decrypted."""
        secure.pause_reading()
        try:
            other, end = await connect_loopback(Authority("127.0.0.1", self._gateway.grpc_port()))
        except (OSError, TimeoutError):
            secure.abort()  # it starts, or ends: clients try again
            return
        other.write(bytes(arrived.data))
        join(secure, other, end)

    async def _tunnel(self, transport: asyncio.Transport, authority: Authority) -> None:
        try:
            other, end = await connect_loopback(authority)
        except (OSError, TimeoutError) as error:
            what = f"{authority.host}:{authority.port} does not answer"
            self._refuse(Verdict(Route.REFUSED, what, type(error).__name__, "start what listens there"), 502)
            return
        self._accept()
        self._leave()
        join(transport, other, end)

    def _accept(self) -> None:
        if self._transport is not None:
            self._transport.write(
                self._http.send(h11.Response(status_code=200, headers=[], reason=b"Connected")) or b""
            )

    def _refuse(self, verdict: Verdict, status: int) -> None:
        """Answer and close. Clients show the reason phrase, and few of them the body."""
        if self._transport is None:
            return
        self._leave()
        body = f"{verdict.what}\n  why: {verdict.why}\n  try: {verdict.hint}\n".encode()
        headers = [
            ("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body))), ("connection", "close"),
        ]  # fmt: skip
        reason = verdict.reason.encode("ascii", "replace")
        answer = self._http if self._http.our_state is h11.SEND_RESPONSE else h11.Connection(h11.SERVER)
        head = answer.send(h11.Response(status_code=status, headers=headers, reason=reason)) or b""
        self._transport.write(head + (answer.send(h11.Data(data=body)) or b""))
        self._transport.close()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._gateway.state.connections.discard(self)


class _Arrived(asyncio.Protocol):
    """Keeps what comes with the last message of the handshake, before the HTTP protocol is there to take it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.lost = True
