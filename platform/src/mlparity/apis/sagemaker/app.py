"""The ASGI app: JSON 1.1 in, the model's checks, the operation, the model's checks again, JSON 1.1 out.

Two operations of SageMaker Metrics, which shares the signing name, come as rest-json: told by their paths.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import anyio.to_thread
import orjson
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from mlparity.apis.sagemaker import component_metrics
from mlparity.apis.sagemaker.context import Caller, Response, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError, from_mlparity
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.operations import BY_NAME
from mlparity.errors import InvalidRequestError, MlparityError
from mlparity.wire.aws_model import AwsModel, SerializationError, message
from mlparity.wire.json_values import jsonable
from mlparity.wire.sigv4 import SignedRequest

_LOG = logging.getLogger(__name__)
_TARGET = "SageMaker."
_MEDIA_TYPE = "application/x-amz-json-1.1"


class SageMakerApp:
    """Serves the operations of ``operations.OPERATIONS``.

    ``authenticate`` checks a request's signature and names who signed it, or raises ``SageMakerError``.
    """

    def __init__(self, api: SageMaker, authenticate: Callable[[SignedRequest, bytes], Caller]) -> None:
        self._api = api
        self._authenticate = authenticate
        self._known = frozenset(api.model.operations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = HttpRequest(scope, receive)
        body = await request.body()
        signed = SignedRequest(
            scope["method"],
            scope.get("raw_path", b"/").decode("ascii", "replace").partition("?")[0],
            scope["query_string"].decode("ascii", "replace"),
            request.headers.items(),
        )
        status, document = await anyio.to_thread.run_sync(self._answer, signed, body)
        headers = {"x-amzn-RequestId": self._api.ids.uuid()}
        if status >= 400:  # noqa: PLR2004 - HTTP
            headers["x-amzn-ErrorType"] = document["__type"]
        payload = orjson.dumps(jsonable(document))
        await HttpResponse(payload, status, headers, _MEDIA_TYPE)(scope, receive, send)

    def _answer(self, signed: SignedRequest, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            return 200, self._call(signed, body)
        except SageMakerError as error:
            return error.status, {"__type": error.code, "message": error.message}
        except MlparityError as error:
            translated = from_mlparity(error)
            return translated.status, {"__type": translated.code, "message": translated.message}
        except Exception as error:  # noqa: BLE001 - a defect is answered and logged, not a dropped connection
            _LOG.exception("SageMaker request failed")
            return 500, {"__type": "InternalFailure", "message": f"mlparity failed: {error!r}"}

    def _call(self, signed: SignedRequest, body: bytes) -> Response:
        caller = self._authenticate(signed, body)
        model, operation = self._operation(signed)
        request = _checked(model, operation.name, body)
        try:
            response = operation.handler(self._api, request, caller)
        except InvalidRequestError as error:
            raise SageMakerError("ValidationException", ". ".join(error.lines())) from error
        found = model.check_response(operation.name, response)
        violations = [item for item in found if not operation.excuses(item.path)]
        if violations:
            raise SageMakerError("InternalFailure", f"mlparity's own response: {message(violations)}", 500)
        return response

    def _operation(self, signed: SignedRequest) -> tuple[AwsModel, Operation]:
        metrics = component_metrics.PATHS.get((signed.method, signed.path))
        if metrics is not None:
            return _metrics_model(), component_metrics.BY_NAME[metrics]
        target = signed.header("x-amz-target") or ""
        name = target.removeprefix(_TARGET)
        if not target.startswith(_TARGET) or name not in self._known:
            raise SageMakerError("UnknownOperationException", f"Unknown operation: {target or '(none)'}")
        if name not in BY_NAME:
            raise SageMakerError(
                "UnknownOperationException",
                f"SageMaker.{name} is not served by mlparity. See `mlparity parity sagemaker`.",
            )
        return self._api.model, BY_NAME[name]


@lru_cache(maxsize=1)
def _metrics_model() -> AwsModel:
    return AwsModel.load("sagemaker-metrics")


def _checked(model: AwsModel, name: str, body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise SageMakerError("SerializationException", f"Unable to parse the request: {error}") from None
    try:
        request, violations = model.read_request(name, document)
    except SerializationError as error:
        raise SageMakerError("SerializationException", str(error)) from None
    if violations:
        raise SageMakerError("ValidationException", message(violations))
    return request
