"""The proxy of zero-change mode: unmodified programs call the clouds' own hosts, and end up at the local APIs.

Listens on a loopback socket beside the control plane's own port, in the same process and event loop: decrypted
requests reach the same ASGI app without another hop. Denies by default.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

import uvicorn
from uvicorn.server import ServerState

from mlparity.gateway.authority import Certificates
from mlparity.gateway.connection import Connection
from mlparity.gateway.hosts import TERMINATED, Authority, Hosts, Route
from mlparity.gateway.proxied_app import Apps, ProxiedApp, Refusals
from mlparity.ids import IdSource

_LOG = logging.getLogger(__name__)
_KEEP_ALIVE_SECONDS = 75


class Gateway:
    """``port`` is the gateway's own."""

    def __init__(self, apps: Apps, hosts: Hosts, certificates: Certificates, ids: IdSource, port: int) -> None:
        self.hosts = hosts
        self.refusals = Refusals()
        self.state = ServerState()
        self._certificates = certificates
        self.grpc_port = apps.grpc_port
        self._distrusting: set[str] = set()
        self._config = uvicorn.Config(
            ProxiedApp(apps, hosts, self.refusals, ids, port),
            interface="asgi3",
            http="httptools",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )

    async def open(self, sock: socket.socket, state: ServerState) -> asyncio.Server:
        """Take connections from ``sock``; they count as uvicorn's own in ``state``, and end with them."""
        self.state = state
        loop = asyncio.get_running_loop()
        self._config.load()
        return await loop.create_server(lambda: Connection(self), sock=sock)

    def tls_context(self, host: str) -> ssl.SSLContext:
        """The TLS of ``host``, which changes to that of the name that the client then asks for. Any thread."""
        context = self._certificates.context(host)
        context.sni_callback = self._on_name
        return self._with_protocols(context, host)

    def _with_protocols(self, context: ssl.SSLContext, host: str) -> ssl.SSLContext:
        """A context that offers HTTP/2 where gRPC is spoken."""
        if self.hosts.verdict(Authority(host, 443)).route is Route.GOOGLE:
            context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def hand_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Have uvicorn's HTTP protocol go on with ``transport``, of which ``data`` was read already."""
        protocol = self._config.http_protocol_class(  # type: ignore[call-arg] # as uvicorn's server makes it
            config=self._config, server_state=self.state, app_state={}, _loop=asyncio.get_running_loop()
        )
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if data:
            protocol.data_received(data)

    def tls_failed(self, host: str, error: Exception) -> None:
        """Say once a host that a client did not go through with TLS; most often it does not trust the local CA."""
        if host not in self._distrusting and len(self._distrusting) < 100:  # noqa: PLR2004 - enough to see it
            self._distrusting.add(host)
            _LOG.warning("a client of %s ended the TLS handshake (%s): it may not know the local CA", host, error)

    def _on_name(
        self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        authority = Authority.parse(name, 443) if name else None
        if name is None:
            return None
        if authority is None or self.hosts.verdict(authority).route not in TERMINATED:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = self._with_protocols(self._certificates.context(authority.host), authority.host)
        return None
