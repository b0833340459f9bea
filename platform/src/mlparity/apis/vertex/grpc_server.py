"""Vertex over gRPC: one generic handler over the same dispatch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from mlparity.apis.vertex.dispatch import Dispatch
from mlparity.apis.vertex.operation import Call
from mlparity.wire.google.descriptors import ApiVersion, Message, Method
from mlparity.wire.google.status import Code, GoogleError

_WORKERS = 64  # calls at a time; those that wait for an operation hold one
_LARGEST = 64 * 2**20  # bytes of a message
_PACKAGES = {"google.cloud.aiplatform.v1beta1": "v1beta1"}  # everything else is v1, the mixins too


class VertexGrpc:
    """A gRPC server without TLS on the loopback address; the gateway is in front of it where TLS is asked for."""

    def __init__(self, dispatch: Dispatch, others: Sequence[grpc.GenericRpcHandler] = ()) -> None:
        """``others`` answer what is no method of Vertex's."""
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="vertex-grpc")
        options = [
            ("grpc.max_receive_message_length", _LARGEST),
            ("grpc.max_send_message_length", _LARGEST),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(self._pool, [_Handler(dispatch), *others], options=options)

    def start(self, port: int = 0) -> int:
        """Listen on 127.0.0.1; the port (a free one for 0). Raises ``OSError`` where it is taken."""
        try:
            bound = int(self._server.add_insecure_port(f"127.0.0.1:{port}"))
        except RuntimeError as error:
            raise OSError(str(error)) from error
        self._server.start()
        return bound

    def stop(self, grace_seconds: float = 1.0) -> None:
        """Take no more calls, and end those that are not done in time."""
        self._server.stop(grace_seconds).wait()
        self._pool.shutdown()


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types here
    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    def service(self, details: Any) -> Any:
        """How the called method is answered; None for one that no version has, which gRPC answers itself."""
        package = details.method.strip("/").rpartition("/")[0].rpartition(".")[0]
        try:
            api = self._dispatch.api(_PACKAGES.get(package, "v1"))
        except GoogleError as error:
            return grpc.unary_unary_rpc_method_handler(_refusing(error))
        method = api.by_path.get(details.method)
        if method is None:
            return None
        if method.streams_requests:
            told = f"{method.key} streams its requests, which mlparity does not serve."
            return grpc.stream_stream_rpc_method_handler(_refusing(GoogleError(Code.UNIMPLEMENTED, told), api))
        codecs = {
            "request_deserializer": api.message_class(method.request).FromString,
            "response_serializer": api.message_class(method.response).SerializeToString,
        }
        if method.streams_responses:
            return grpc.unary_stream_rpc_method_handler(self._stream(api, method), **codecs)
        return grpc.unary_unary_rpc_method_handler(self._unary(api, method), **codecs)

    def _unary(self, api: ApiVersion, method: Method) -> Callable[[Message, Any], Message]:
        def called(request: Message, context: Any) -> Message:
            try:
                return self._dispatch.call(_call(api, method, context), request)
            except GoogleError as error:
                _abort(context, error, api)

        return called

    def _stream(self, api: ApiVersion, method: Method) -> Callable[[Message, Any], Iterator[Message]]:
        def called(request: Message, context: Any) -> Iterator[Message]:
            try:
                yield from self._dispatch.stream(_call(api, method, context), request)
            except GoogleError as error:
                _abort(context, error, api)

        return called


def _call(api: ApiVersion, method: Method, context: Any) -> Call:
    headers: Mapping[str, str] = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    return Call(api, method, headers, context.time_remaining(), versioned=method.service.startswith(api.package))


def _refusing(error: GoogleError, api: ApiVersion | None = None) -> Callable[[Any, Any], Any]:
    def called(_request: Any, context: Any) -> Any:
        _abort(context, error, api)

    return called


def _abort(context: Any, error: GoogleError, api: ApiVersion | None) -> Any:
    """End the call; google.rpc.Status goes into the trailers where there is more to tell than code and message."""
    if error.details and api is not None:
        status = error.as_status(api).SerializeToString()
        context.set_trailing_metadata((("grpc-status-details-bin", status),))
    code = next(code for code in grpc.StatusCode if code.value[0] == error.code.number)
    context.abort(code, error.message)
