"""Requests and responses against the service models that botocore ships."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from mlparity.apis.aws import rest_json
from mlparity.apis.aws.message import AwsError, AwsRequest, AwsResponse, json_response
from mlparity.apis.aws.table import BY_NAME, ServiceEntry
from mlparity.wire import aws_query
from mlparity.wire.aws_model import AwsModel, SerializationError, message
from mlparity.wire.json_values import jsonable

_INTERNAL = 500


class Models:
    """The models of all services, each read when first needed."""

    def __init__(self) -> None:
        self._models: dict[str, AwsModel] = {}
        self._lock = threading.Lock()

    def of(self, entry: ServiceEntry) -> AwsModel:
        """The model of one service."""
        with self._lock:
            if entry.name not in self._models:
                self._models[entry.name] = AwsModel.load(entry.name)
            return self._models[entry.name]

    def document(self, name: str) -> Mapping[str, Any]:
        """The whole model by botocore's service name."""
        return self.of(BY_NAME[name]).document

    def rest_operation(self, entry: ServiceEntry, request: AwsRequest) -> str | None:
        """The operation that method and path stand for."""
        return rest_json.operation_of(self.of(entry).document, request)

    def is_rest(self, entry: ServiceEntry) -> bool:
        """Whether method and path say the operation."""
        return str(self.of(entry).document["metadata"]["protocol"]).startswith("rest-")

    def read(self, entry: ServiceEntry, operation: str, request: AwsRequest) -> dict[str, Any]:
        """The request's parameters, validated. Raises ``AwsError``."""
        model = self.of(entry)
        if request.is_json:
            raw = request.json_body()
        elif request.rpc_operation() is not None:
            raw = aws_query.parse_request(model.document, operation, request.form())
        else:
            raw = rest_json.parse_request(model.document, operation, request)
        try:
            params, violations = model.read_request(operation, raw)
        except SerializationError as error:
            code = "MalformedInput" if request.rpc_operation() and not request.is_json else "SerializationException"
            raise AwsError(code, str(error)) from error
        if violations and entry.invalid:
            raise AwsError(entry.invalid, message(violations))
        return params

    def render(
        self, entry: ServiceEntry, operation: str, answer: dict[str, Any], request: AwsRequest, request_id: str
    ) -> AwsResponse:
        """A response of our own. Raises ``AwsError`` (a 500) where it breaks the model: that is a defect here."""
        model = self.of(entry)
        violations = model.check_response(operation, answer)
        if violations:
            raise AwsError("InternalFailure", f"the local answer breaks the model: {message(violations)}", _INTERNAL)
        if request.is_json:
            return json_response(request, jsonable(answer), request_id)
        if self.is_rest(entry):
            return json_response(request, jsonable(answer), request_id, "application/json")
        body = aws_query.render_response(model.document, operation, answer, request_id)
        return AwsResponse(200, body, {"content-type": "text/xml", "x-amzn-requestid": request_id})
