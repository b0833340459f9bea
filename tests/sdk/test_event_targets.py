"""EventBridge targets that run the user's own code: a Lambda function, and a webhook on this machine."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sdk.cloud import OFTEN, Cloud, unique

FUNCTION = """
import boto3, json, os

def handler(event, context):
    target = event["detail"]["to"]
    said = {"who": boto3.client("sts").get_caller_identity()["Arn"], "event": event["detail-type"]}
    boto3.client("s3").put_object(Bucket=target["bucket"], Key=target["key"], Body=json.dumps(said))
"""
WAITS = 60.0


@contextmanager
def webhook(answers: list[int]) -> Iterator[tuple[str, Queue[tuple[dict[str, str], Any]]]]:
    """A server that takes events; ``answers`` are the statuses of the first requests, 200 afterwards."""
    taken: Queue[tuple[dict[str, str], Any]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.put(({**dict(self.headers), "path": self.path}, json.loads(body)))
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def rule_for(events: Any, name: str, target: dict[str, Any]) -> None:
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    answer = events.put_targets(Rule=name, Targets=[{"Id": "only", **target}])
    assert answer["FailedEntryCount"] == 0


def put(events: Any, source: str, detail: dict[str, Any]) -> None:
    entry = {"Source": source, "DetailType": "Drift found", "Detail": json.dumps(detail)}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_an_event_calls_a_function_which_acts_as_its_role(cloud: Cloud) -> None:
    events, name = cloud.client("events"), unique("function")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("main.py", FUNCTION)
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    function = cloud.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler="main.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    rule_for(events, name, {"Arn": function["FunctionArn"]})
    put(events, name, {"to": {"bucket": cloud.bucket, "key": f"{name}/said.json"}})
    cloud.s3.get_waiter("object_exists").wait(Bucket=cloud.bucket, Key=f"{name}/said.json", WaiterConfig=OFTEN)
    said = json.loads(cloud.get(cloud.uri(name, "said.json")))
    assert said["event"] == "Drift found"
    assert said["who"].split(":")[-1].startswith(f"assumed-role/{name}/")


def test_an_event_is_posted_to_a_webhook_again_where_it_answers_with_a_failure(cloud: Cloud) -> None:
    events, name = cloud.client("events"), unique("hook")
    key = {"ApiKeyName": "X-Key", "ApiKeyValue": "sesame"}
    connection = events.create_connection(
        Name=name, AuthorizationType="API_KEY", AuthParameters={"ApiKeyAuthParameters": key}
    )
    with webhook([503]) as (url, taken):
        destination = events.create_api_destination(
            Name=name,
            ConnectionArn=connection["ConnectionArn"],
            InvocationEndpoint=f"{url}/models/*/drift",
            HttpMethod="POST",
        )
        rule_for(
            events,
            name,
            {
                "Arn": destination["ApiDestinationArn"],
                "RoleArn": cloud.role,
                "HttpParameters": {"PathParameterValues": ["a b"], "HeaderParameters": {"X-More": "yes"}},
            },
        )
        put(events, name, {"mse": 3})
        first, again = taken.get(timeout=WAITS), taken.get(timeout=WAITS)
    assert first[0]["X-Key"] == "sesame"
    assert (first[0]["X-More"], first[0]["path"]) == ("yes", "/models/a%20b/drift")
    assert first[1]["detail"] == {"mse": 3}
    assert again[1]["id"] == first[1]["id"]


@pytest.mark.parametrize("url", ["https://example.com/hook", "http://169.254.169.254/", "ftp://127.0.0.1/"])
def test_nothing_is_posted_off_this_machine(cloud: Cloud, url: str) -> None:
    events, name = cloud.client("events"), unique("away")
    basic = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
    connection = events.create_connection(Name=name, AuthorizationType="BASIC", AuthParameters=basic)
    with pytest.raises(ClientError, match="is not on this machine"):
        events.create_api_destination(
            Name=name, ConnectionArn=connection["ConnectionArn"], InvocationEndpoint=url, HttpMethod="POST"
        )
