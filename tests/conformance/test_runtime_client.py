"""The runtime client as it is, against the router of a running stack; and every way that a request can come to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mlparity.serving.routing.table import EndpointTable
from mlparity.testing.stack import RunningStack, running_stack
from tests.conformance.router_fixture import LittleWorker, deployment, reply

PLANE = f"{Path(__file__).with_name('routed_plane.py')}:build"


def model(worker: LittleWorker, handler: BaseHTTPRequestHandler, body: bytes) -> None:
    if body == b"refuse me":
        reply(handler, 400, b"no")
    elif body == b"stream":
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        handler.wfile.write(b"3\r\none\r\n")
        handler.wfile.write(b"3\r\ntwo\r\n0\r\n\r\n")
    else:
        custom = handler.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
        reply(handler, 200, body[::-1], X_Amzn_SageMaker_Custom_Attributes=custom)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("routed")
    workers = [LittleWorker(folder / f"w{number}", f"w{number}", model).start() for number in range(2)]
    rows = [
        deployment("d-a", workers[:1], variant="a", weight=1),
        deployment("d-b", workers[1:], variant="b", weight=0),
    ]
    (folder / "data" / "state").mkdir(parents=True)
    tables = [EndpointTable("sagemaker/model", rows).to_json()]
    (folder / "data" / "state" / "tables.json").write_text(json.dumps(tables))
    try:
        with running_stack(folder / "data", mlflow=False, control_plane=PLANE) as running:
            yield running
    finally:
        for worker in workers:
            worker.stop()


@pytest.fixture(scope="module")
def runtime(stack: RunningStack) -> Iterator[Any]:
    client = stack.client("sagemaker-runtime")
    yield client
    client.close()


def router_process(stack: RunningStack) -> psutil.Process:
    (child,) = stack.record().children
    found = [
        one
        for one in psutil.Process(child.pid).children(recursive=True)
        if any("serve_router" in word for word in one.cmdline())
    ]
    return found[0]


def test_the_client_gets_answers_and_the_vendors_errors(runtime: Any) -> None:
    answer = runtime.invoke_endpoint(
        EndpointName="model", Body=b"abc", ContentType="text/csv", CustomAttributes="trace=1", InferenceId="i-1"
    )
    assert answer["Body"].read() == b"cba"
    assert (answer["InvokedProductionVariant"], answer["ContentType"], answer["CustomAttributes"]) == (
        "a", "text/csv", "trace=1",
    )  # fmt: skip
    aimed = runtime.invoke_endpoint(EndpointName="model", Body=b"abc", TargetVariant="b")
    assert aimed["InvokedProductionVariant"] == "b"
    assert aimed["Body"].read() == b"cba"  # a body that is not read keeps its connection
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        runtime.invoke_endpoint(EndpointName="model", Body=b"refuse me")
    assert (refused.value.response["OriginalStatusCode"], refused.value.response["OriginalMessage"]) == (400, "no")
    with pytest.raises(runtime.exceptions.ValidationError, match=r"Value 'bad näme' at 'endpointName'"):
        runtime.invoke_endpoint(EndpointName="bad näme", Body=b"x")  # not as it stands in the path
    with pytest.raises(runtime.exceptions.ValidationError, match=r"Endpoint nothing of account \d+ not found\."):
        runtime.invoke_endpoint(EndpointName="nothing", Body=b"abc")


def test_the_client_reads_streams(runtime: Any) -> None:
    answer = runtime.invoke_endpoint_with_response_stream(EndpointName="model", Body=b"stream")
    assert b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"]) == b"onetwo"
    answer["Body"].close()
    assert answer["ContentType"] == "text/plain"
    with pytest.raises(runtime.exceptions.ModelError):
        runtime.invoke_endpoint_with_response_stream(EndpointName="model", Body=b"refuse me")


def test_the_routers_process_serves_the_clients_connection(stack: RunningStack, runtime: Any) -> None:
    large = os.urandom(20 << 20)
    assert runtime.invoke_endpoint(EndpointName="model", Body=large)["Body"].read() == large[::-1]
    ours = {
        one.laddr.port
        for one in psutil.Process().net_connections("tcp")
        if one.raddr and one.raddr.port == stack.config.aws_port
    }
    served = {one.raddr.port for one in router_process(stack).net_connections("tcp") if one.raddr}
    assert ours & served


def signed(stack: RunningStack, connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
    config = stack.config
    request = AWSRequest("POST", f"{config.aws_url}/endpoints/model/invocations", {}, body)
    SigV4Auth(Credentials(config.access_key_id, config.secret_access_key), "sagemaker", config.region).add_auth(request)
    connection.request("POST", "/endpoints/model/invocations", body, dict(request.headers.items()))
    response = connection.getresponse()
    return response.status, response.read()


def health(connection: http.client.HTTPConnection) -> tuple[int, str | None]:
    connection.request("GET", "/_mlparity/health")
    response = connection.getresponse()
    response.read()
    return response.status, response.headers["Connection"]


def test_either_process_serves_what_the_connection_brings(stack: RunningStack) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stack.config.aws_port, timeout=30)
    try:
        assert health(connection) == (200, None)  # the control plane's
        assert signed(stack, connection, b"abc") == (200, b"cba")  # by the way of its ASGI app
    finally:
        connection.close()
    try:
        assert signed(stack, connection, b"abc") == (200, b"cba")  # the router's
        assert health(connection) == (200, "close")  # passed back; the next connection is decided anew
        assert signed(stack, connection, b"abcd") == (200, b"dcba")
    finally:
        connection.close()


def test_a_bucket_may_be_called_endpoints(stack: RunningStack) -> None:
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="endpoints")
    upload = s3.create_multipart_upload(Bucket="endpoints", Key="a/invocations")
    s3.abort_multipart_upload(Bucket="endpoints", Key="a/invocations", UploadId=upload["UploadId"])
    s3.close()  # an open socket that is collected later is another test's warning


def test_a_router_that_is_killed_is_not_noticed(stack: RunningStack, runtime: Any) -> None:
    before = router_process(stack)
    before.send_signal(signal.SIGKILL)
    assert runtime.invoke_endpoint(EndpointName="model", Body=b"abc")["Body"].read() == b"cba"
    assert router_process(stack).pid != before.pid
