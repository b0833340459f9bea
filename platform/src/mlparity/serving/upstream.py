"""One model server as its callers see it: requests over kept connections. Standard library only."""

from __future__ import annotations

import http.client
import socket
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_OK = range(200, 300)
_PART = 65536  # bytes, at most
_STALE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


class NoAnswerError(Exception):
    """The server could not be reached, or broke off. ``timed_out``: it took too long."""

    def __init__(self, why: str, *, timed_out: bool = False) -> None:
        super().__init__(why)
        self.timed_out = timed_out


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    content_type: str
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return self.status in _OK

    @property
    def text(self) -> str:
        """The body, for a message."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True)
class Streamed:
    """The head of an answer whose body comes part by part. Read all ``parts``, or close them."""

    status: int
    content_type: str
    parts: Generator[bytes]


class Upstream:
    """A model server at ``address``: the path of a unix socket, or ``HOST:PORT``. Any thread."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._idle: deque[http.client.HTTPConnection] = deque()

    def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """Ask once. ``timeout`` is for each wait on the socket. Raises ``NoAnswerError``."""
        return self._exchange(method, path, body, headers, timeout, self._whole)

    def stream(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Answer | Streamed:
        """The same; an answer whose length the server does not tell comes as it is sent."""

        def take(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Answer | Streamed:
            if not response.chunked:
                return self._whole(connection, response)
            content_type = response.headers.get("content-type", "")
            return Streamed(response.status, content_type, self._parts(connection, response))

        return self._exchange(method, path, body, headers, timeout, take)

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
        take: Callable[[http.client.HTTPConnection, http.client.HTTPResponse], T],
    ) -> T:
        while True:
            kept = self._idle.pop() if self._idle else None
            connection = kept or self._connect(timeout)
            try:
                connection.sock.settimeout(timeout)
                connection.request(method, path, body, dict(headers))
                return take(connection, connection.getresponse())
            except TimeoutError as error:
                connection.close()
                raise NoAnswerError(str(error), timed_out=True) from error
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if kept is None or not isinstance(error, _STALE):
                    raise NoAnswerError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("model", timeout=timeout)
        try:
            connection.sock = _open(self._address, timeout)
        except OSError as error:
            raise NoAnswerError(
                f"{type(error).__name__}: {error}", timed_out=isinstance(error, TimeoutError)
            ) from error
        return connection

    def _whole(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Answer:
        answer = Answer(response.status, response.headers.get("content-type", ""), response.read())
        self._put_back(connection, response)
        return answer

    def _parts(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Generator[bytes]:
        try:
            while part := response.read1(_PART):
                yield part
        except BaseException:
            connection.close()
            raise
        self._put_back(connection, response)

    def _put_back(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)


def in_order(
    servers: Sequence[Callable[[bytes, str, str], Answer]], body: bytes, content_type: str, accept: str
) -> Answer:
    """Send a request through the containers of an inference pipeline; what each answers goes to the next.

    ``servers`` take body, content type and accept; only the last is told what the client accepts. The first answer
    that is no success is the pipeline's.
    """
    answer = Answer(200, content_type, body)
    for number, server in enumerate(servers, 1):
        answer = server(answer.body, answer.content_type, accept if number == len(servers) else "")
        if not answer.ok:
            break
    return answer


def _open(address: str, timeout: float) -> socket.socket:
    if address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(timeout)
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout)
