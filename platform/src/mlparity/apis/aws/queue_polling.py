"""SQS long polling outside moto, whose own waiting would hold its lock."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from mlparity.apis.aws.journaled_moto import JournaledMoto
from mlparity.apis.aws.message import AwsRequest, AwsResponse
from mlparity.apis.aws.table import ServiceEntry
from mlparity.clock import Clock

_LONGEST = 20  # seconds
_INTERVAL = 0.1  # seconds between looks at an empty queue


def receive(
    moto: JournaledMoto, entry: ServiceEntry, request: AwsRequest, clock: Clock, closing: threading.Event
) -> AwsResponse:
    """ReceiveMessage: answers at once where there is a message, else when one comes or the time is over."""
    params: dict[str, Any] = request.json_body() if request.is_json else request.form()
    seconds = params.get("WaitTimeSeconds", _queue_default(moto, entry, request, params))
    if not str(seconds).isdigit() or int(seconds) > _LONGEST:
        return moto.call(entry, "ReceiveMessage", request)  # moto words the error
    params["WaitTimeSeconds"] = 0
    body = json.dumps(params) if request.is_json else urlencode(params)
    query = request.query if request.is_json else ""
    at_once = replace(request, body=body.encode(), query=query)
    end = clock.monotonic() + int(seconds)
    while True:
        response = moto.call(entry, "ReceiveMessage", at_once)
        has_message = b"ReceiptHandle" in response.body
        if has_message or not response.ok or clock.monotonic() >= end or closing.wait(_INTERVAL):
            return response


def _queue_default(moto: JournaledMoto, entry: ServiceEntry, request: AwsRequest, params: dict[str, Any]) -> int:
    moto.ensure(entry)
    name = str(params.get("QueueUrl", request.path)).rstrip("/").rpartition("/")[2]
    with moto.moto.exclusive():
        queue = moto.moto.backend(entry, request.region).queues.get(name)
        return int(queue.receive_message_wait_time_seconds) if queue is not None else 0
