"""Online predictions of callers that do not reach the router themselves: gRPC, mostly.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/predict
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.serving.upstream import Answer, NoAnswerError
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.status import Code, GoogleError

_SECONDS = 120.0  # the router gives a model less
_OK = range(200, 300)


def predict(vertex: Vertex, request: Message, call: Call) -> Message:
    """Predict."""
    body = call.body
    if body is None:
        given = MessageToDict(request, descriptor_pool=call.api.pool)
        body = orjson.dumps({name: given[name] for name in ("instances", "parameters") if name in given})
    answer = _ask(vertex, call, f"{request.endpoint}:predict", body, "application/json")
    document = orjson.loads(answer.body)
    return ParseDict(document, call.response(), ignore_unknown_fields=True, descriptor_pool=call.api.pool)


def raw_predict(vertex: Vertex, request: Message, call: Call) -> Message:
    """RawPredict: bytes both ways."""
    body = request.http_body
    answer = _ask(vertex, call, f"{request.endpoint}:rawPredict", body.data, body.content_type)
    return call.new("google.api.HttpBody", data=answer.body, content_type=answer.content_type)


def stream_raw_predict(vertex: Vertex, request: Message, call: Call) -> Iterator[Message]:
    """StreamRawPredict: over gRPC as one part."""
    yield raw_predict(vertex, request, call)


def _ask(vertex: Vertex, call: Call, path: str, body: bytes, content_type: str) -> Answer:
    seconds = min(call.seconds_left or _SECONDS, _SECONDS)
    try:
        answer = vertex.hosting.predictions.ask(f"/{call.api.version}/{path}", body, content_type, seconds)
    except NoAnswerError as error:
        code = Code.DEADLINE_EXCEEDED if error.timed_out else Code.UNAVAILABLE
        raise GoogleError(code, f"The endpoint did not answer: {error}") from error
    if answer.status not in _OK:
        raise _refusal(answer)
    return answer


def _refusal(answer: Answer) -> GoogleError:
    """The router's error, or that of a container that was asked with raw bytes."""
    try:
        error = orjson.loads(answer.body)["error"]
        return GoogleError(Code[error["status"]], error["message"])
    except (ValueError, KeyError, TypeError):
        code = next((one for one in Code if one.http == answer.status), Code.UNKNOWN)
        return GoogleError(Code.FAILED_PRECONDITION if code is Code.INVALID_ARGUMENT else code, answer.text)


OPERATIONS = (
    Operation("PredictionService.Predict", predict),
    Operation("PredictionService.RawPredict", raw_predict),
    Operation("PredictionService.StreamRawPredict", stream_raw_predict, "over gRPC the answer is one part"),
)
