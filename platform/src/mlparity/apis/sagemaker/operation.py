"""One entry of the operation table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker

Handler = Callable[[SageMaker, Request, Caller], Response]


@dataclass(frozen=True)
class Operation:
    """One operation of the vendor's model; ``partial`` says what of it is refused, "" where nothing is.

    ``omits`` are paths of members that the model requires of the response and the service itself leaves out; "*" stands
    for the number of a list's item.
    """

    name: str
    handler: Handler
    partial: str = ""
    omits: tuple[str, ...] = ()

    def excuses(self, path: str) -> bool:
        """Whether what the model says of this path of the response is known and meant."""
        return any(fnmatchcase(path, pattern) for pattern in self.omits)
