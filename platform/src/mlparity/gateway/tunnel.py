"""A plain tunnel to this machine's own loopback address, for clients that send loopback hosts to their proxy."""

from __future__ import annotations

import asyncio

from mlparity.gateway.hosts import Authority

_SECONDS = 5.0  # to connect


class Splice(asyncio.Protocol):
    """One end of a tunnel: what arrives here is written to ``peer``, no faster than ``peer`` takes it."""

    def __init__(self) -> None:
        self.peer: asyncio.Transport | None = None
        self.other: Splice | None = None
        self.ended = False
        self._early = bytearray()  # from a server that speaks first (HTTP/2 does), before the ends are joined

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        if self.peer is not None:
            self.peer.write(data)
        else:
            self._early += data

    def join(self, peer: asyncio.Transport, other: Splice) -> None:
        """Write what arrives here to ``peer``, whose protocol is ``other``; what has arrived goes first."""
        self.peer, self.other = peer, other
        if self._early:
            peer.write(bytes(self._early))
            self._early.clear()

    def eof_received(self) -> bool:
        """Pass on; the other direction stays open until it ends as well."""
        self.ended = True
        if self.other is None or self.other.ended:
            return False  # this end closes, and takes the other with it
        if self.peer is not None and self.peer.can_write_eof():
            self.peer.write_eof()
        return True

    def pause_writing(self) -> None:
        """This end is slow: the other one must wait."""
        if self.peer is not None:
            self.peer.pause_reading()

    def resume_writing(self) -> None:
        """This end takes more."""
        if self.peer is not None and not self.peer.is_closing():
            self.peer.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Both ends close together."""
        if self.peer is not None:
            self.peer.close()


async def connect_loopback(authority: Authority) -> tuple[asyncio.Transport, Splice]:
    """A paused connection to ``authority``, which must be loopback. Raises ``OSError`` or ``TimeoutError``."""
    if not authority.is_loopback:
        raise ConnectionRefusedError(f"{authority.host} is not this machine")
    named = authority.host == "localhost" or authority.host.endswith(".localhost")
    address = "127.0.0.1" if named else authority.host  # nothing is looked up
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_SECONDS):
        transport, splice = await loop.create_connection(Splice, address, authority.port)
    transport.pause_reading()
    return transport, splice


def join(one: asyncio.Transport, other: asyncio.Transport, other_end: Splice) -> None:
    """Let bytes flow both ways. ``other_end`` is the protocol of ``other``."""
    one_end = Splice()
    one_end.join(other, other_end)
    other_end.join(one, one_end)
    one.set_protocol(one_end)
    one.resume_reading()
    other.resume_reading()
