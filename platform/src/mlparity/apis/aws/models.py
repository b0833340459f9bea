"""Requests and responses against the service models that botocore ships."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from mlparity.apis.aws.message import AwsError, AwsRequest, AwsResponse, json_response
from mlparity.apis.aws.table import BY_NAME, ServiceEntry
from mlparity.wire import aws_query
from mlparity.wire.aws_model import AwsModel, SerializationError, message

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

    def is_rest(self, entry: ServiceEntry) -> bool:
        """Whether method and path say the operation."""
        return str(self.of(entry).document["metadata"]["protocol"]).startswith("rest-")

    def read(self, entry: ServiceEntry, operation: str, request: AwsRequest) -> dict[str, Any]:
        """The request's parameters, validated; {} for REST protocols, which moto reads. Raises ``AwsError``."""
        model = self.of(entry)
        if request.is_json:
            raw = request.json_body()
        elif request.rpc_operation() is not None:
            raw = aws_query.parse_request(model.document, operation, request.form())
        else:
            return {}
        try:
            params, violations = model.read_request(operation, raw)
        except SerializationError as error:
            raise AwsError("SerializationException" if request.is_json else "MalformedInput", str(error)) from error
        if violations and entry.invalid:
            raise AwsError(entry.invalid, message(violations))
        return params

    def render(
        self, entry: ServiceEntry, operation: str, answer: Mapping[str, Any], request: AwsRequest, request_id: str
    ) -> AwsResponse:
        """A response of our own. Raises ``AwsError`` (a 500) where it breaks the model: that is a defect here."""
        model = self.of(entry)
        violations = model.check_response(operation, answer)
        if violations:
            raise AwsError("InternalFailure", f"the local answer breaks the model: {message(violations)}", _INTERNAL)
        if request.is_json:
            return json_response(request, answer, request_id)
        body = aws_query.render_response(model.document, operation, answer, request_id)
        return AwsResponse(200, body, {"content-type": "text/xml", "x-amzn-requestid": request_id})
