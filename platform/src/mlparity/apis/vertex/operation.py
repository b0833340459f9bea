"""One entry of the operation table, and what a handler is told of the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlparity.wire.google.descriptors import ApiVersion, Message, Method

if TYPE_CHECKING:
    from mlparity.apis.vertex.context import Vertex


@dataclass(frozen=True)
class Call:
    """The call: the version of the API that was asked, the method, and what came beside the request.

    ``headers`` are in lower case; ``seconds_left`` is the caller's deadline, None where it set none; ``body`` is the
    REST request's as it came, None over gRPC. Not ``versioned`` are gRPC's calls of services that all versions share.
    """

    api: ApiVersion
    method: Method
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds_left: float | None = None
    body: bytes | None = None
    versioned: bool = True

    def new(self, kind: str, /, **fields: Any) -> Message:
        """A message of the called version: ``call.new("Endpoint", display_name="a")``."""
        return self.api.new(kind, **fields)

    def response(self, **fields: Any) -> Message:
        """The method's response."""
        return self.api.new(self.method.response, **fields)


# Answers the response message; a method that streams its responses, an iterator of them.
Handler = Callable[["Vertex", Message, Call], Message]


@dataclass(frozen=True)
class Operation:
    """One method that is served: "EndpointService.CreateEndpoint" in v1 and v1beta1.

    ``partial`` says what of it is refused, "" where nothing is. ``may_be_empty`` are required fields that the service
    takes empty, as "Message.field". ``reads_output_only``: what is documented as output only is taken from the request,
    as methods do that import what something else has made.
    """

    name: str
    handler: Handler
    partial: str = ""
    may_be_empty: frozenset[str] = frozenset()
    reads_output_only: bool = False
