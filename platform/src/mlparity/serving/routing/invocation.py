"""One request on its way: what a wire front asks for, and what it hears back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mlparity.serving.endpoints.plans import CapturePlan

Headers = Sequence[tuple[bytes, bytes]]  # lower-case names


class Failure(Enum):
    """Why a request got no answer from a model."""

    NOT_FOUND = "not-found"  # no endpoint of this name is in service
    NO_VARIANT = "no-variant"  # the endpoint has no production variant of the wanted name
    NO_WEIGHT = "no-weight"  # every variant's weight is 0
    UNAVAILABLE = "unavailable"  # no worker answered for as long as a request waits for one
    OVERLOADED = "overloaded"  # too many requests wait already
    TIMED_OUT = "timed-out"  # the worker took longer than the variant allows
    BROKEN = "broken"  # the worker ended, or was not understood, after its answer had begun


class Sink(Protocol):
    """Hears how a request ended: exactly one of ``answered``, ``ended`` and ``failed``, once.

    ``began`` and ``part`` come before ``ended`` (or ``failed``) and only for requests that are streamed.
    """

    def answered(self, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:
        """The worker's whole answer."""
        ...

    def began(self, invocation: Invocation, status: int, headers: Headers) -> None:
        """The head of a streamed answer."""
        ...

    def part(self, invocation: Invocation, data: bytes) -> None:
        """Some bytes of a streamed answer."""
        ...

    def ended(self, invocation: Invocation) -> None:
        """A streamed answer is whole."""
        ...

    def failed(self, invocation: Invocation, failure: Failure) -> None:
        """There is no answer, or no more of it."""
        ...


@dataclass(slots=True, eq=False)
class Invocation:
    """A request for a model, and where it is. Times are of the dispatcher's clock, in seconds."""

    endpoint: str
    head: bytes  # header lines for the worker, each ended by CRLF, without the length
    body: bytes
    sink: Sink
    target_variant: str = ""
    stream: bool = False  # the answer is passed on as it comes
    content_type: str = ""
    custom_attributes: str = ""
    inference_id: str = ""
    accepted_at: float = 0.0  # when the request had come whole
    variant: str = ""  # of the deployment that takes it
    labels: Mapping[str, str] = field(default_factory=dict)  # of the deployment that takes it
    capture: CapturePlan | None = None  # this request is one of the sample
    wait_until: float = 0.0  # for a worker
    deadline: float = 0.0  # for the answer
    sent_at: float = 0.0  # when a worker got it
    attempts: int = 0  # workers that got it
    size_out: int = 0  # bytes of the answer's body
    began: bool = False  # a streamed answer did
    over: bool = False
    suspend: Callable[[], None] | None = None  # while it streams: stop reading from the worker, and go on
    resume: Callable[[], None] | None = None

    def copy(self, sink: Sink, now: float) -> Invocation:
        """The same request for a shadow, whose time begins now."""
        copy = Invocation(
            self.endpoint,
            self.head,
            self.body,
            sink,
            content_type=self.content_type,
            custom_attributes=self.custom_attributes,
            inference_id=self.inference_id,
            accepted_at=now,
        )
        copy.capture = self.capture
        return copy
