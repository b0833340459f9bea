"""One entry of the operation table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker

Handler = Callable[[SageMaker, Request, Caller], Response]


@dataclass(frozen=True)
class Operation:
    """One operation of the vendor's model; ``partial`` says what of it is refused, "" where nothing is.

    ``omits`` are paths of members that the model requires of the response and the service itself leaves out.
    """

    name: str
    handler: Handler
    partial: str = ""
    omits: tuple[str, ...] = ()
