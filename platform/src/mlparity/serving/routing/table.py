"""What the router knows of an endpoint, and the seam to the process that it runs in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from mlparity.serving.endpoints.plans import CapturePlan


@dataclass(frozen=True)
class RoutedDeployment:
    """A deployment that takes requests. During a rollout two of them may have the same variant name."""

    deployment: str
    variant: str
    weight: float  # its fleet's share of the traffic times its variant's weight; 0 gets no request by chance
    sockets: Sequence[str]  # unix sockets of its workers that answer
    shadow: bool = False
    timeout_seconds: float = 60.0
    labels: Mapping[str, str] = field(default_factory=dict)  # what the wire front tells of it in an answer


@dataclass(frozen=True)
class EndpointTable:
    """Where the requests to one endpoint go."""

    endpoint: str  # "sagemaker/flights"
    deployments: Sequence[RoutedDeployment]
    capture: CapturePlan | None = None
    in_service: bool = True  # false: known, and not to be invoked yet, or no longer

    def to_json(self) -> dict[str, Any]:
        """As sent to the router."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> EndpointTable:
        """The inverse of ``to_json``."""
        capture = document["capture"]
        return cls(
            document["endpoint"],
            tuple(RoutedDeployment(**item) for item in document["deployments"]),
            CapturePlan(**capture) if capture else None,
            document["in_service"],
        )


class Router(Protocol):
    """The data plane as the control plane sees it. Any thread."""

    def publish(self, table: EndpointTable) -> None:
        """Route the endpoint's requests by ``table`` from now on; returns when the router does."""
        ...

    def remove(self, endpoint: str) -> None:
        """Forget the endpoint; returns when the router has."""
        ...

    def drain(self, sockets: Sequence[str], timeout_seconds: float) -> bool:
        """Wait until no request is under way to ``sockets``, which no table names any more. False: time is up."""
        ...
