"""The model server's HTTP: requests however they are cut, streams, and pings that never wait behind a model."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mlparity.serving.exchange import Payload, Reply
from mlparity.serving.http_messages import BadMessageError, RequestReader
from mlparity.serving.http_server import ModelServer
from mlparity.serving.pace import Pace
from mlparity.serving.sagemaker import SageMakerContract

BODY = bytes(range(256)) * 40
SIZED = b"POST /a?b=c HTTP/1.1\r\nContent-Length: %d\r\nX-Y:  z \r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nab\r\nc\r\n%x\r\n%b\r\n0\r\nT: 1\r\n\r\n" % (
    len(BODY),
    BODY,
)
BARE = b"GET /ping HTTP/1.0\r\n\r\n"


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
def test_requests_are_read_however_they_are_cut(step: int) -> None:
    wire = SIZED + CHUNKED + BARE + SIZED
    reader, found = RequestReader(), []
    for start in range(0, len(wire), step):
        reader.feed(wire[start : start + step])
        while (request := reader.next()) is not None:
            found.append(request)
    assert [(head.method, head.path, body) for head, body in found] == [
        ("POST", "/a", BODY),
        ("POST", "/c", b"ab\r\nc" + BODY),
        ("GET", "/ping", b""),
        ("POST", "/a", BODY),
    ]
    assert found[0][0].headers["x-y"] == "z"
    assert [head.keep_alive for head, _ in found] == [True, True, False, True]


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70000, 431),
    ],
)
def test_what_is_no_request_is_refused(wire: bytes, status: int) -> None:
    reader = RequestReader()
    reader.feed(wire)
    with pytest.raises(BadMessageError) as caught:
        reader.next()
    assert caught.value.status == status


@dataclass
class Model:
    """A ``Servable`` that does what a test says."""

    act: Callable[[Payload], Reply]
    library: bool = False
    execution_parameters: Mapping[str, Any] | None = None
    threads: list[str] = field(default_factory=list)

    def healthy(self) -> bool:
        return True

    def invoke(self, payload: Payload) -> Reply:
        self.threads.append(threading.current_thread().name)
        return self.act(payload)


def talk(model: Model, talk_with: Callable[[str], Awaitable[None]]) -> None:
    """Serve ``model`` at a socket while ``talk_with`` runs."""

    async def run() -> None:
        server = ModelServer(SageMakerContract().routes(model), 2, Pace(library=model.library))
        with tempfile.TemporaryDirectory() as folder:
            listener = await asyncio.get_running_loop().create_unix_server(server.connection, f"{folder}/s")
            try:
                async with asyncio.timeout(20):
                    await talk_with(f"{folder}/s")
            finally:
                listener.close()
                await server.close()

    asyncio.run(run())


def invocation(body: bytes, extra: bytes = b"") -> bytes:
    return b"POST /invocations HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (extra, len(body), body)


async def answer_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def test_pipelined_requests_are_answered_in_order_and_an_old_client_is_let_go() -> None:
    model = Model(lambda payload: Reply(payload.body[::-1]), library=True)

    async def client(path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"".join(invocation(b"%d0" % number) for number in range(500)))
        for number in range(500):
            assert (await answer_of(reader))[1] == (b"%d0" % number)[::-1]
        writer.write(invocation(b"12", b"Connection: close\r\n"))
        assert (await answer_of(reader))[1] == b"21"
        assert await reader.read() == b""
        writer.close()

    talk(model, client)
    assert model.threads[0].startswith("model")  # until it is known to be quick
    assert model.threads[-1] == threading.current_thread().name


def test_pings_do_not_wait_behind_a_model_and_closing_waits_for_the_answer() -> None:
    go_on = threading.Event()

    def act(_payload: Payload) -> Reply:
        go_on.wait(20)
        return Reply(b"late")

    async def client(path: str) -> None:
        slow = [await asyncio.open_unix_connection(path) for _ in range(4)]  # more than there are threads
        for _, writer in slow:
            writer.write(invocation(b"x"))
        for _ in range(3):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET /ping HTTP/1.1\r\n\r\n")
            assert (await answer_of(reader))[0].startswith(b"HTTP/1.1 200 OK")
            writer.close()
        go_on.set()
        for reader, writer in slow:
            assert (await answer_of(reader))[1] == b"late"
            writer.close()

    talk(Model(act), client)


def test_what_the_model_yields_arrives_as_it_is_made() -> None:
    received = threading.Event()
    ended: list[str] = []

    def parts(fail: bool) -> Iterator[bytes]:
        try:
            yield b"first,"
            assert received.wait(20)  # the client has the first part, and only then the second is made
            if fail:
                raise ValueError("in the middle")
            yield b"second"
        finally:
            ended.append("closed")

    model = Model(lambda payload: Reply(b"", "text/plain", parts=parts(payload.body == b"fail")))

    async def client(path: str) -> None:
        for body, rest in ((b"x", b"6\r\nsecond\r\n0\r\n\r\n"), (b"fail", b"")):
            received.clear()
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(invocation(body))
            assert b"transfer-encoding: chunked" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readuntil(b"first,\r\n") == b"6\r\nfirst,\r\n"
            received.set()
            if rest:
                assert await reader.readexactly(len(rest)) == rest
            else:  # the connection breaks off before the last chunk
                with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                    await reader.readexactly(1)
            writer.close()

    talk(model, client)
    assert ended == ["closed", "closed"]


def test_a_client_that_waits_for_leave_gets_it() -> None:
    async def client(path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        whole = invocation(b"abc", b"Expect: 100-continue\r\n")
        writer.write(whole[:-3])
        assert await reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(whole[-3:])
        assert (await answer_of(reader))[1] == b"abc"
        writer.close()

    talk(Model(lambda payload: Reply(payload.body)), client)


def test_only_what_is_quick_and_small_runs_in_the_loop() -> None:
    pace = Pace(library=True)
    for _ in range(3):
        assert not pace.in_loop(10)
        pace.note(1.0, 10)  # the first calls import and allocate
    assert pace.in_loop(10)
    assert not pace.in_loop(1_000_000)
    pace.note(0.1, 10)
    assert not pace.in_loop(10)
    for _ in range(40):
        pace.note(0.001, 10)
    assert pace.in_loop(10)
    assert not Pace(library=False).in_loop(10)
