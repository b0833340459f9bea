"""What becomes of one asynchronous request: its payload is fetched, asked, and the answer stored and told of.

https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mlparity.apis.sagemaker.async_queue import AsyncRequest
from mlparity.clock import Clock
from mlparity.engine.workspace import parse_uri
from mlparity.errors import InvalidRequestError, MlparityError, StorageError
from mlparity.storage.base import ObjectStore

_LOG = logging.getLogger(__name__)
_TTL_SECONDS, _TIMEOUT_SECONDS = 21600, 900
_OK = range(200, 300)
_MOST_IN_MESSAGE = 128 * 1024  # of an answer that a notification carries; topics take 256 KB
_MOST_BYTES = 25 * 1024 * 1024  # of a payload: what the router takes
_BINARY = "application/octet-stream"


class DataPlaneAwayError(MlparityError):
    """Nothing could be asked: the request stays in the queue."""


@dataclass(frozen=True)
class ModelAnswer:
    """What the endpoint's model said."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """How a request ended; ``reason`` is "" where it succeeded."""

    reason: str
    answer: ModelAnswer | None
    expired: bool = False
    seconds: float = 0.0  # of processing


# (endpoint, request headers by lower-case name, body, seconds) -> answer. Raises ``DataPlaneAwayError``; and
# ``TimeoutError`` where the model takes longer.
Invoke = Callable[[str, Mapping[str, str], bytes, float], ModelAnswer]


@dataclass(frozen=True)
class Answering:
    """Answers requests; any thread."""

    store: ObjectStore
    invoke: Invoke
    publish: Callable[[str, str], None]  # a text to an SNS topic. Raises ``MlparityError``
    clock: Clock
    region: str
    log: logging.Logger = field(default=_LOG)

    def answer(self, request: AsyncRequest, output: Mapping[str, Any]) -> Outcome:
        """Do all of it. Raises ``DataPlaneAwayError``, and then nothing has been done."""
        begun = self.clock.now()
        outcome = self._asked(request, begun)
        outcome = self._stored(request, outcome)
        self._notify(request, output.get("NotificationConfig", {}), outcome)
        return Outcome(
            outcome.reason, outcome.answer, outcome.expired, (self.clock.now() - begun) / timedelta(seconds=1)
        )

    def _asked(self, request: AsyncRequest, now: datetime) -> Outcome:
        body = request.body
        ttl = timedelta(seconds=body.get("RequestTTLSeconds", _TTL_SECONDS))
        if now - request.received_at > ttl:
            return Outcome("ClientError: Request expired before it was processed.", None, expired=True)
        try:
            payload = self._payload(body)
        except (StorageError, InvalidRequestError) as error:
            return Outcome(f"ClientError: Could not download the input at {body['InputLocation']}: {error.what}", None)
        headers = {
            name: body[member]
            for name, member in (
                ("content-type", "ContentType"),
                ("accept", "Accept"),
                ("x-amzn-sagemaker-custom-attributes", "CustomAttributes"),
            )
            if member in body
        }
        headers["x-amzn-sagemaker-inference-id"] = request.inference_id
        seconds = body.get("InvocationTimeoutSeconds", _TIMEOUT_SECONDS)
        try:
            answer = self.invoke(request.endpoint, {"content-type": _BINARY, **headers}, payload, seconds)
        except TimeoutError:
            return Outcome(f"ClientError: The model did not answer within {seconds} seconds.", None)
        if answer.status in _OK:
            return Outcome("", answer)
        return Outcome(
            f"ClientError: Received server error ({answer.status}) from model. See the SageMaker Endpoint logs in "
            "your account for more information.",
            answer,
        )

    def _payload(self, body: Mapping[str, Any]) -> bytes:
        if "Body" in body:
            return base64.b64decode(body["Body"])
        bucket, key = parse_uri(body["InputLocation"])
        size = self.store.head(bucket, key).size
        if size > _MOST_BYTES:
            raise InvalidRequestError(f"it has {size} bytes, and mlparity takes {_MOST_BYTES}")
        return self.store.get_bytes(bucket, key)

    def _stored(self, request: AsyncRequest, outcome: Outcome) -> Outcome:
        """Put the answer where the caller was told. A bucket that does not take it makes a failure of it."""
        if not outcome.reason and outcome.answer is not None:
            try:
                self._put(request.body["OutputLocation"], outcome.answer.body, outcome.answer.content_type)
            except (StorageError, InvalidRequestError) as error:
                outcome = Outcome(f"ClientError: Could not store the output: {error.what}", outcome.answer)
            else:
                return outcome
        where = request.body.get("FailureLocation")
        if where:
            said = outcome.answer.body.decode("utf-8", "replace") if outcome.answer else ""
            text = f"{outcome.reason}\n{said}" if said else outcome.reason
            try:
                self._put(where, text.encode(), "text/plain")
            except (StorageError, InvalidRequestError) as error:
                self.log.warning("the failure of %s could not be stored: %s", request.inference_id, error)
        return outcome

    def _put(self, uri: str, data: bytes, content_type: str) -> None:
        bucket, key = parse_uri(uri)
        self.store.put_bytes(bucket, key, data, content_type=content_type)

    def _notify(self, request: AsyncRequest, config: Mapping[str, Any], outcome: Outcome) -> None:
        topic = config.get("ErrorTopic" if outcome.reason else "SuccessTopic")
        if not topic:
            return
        kind = "ERROR_NOTIFICATION_TOPIC" if outcome.reason else "SUCCESS_NOTIFICATION_TOPIC"
        included = kind in config.get("IncludeInferenceResponseIn", ())
        message = self._message(request, outcome, included=included)
        try:
            self.publish(topic, json.dumps(message, separators=(",", ":")))
        except MlparityError as error:
            self.log.warning("%s was not told of %s: %s", topic, request.inference_id, error)

    def _message(self, request: AsyncRequest, outcome: Outcome, *, included: bool) -> dict[str, Any]:
        asked = {
            name: request.body[member]
            for name, member in (
                ("accept", "Accept"),
                ("contentType", "ContentType"),
                ("customAttributes", "CustomAttributes"),
                ("inputLocation", "InputLocation"),
            )
            if member in request.body
        }
        message: dict[str, Any] = {
            "awsRegion": self.region,
            "eventTime": _iso(self.clock.now()),
            "receivedTime": _iso(request.received_at),
            "invocationStatus": "Failed" if outcome.reason else "Completed",
            "requestParameters": {**asked, "endpointName": request.endpoint},
            "inferenceId": request.inference_id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }
        if outcome.reason:
            message["failureReason"] = outcome.reason
        elif outcome.answer is not None:
            where = request.body["OutputLocation"]
            message["responseParameters"] = {"contentType": outcome.answer.content_type, "outputLocation": where}
        if included and outcome.answer is not None and len(outcome.answer.body) <= _MOST_IN_MESSAGE:
            content = base64.b64encode(outcome.answer.body).decode()
            message["responseBody"] = {"content": content, "encoding": "BASE64"}
        return message


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
