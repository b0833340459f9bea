"""InvokeEndpointAsync on the wire: a request is checked, queued, and told where its answer will be.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import anyio.to_thread
import orjson
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.types import Receive, Scope, Send

from mlparity.apis.sagemaker.async_inference import AsyncInference
from mlparity.apis.sagemaker.context import API, Caller, SageMaker
from mlparity.apis.sagemaker.endpoint_status import serving_config
from mlparity.apis.sagemaker.errors import SageMakerError, from_mlparity
from mlparity.engine.workspace import parse_uri
from mlparity.errors import InvalidRequestError, MlparityError, NotFoundError
from mlparity.wire.aws_model import AwsModel, SerializationError, message
from mlparity.wire.sigv4 import SignedRequest

_LOG = logging.getLogger(__name__)
_OPERATION = "InvokeEndpointAsync"
_PATH = re.compile(r"/endpoints/([^/]+)/async-invocations")
_MOST_BYTES = 128_000
_ACCEPTED = 202


@lru_cache(maxsize=1)
def _model() -> AwsModel:
    return AwsModel.load("sagemaker-runtime")


class AsyncInvocationsApp:
    """The ASGI app. ``authenticate`` checks a request's signature, or raises ``SageMakerError``."""

    def __init__(
        self, api: SageMaker, inference: AsyncInference, authenticate: Callable[[SignedRequest, bytes], Caller]
    ) -> None:
        self._api = api
        self._inference = inference
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = HttpRequest(scope, receive)
        body = await request.body()
        path = scope.get("raw_path", b"/").decode("ascii", "replace").partition("?")[0]
        query = scope["query_string"].decode("ascii", "replace")
        signed = SignedRequest(scope["method"], path, query, request.headers.items())
        status, document, headers = await anyio.to_thread.run_sync(self._answer, signed, dict(request.headers), body)
        headers["x-amzn-RequestId"] = self._api.ids.uuid()
        await HttpResponse(orjson.dumps(document), status, headers, "application/json")(scope, receive, send)

    def _answer(
        self, signed: SignedRequest, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        try:
            self._authenticate(signed, body)
            return self._queued(signed, headers, body)
        except SageMakerError as error:
            found = error
        except MlparityError as error:
            found = from_mlparity(error)
        except Exception as error:  # noqa: BLE001 - a defect is answered and logged, not a dropped connection
            _LOG.exception("an asynchronous invocation failed")
            found = SageMakerError("InternalFailure", f"mlparity failed: {error!r}", 500)
        code = "ValidationError" if found.code == "ValidationException" else found.code
        return found.status, {"Message": found.message}, {"x-amzn-ErrorType": code}

    def _queued(
        self, signed: SignedRequest, headers: Mapping[str, str], payload: bytes
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        if signed.method != "POST":
            raise SageMakerError("ValidationError", f"{signed.method} is not allowed here", 405)
        request = _read(signed.path, headers, payload)
        name = request["EndpointName"]
        output = self._output(name)
        given = "InputLocation" in request
        if given == bool(payload):
            raise _invalid("Exactly one of InputLocation and Body must be specified.")
        if given:
            _require_s3(request["InputLocation"])
        request_id = self._api.ids.uuid()
        request.setdefault("InferenceId", self._api.ids.uuid())
        where = _locations(output, request, request_id)
        kept = {member: value for member, value in request.items() if member != "EndpointName"} | where
        if not given:
            kept["Body"] = base64.b64encode(payload).decode()
        self._inference.submit(name, request_id, kept)
        told = {f"X-Amzn-SageMaker-{member}": uri for member, uri in where.items()}
        return _ACCEPTED, {"InferenceId": request["InferenceId"]}, told

    def _output(self, name: str) -> Mapping[str, Any]:
        """The endpoint's OutputConfig. Raises ``SageMakerError`` where it is not asynchronous."""
        try:
            endpoint = self._api.hosting.endpoints.get(API, name)
        except NotFoundError:
            raise _invalid(f"Endpoint {name} of account {self._api.arns.account_id} not found.") from None
        config = serving_config(endpoint).get("AsyncInferenceConfig")
        if config is None:
            raise _invalid(
                f"Endpoint {name} of account {self._api.arns.account_id} is not an asynchronous inference endpoint: "
                "its endpoint configuration has no AsyncInferenceConfig."
            )
        found: Mapping[str, Any] = config["OutputConfig"]
        return found


def _read(path: str, headers: Mapping[str, str], payload: bytes) -> dict[str, Any]:
    """The members of the request. Raises ``SageMakerError`` for what the vendor's model forbids."""
    if len(payload) > _MOST_BYTES:
        raise _invalid(f"Body must be at most {_MOST_BYTES} bytes: it has {len(payload)}")
    model = _model()
    match = _PATH.fullmatch(path)
    given: dict[str, Any] = {"EndpointName": unquote(match[1]) if match else ""}
    members: Mapping[str, Any] = model.document["shapes"]["InvokeEndpointAsyncInput"]["members"]
    for member, shape in members.items():
        text = headers.get(shape["locationName"].lower()) if shape.get("location") == "header" else None
        if text is not None:
            given[member] = int(text) if member.endswith("Seconds") and text.isdecimal() else text
    try:
        request, violations = model.read_request(_OPERATION, given)
    except SerializationError as error:
        raise _invalid(str(error)) from None
    if violations:
        raise _invalid(message(violations))
    return request


def _locations(output: Mapping[str, Any], request: Mapping[str, Any], request_id: str) -> dict[str, str]:
    """Where the answer will be, or the failure. There is a place for failures where the configuration names one."""
    base = output["S3OutputPath"].rstrip("/")
    if "S3OutputPathExtension" in request:
        base = f"{base}/{request['S3OutputPathExtension'].strip('/')}"
    found = {"OutputLocation": f"{base}/{request.get('Filename', f'{request_id}.out')}"}
    if "S3FailurePath" in output:
        found["FailureLocation"] = f"{output['S3FailurePath'].rstrip('/')}/{request_id}-error.out"
    return found


def _require_s3(uri: str) -> None:
    try:
        key = parse_uri(uri)[1]
    except InvalidRequestError:
        key = ""
    if not key:
        raise _invalid(f"InputLocation must be the URI of an object in S3: {uri}")


def _invalid(text: str) -> SageMakerError:
    return SageMakerError("ValidationError", text)
