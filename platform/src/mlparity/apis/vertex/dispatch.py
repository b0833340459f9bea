"""One dispatch for REST and gRPC: method and request in, response out, or ``GoogleError``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import from_mlparity
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.validation import checked
from mlparity.errors import MlparityError
from mlparity.wire.google.descriptors import ApiVersion, Message
from mlparity.wire.google.status import Code, GoogleError

_LOG = logging.getLogger(__name__)


class Dispatch:
    """Serves the methods of ``operations`` ("EndpointService.CreateEndpoint" and so on) from ``vertex``."""

    def __init__(self, vertex: Vertex, operations: Mapping[str, Operation]) -> None:
        self._vertex = vertex
        self._operations = operations

    def ready(self) -> None:
        """Raises ``GoogleError`` UNAVAILABLE until the API's types can be read."""
        try:
            if self._vertex.apis.ready():
                return
        except MlparityError as error:
            raise GoogleError(Code.UNAVAILABLE, ". ".join(error.lines())) from error
        raise GoogleError(Code.UNAVAILABLE, "mlparity is still reading Vertex's types (once for a version); try again.")

    def api(self, version: str) -> ApiVersion:
        """The types of one version. Raises ``GoogleError`` UNAVAILABLE where they cannot be read."""
        self.ready()
        try:
            return self._vertex.apis.get(version)
        except MlparityError as error:
            raise GoogleError(Code.UNAVAILABLE, ". ".join(error.lines())) from error

    def call(self, call: Call, request: Message) -> Message:
        """The response. Raises ``GoogleError``."""
        operation = self._operations.get(call.method.key)
        if operation is None:
            told = f"{call.method.key} is not served by mlparity. See `mlparity parity vertex`."
            raise GoogleError(Code.UNIMPLEMENTED, told)
        return _translated(lambda: self._handled(operation, call, request))

    def stream(self, call: Call, request: Message) -> Iterator[Message]:
        """The responses of a method that streams them. The iterator raises ``GoogleError``, too."""
        responses = iter(self.call(call, request))
        while True:
            try:
                yield _translated(lambda: next(responses))
            except StopIteration:
                return

    def _handled(self, operation: Operation, call: Call, request: Message) -> Message:
        request = checked(call.api, call.method, operation, request, self._vertex.project)
        return operation.handler(self._vertex, request, call)


def _translated(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (GoogleError, StopIteration):
        raise
    except MlparityError as error:
        raise from_mlparity(error) from error
    except Exception as error:
        _LOG.exception("Vertex request failed")
        raise GoogleError(Code.INTERNAL, f"mlparity failed: {error!r}") from error
