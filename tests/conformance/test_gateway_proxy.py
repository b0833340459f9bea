"""The gateway as real clients see it: CONNECT, TLS inside it, plain requests, refusals, tunnels to loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.gateway_fixture import RunningGateway, running_gateway

STS = "sts.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway") / "authority") as running:
        yield running


def connected(gateway: RunningGateway, host: str, port: int = 443) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(gateway.certificate))
    connection = http.client.HTTPSConnection("127.0.0.1", gateway.port, context=context, timeout=20)
    connection.set_tunnel(host, port)
    return connection


def asked(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    connection.request(method, path, body=body)
    response = connection.getresponse()
    assert response.status == 200
    return json.loads(response.read())


def opener(gateway: RunningGateway) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=str(gateway.certificate))
    proxies = urllib.request.ProxyHandler({"http": gateway.url, "https": gateway.url})
    return urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=context))


def test_a_served_host_is_answered_over_tls_with_the_host_kept(gateway: RunningGateway) -> None:
    connection = connected(gateway, STS)
    told = asked(connection, "GET", "/a%20b?c=d")
    assert told == {"host": STS, "path": "/a b", "scheme": "https", "size": 0}
    assert asked(connection, "POST", "/again", b"x" * 10)["size"] == 10  # the same connection
    connection.close()


@pytest.mark.parametrize("bucket", ["bucket", "a.bucket.with.dots", "b" * 63])
def test_buckets_are_hosts(gateway: RunningGateway, bucket: str) -> None:
    host = f"{bucket}.s3.us-east-1.amazonaws.com"
    connection = connected(gateway, host)
    assert asked(connection, "GET", "/key")["host"] == host
    connection.close()


def test_plain_http_to_a_served_host(gateway: RunningGateway) -> None:
    with opener(gateway).open("http://s3.amazonaws.com/bucket/key") as response:
        assert json.loads(response.read()) == {
            "host": "s3.amazonaws.com", "path": "/bucket/key", "scheme": "http", "size": 0,
        }  # fmt: skip


def test_plain_http_in_a_tunnel(gateway: RunningGateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.set_tunnel("s3.amazonaws.com", 80)
    assert asked(connection, "GET", "/x")["scheme"] == "http"
    connection.close()


def test_other_hosts_are_refused_by_name(gateway: RunningGateway) -> None:
    with pytest.raises(OSError, match=r"403 mlparity refused example\.com: no local API serves it.*NO_PROXY"):
        connected(gateway, "example.com").connect()
    with pytest.raises(urllib.error.HTTPError) as raised, opener(gateway).open("http://example.com/"):
        pass
    assert raised.value.code == 403
    assert raised.value.read().decode().splitlines() == [
        "mlparity refused example.com",
        "  why: no local API serves it, and nothing leaves this machine",
        "  try: for a host of your own, name it in NO_PROXY before `mlparity exec`",
    ]


def test_a_refusal_has_the_same_words_in_its_body(gateway: RunningGateway) -> None:
    answer = gateway.ask("CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 403 mlparity refused api.openai.com")
    assert "connection: close" in head.lower()
    assert body.startswith("mlparity refused api.openai.com\n  why:")


def test_a_refused_host_is_logged_once(gateway: RunningGateway, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            gateway.ask("CONNECT once.example.com:443 HTTP/1.1\r\nHost: once.example.com\r\n\r\n")
    assert len([record for record in caplog.records if "once.example.com" in record.getMessage()]) == 1


def test_an_sdk_hears_the_vendors_error_for_a_service_that_is_not_there(gateway: RunningGateway) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    config = Config(proxies={"https": gateway.url})
    session = boto3.Session("mlparity", "secret", region_name="us-east-1")
    for service, call in (("dynamodb", "list_tables"), ("ec2", "describe_vpcs"), ("lambda", "list_functions")):
        client = session.client(service, config=config, verify=str(gateway.certificate))
        with pytest.raises(ClientError, match=f"no local API for {service}") as raised:
            getattr(client, call)()
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404)
        client.close()


def test_curl_shows_the_refusal(gateway: RunningGateway) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    command = [curl, "-sS", "-i", "--proxy", gateway.url, "https://example.com/"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    assert "403" in done.stderr
    assert "mlparity refused example.com" in done.stdout
    command = [curl, "-sS", "--proxy", gateway.url, "--cacert", str(gateway.certificate), f"https://{STS}/x"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout)["host"] == STS


def test_requests_shows_the_refusal(gateway: RunningGateway) -> None:
    import requests

    with requests.Session() as session:
        session.proxies = {"https": gateway.url}
        with pytest.raises(requests.exceptions.ProxyError, match=r"mlparity refused example\.com"):
            session.get("https://example.com/")


def test_the_name_in_tls_must_be_served_too(gateway: RunningGateway) -> None:
    context = ssl.create_default_context(cafile=str(gateway.certificate))
    for name, served in (("example.com", False), ("iam.amazonaws.com", True)):
        with gateway.connection() as sock:
            sock.sendall(f"CONNECT {STS}:443 HTTP/1.1\r\nHost: {STS}\r\n\r\n".encode())
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
            if served:
                context.wrap_socket(sock, server_hostname=name).close()
                continue
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(sock, server_hostname=name)


def test_the_host_inside_tls_must_be_served_too(gateway: RunningGateway) -> None:
    connection = connected(gateway, STS)
    connection.request("GET", "/", headers={"Host": "example.com"})
    response = connection.getresponse()
    assert response.status == 403
    assert b"refused example.com" in response.read()
    connection.close()


def test_a_client_that_does_not_know_the_authority_is_told_of(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    connection = http.client.HTTPSConnection("127.0.0.1", gateway.port, timeout=20)
    connection.set_tunnel("iam.s3.amazonaws.com", 443)
    with caplog.at_level(logging.WARNING), pytest.raises(ssl.SSLCertVerificationError):
        connection.connect()
    connection.close()
    answer = gateway.ask("GET /x HTTP/1.1\r\nHost: nowhere.example\r\nConnection: close\r\n\r\n")
    assert "403" in answer


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("CONNECT nonsense HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT a b c\r\n\r\n", 400),
        ("CONNECT /path HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (f"CONNECT {STS}:22 HTTP/1.1\r\nHost: x\r\n\r\n", 403),
        (f"CONNECT {STS}:443 HTTP/1.1\r\nHost: x\r\n\r\ntoo early", 400),
        ("CONNECT " + "x" * 70_000, 400),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00", 400),
        ("nonsense\r\n\r\n", 400),
    ],
)
def test_what_is_no_use_of_a_proxy(gateway: RunningGateway, request_text: str, status: int) -> None:
    answer = gateway.ask(request_text.replace("{port}", str(gateway.port)))
    assert answer.startswith(f"HTTP/1.1 {status} ")


def test_a_request_may_come_in_pieces(gateway: RunningGateway) -> None:
    text = f"CONNECT {STS}:443 HTTP/1.1\r\nHost: {STS}\r\nUser-Agent: slow\r\n\r\n".encode()
    with gateway.connection() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in text:
            sock.sendall(bytes([byte]))
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


def test_its_own_health_is_answered(gateway: RunningGateway) -> None:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{gateway.url}/_mlparity/health") as answer:
        assert answer.status == 200


def test_an_upload_is_held_back_while_the_app_does_not_read(gateway: RunningGateway) -> None:
    """Constant memory: nothing between the client and the app takes what the app has not asked for."""
    gateway.app.go.clear()
    total, piece = 64 << 20, b"x" * 65536
    connection = connected(gateway, "bucket.s3.us-east-1.amazonaws.com")
    connection.putrequest("PUT", "/held")
    connection.putheader("Content-Length", str(total))
    connection.endheaders()
    connection.sock.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < total:
            connection.send(piece)
            sent += len(piece)
    assert sent < 16 << 20  # what sockets buffer; the rest stays with the client
    gateway.app.go.set()
    connection.sock.close()


def test_a_large_upload_and_download(gateway: RunningGateway) -> None:
    connection = connected(gateway, "bucket.s3.us-east-1.amazonaws.com")
    assert asked(connection, "PUT", "/key", b"x" * (64 << 20))["size"] == 64 << 20
    connection.request("GET", "/download/512")
    response, size = connection.getresponse(), 0
    while piece := response.read(1 << 20):
        size += len(piece)
    assert size == 512 * 65536
    connection.close()


class Server:
    """Something of the person's own on loopback: a line in, the line out in capitals; HTTP gets a fixed answer."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        sock, _ = self._listening.accept()
        with sock, sock.makefile("rb") as lines:
            line = lines.readline()
            if not line.startswith(b"POST"):
                sock.sendall(line.upper())
                return
            while lines.readline().strip():
                pass
            sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n" + lines.read(5)[::-1])

    def close(self) -> None:
        self._thread.join(10)
        self._listening.close()


@pytest.fixture
def own() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "app.localhost"])
def test_loopback_is_tunnelled(gateway: RunningGateway, own: Server, name: str) -> None:
    with gateway.connection() as sock:
        sock.sendall(f"CONNECT {name}:{own.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        sock.sendall(b"hello\n")
        assert sock.recv(65536) == b"HELLO\n"
        assert sock.recv(65536) == b""


def test_plain_http_to_loopback_is_passed_on(gateway: RunningGateway, own: Server) -> None:
    with opener(gateway).open(f"http://127.0.0.1:{own.port}/x", data=b"abcde") as response:
        assert (response.status, response.read()) == (201, b"edcba")


def test_nothing_listens_there(gateway: RunningGateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    assert gateway.ask(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n").startswith("HTTP/1.1 502 ")
    with pytest.raises(urllib.error.HTTPError, match="502"):
        opener(gateway).open(f"http://127.0.0.1:{port}/")


_WATCHED = """
import sys
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        seen.append((event, str(arguments)))
sys.addaudithook(watch)
import pathlib, tempfile
sys.path.insert(0, sys.argv[1])
from gateway_fixture import running_gateway
with tempfile.TemporaryDirectory() as folder, running_gateway(pathlib.Path(folder) / "g") as gateway:
    for host in ("example.com", "10.0.0.1", "sts.amazonaws.com.example.org", "169.254.169.254", "[2001:db8::1]"):
        assert " 403 " in gateway.ask(f"CONNECT {host}:443 HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n"), host
        plain = f"GET http://{host}/ HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n"
        assert " 403 " in gateway.ask(plain)
    print([event for event in seen if "127.0.0.1" not in event[1]])
"""


def test_the_gateway_looks_nothing_up_and_connects_nowhere(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WATCHED, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
