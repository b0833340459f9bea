"""What an endpoint is to serve and how it is to get there: values that vendor APIs make and the substrate carries out.

A *revision* is everything that one endpoint configuration says. An endpoint serves one revision; a *rollout* takes
it from one to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class ModelContainer:
    """One container of a variant; several form an inference pipeline."""

    image: str
    model_uri: str = ""  # s3://bucket/key of a .tar.gz, or a prefix; "" where the image brings its model
    packed: bool = True  # whether ``model_uri`` is a .tar.gz
    code_uri: str = ""  # s3://…/sourcedir.tar.gz with the inference code, where it is not in the model
    environment: Mapping[str, str] = field(default_factory=dict)
    role: str = ""  # whose credentials its code gets, in the vendor's own naming; "": the stack's own
    contract: str = "sagemaker"  # what its server answers and how it is started: see ``serving.server.CONTRACTS``
    # How a server of its own is started and asked, where the contract leaves that to the model.
    command: Sequence[str] = ()  # in place of the image's entry point
    arguments: Sequence[str] = ()
    port: int = 8080
    health_route: str = "/ping"
    predict_route: str = "/invocations"


@dataclass(frozen=True)
class VariantPlan:
    """One model behind an endpoint, with its share of the traffic."""

    name: str
    containers: Sequence[ModelContainer]
    instances: int  # worker processes
    weight: float  # its share is its weight by the sum of all; of a shadow: how many of the requests are copied
    shadow: bool = False  # gets copies of requests; its answers never reach a client
    startup_seconds: int = 600  # until the first healthy /ping
    invocation_seconds: float = 60.0  # until a request is given up
    labels: Mapping[str, str] = field(default_factory=dict)  # what the vendor's wire front tells of it in an answer


@dataclass(frozen=True)
class CapturePlan:
    """Which requests and answers are kept, and where."""

    percentage: int  # of the requests, 0-100
    destination: str  # s3://bucket/prefix
    input: bool = True
    output: bool = True
    csv_types: Sequence[str] = ()  # content types kept as CSV text
    json_types: Sequence[str] = ()  # content types kept as JSON text; all others as base64


@dataclass(frozen=True)
class Revision:
    """What an endpoint serves."""

    name: str  # of the endpoint configuration
    variants: Sequence[VariantPlan]
    capture: CapturePlan | None = None

    def to_json(self) -> dict[str, Any]:
        """As stored in the database."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Revision:
        """The inverse of ``to_json``."""
        variants = [
            VariantPlan(**{**item, "containers": tuple(ModelContainer(**one) for one in item["containers"])})
            for item in document["variants"]
        ]
        capture = document["capture"]
        return cls(document["name"], tuple(variants), CapturePlan(**capture) if capture else None)


class Strategy(StrEnum):
    """How traffic goes from one fleet to the next."""

    ALL_AT_ONCE = "all_at_once"  # blue/green: the new fleet is whole, then takes everything
    CANARY = "canary"  # blue/green: a small step, a bake, then everything
    LINEAR = "linear"  # blue/green: equal steps with a bake after each
    ROLLING = "rolling"  # batches of instances replace their like, with a bake after each


@dataclass(frozen=True)
class Capacity:
    """A part of a fleet: a number of instances, or a percentage of them."""

    value: int
    percent: bool = True


@dataclass(frozen=True)
class RolloutPolicy:
    """How a rollout goes, and what makes it go back."""

    strategy: Strategy = Strategy.ALL_AT_ONCE
    step: Capacity = Capacity(100)  # canary size, linear step, or rolling batch
    wait_seconds: int = 0  # the bake after each step, with the alarms watched
    termination_wait_seconds: int = 0  # before the old fleet is ended
    timeout_seconds: int = 0  # for all of it; 0: none
    rollback_step: Capacity = Capacity(100)  # of a rolling rollback
    alarms: Sequence[str] = ()  # any of them in ALARM rolls back
    retain_weights: bool = False  # variants of the same name keep the weights and counts that they have now

    def to_json(self) -> dict[str, Any]:
        """As stored in the database."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RolloutPolicy:
        """The inverse of ``to_json``."""
        values = dict(document)
        for member in ("step", "rollback_step"):
            values[member] = Capacity(**values[member])
        return cls(**{**values, "strategy": Strategy(values["strategy"]), "alarms": tuple(values["alarms"])})
