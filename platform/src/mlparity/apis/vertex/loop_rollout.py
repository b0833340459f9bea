"""A canary ladder: a new deployed model beside the old one gets more and more of the traffic while its numbers hold.

Where a rollout stands is read from the endpoint itself (who is deployed, the traffic split, when it last changed), so
it goes on after a restart where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlparity.apis.vertex.loop_traffic import Traffic
from mlparity.apis.vertex.names import id_of, region_of
from mlparity.clock import Clock
from mlparity.errors import InvalidRequestError
from mlparity.monitoring.loop.actions import LoopActionError, Outcome, RolloutState

_WHOLE = 100
Json = Mapping[str, Any]
Call = Callable[[str, Json], dict[str, Any]]
Seen = Callable[[str, str, datetime], Traffic]  # (LOCATION/ENDPOINT, deployed model, since)


class Ladder(BaseModel):
    """``rollout: deployment:`` of a Vertex loop. ``steps`` are percentages of the traffic; the last is 100."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Annotated[int, Field(ge=1, le=_WHOLE)], ...] = (5, 25, 50, 100)
    step_seconds: Annotated[float, Field(ge=0)] = 60.0  # a step lasts at least so long
    min_requests: Annotated[int, Field(ge=0)] = 0  # to the new model in a step, before it is judged
    max_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.01  # above that of the old model in the same time
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None  # 95th percentile of the model's own time

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.steps or list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != _WHOLE:
            raise ValueError("steps must rise and end with 100")
        return self

    @classmethod
    def read(cls, deployment: Json) -> Ladder:
        """Raises ``InvalidRequestError``."""
        try:
            return cls.model_validate(deployment)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise InvalidRequestError(
                "the loop cannot be like that", f"rollout.deployment: {wrong}", "see the README of vertex_deployment"
            ) from None


@dataclass(frozen=True)
class Replacement:
    """Which deployed model comes, which goes ("" where the endpoint was empty), and the deployment's operation."""

    new: str
    old: str
    operation: str

    def __str__(self) -> str:
        return f"deployed model {self.new} instead of {self.old or 'none'} ({self.operation or 'deployed'})"

    @classmethod
    def read(cls, text: str) -> Replacement:
        """The inverse of ``str``."""
        _, _, new, _, _, old, operation = text.split(" ")
        told = operation[1:-1]
        return cls(new, "" if old == "none" else old, "" if told == "deployed" else told)


class Rollouts:
    """Takes a rollout one step on each time that it is asked how it stands."""

    def __init__(self, call: Call, seen: Seen, clock: Clock) -> None:
        self._call = call
        self._seen = seen
        self._clock = clock

    def start(self, endpoint: str, new: str, package: str, labels: str) -> Replacement:
        """Deploy the package beside what serves, without traffic; nothing where that was done before."""
        found = self._call("EndpointService.GetEndpoint", {"name": endpoint})
        deployed = {one["id"]: one for one in found.get("deployedModels", [])}
        split = found.get("trafficSplit", {})
        serving = [name for name, percent in split.items() if percent and name != new]
        if len(serving) > 1:
            told = "a loop rolls out where one deployed model serves"
            raise LoopActionError(f"{endpoint} splits its traffic between {', '.join(serving)}", told)
        old = serving[0] if serving else ""
        if new in deployed:
            return Replacement(new, old, "")
        given = {"id": new, "model": package, "displayName": labels, **_resources(deployed.get(old, {}))}
        asked = {"endpoint": endpoint, "deployedModel": given}
        asked["trafficSplit"] = {**split, "0": 0} if old else {"0": _WHOLE}
        return Replacement(new, old, self._call("EndpointService.DeployModel", asked)["name"])

    def step(self, endpoint: str, replacement: Replacement, ladder: Ladder) -> RolloutState:
        """How it stands."""
        found = self._call("EndpointService.GetEndpoint", {"name": endpoint})
        deployed = {one["id"] for one in found.get("deployedModels", [])}
        new, old = replacement.new, replacement.old if replacement.old in deployed else ""
        if new not in deployed:
            return self._absent(replacement)
        share = found.get("trafficSplit", {}).get(new, 0)
        if share == _WHOLE and not old:
            return RolloutState(Outcome.SUCCEEDED)
        if share:
            wrong, ready = self._judge(found, new, old, ladder)
            if wrong:
                return self._back(endpoint, new, old, wrong)
            if not ready:
                return RolloutState(Outcome.RUNNING)
        if share == _WHOLE:
            self._undeploy(endpoint, old)
        else:
            following = next(step for step in ladder.steps if step > share)
            self._split(endpoint, {new: following, **({old: _WHOLE - following} if old else {})})
        return RolloutState(Outcome.RUNNING)

    def _judge(self, endpoint: Json, new: str, old: str, ladder: Ladder) -> tuple[str, bool]:
        """What is wrong, "" for nothing, and whether the step has lasted long enough.

        Requests that no model can answer (4xx) fail at the old one, too: what counts is the difference.
        """
        since = datetime.fromisoformat(endpoint["updateTime"])
        name, share = endpoint["name"], endpoint["trafficSplit"][new]
        seen, before = (self._seen(f"{region_of(name)}/{id_of(name)}", one, since) for one in (new, old))
        enough = seen.requests >= max(1, ladder.min_requests)
        told = f"at {share} % of the traffic, of {seen.requests} requests to deployed model {new}"
        if enough and seen.error_rate - before.error_rate > ladder.max_error_rate:
            others = f"{before.error_rate:.1%} of the old one's; at most {ladder.max_error_rate:.1%} more"
            return f"{told} {seen.error_rate:.1%} failed ({others})", False
        limit = ladder.max_latency_ms
        if enough and limit is not None and seen.latency_ms > limit:
            return f"{told} the 95th percentile took {seen.latency_ms:.1f} ms (at most {limit:g} ms)", False
        lasted = self._clock.now() - since >= timedelta(seconds=ladder.step_seconds)
        return "", lasted and seen.requests >= ladder.min_requests

    def _back(self, endpoint: str, new: str, old: str, why: str) -> RolloutState:
        if not old:
            return RolloutState(Outcome.FAILED, f"{why}; there is no other model to go back to")
        self._split(endpoint, {old: _WHOLE})
        self._undeploy(endpoint, new)
        return RolloutState(Outcome.UNDONE, why)

    def _absent(self, replacement: Replacement) -> RolloutState:
        if not replacement.operation:
            return RolloutState(Outcome.UNDONE, f"deployed model {replacement.new} is not there any more")
        operation = self._call("Operations.GetOperation", {"name": replacement.operation})
        if not operation.get("done"):
            return RolloutState(Outcome.RUNNING)
        error = operation.get("error")
        if error:
            return RolloutState(Outcome.UNDONE, f"the model could not be deployed: {error.get('message', '')}")
        return RolloutState(Outcome.UNDONE, f"deployed model {replacement.new} is not there any more")

    def _split(self, endpoint: str, split: Mapping[str, int]) -> None:
        asked = {"endpoint": {"name": endpoint, "trafficSplit": split}, "updateMask": "trafficSplit"}
        self._call("EndpointService.UpdateEndpoint", asked)

    def _undeploy(self, endpoint: str, deployed_model: str) -> None:
        """Begin it; where something else is under way at the endpoint, the next look tries again."""
        try:
            self._call("EndpointService.UndeployModel", {"endpoint": endpoint, "deployedModelId": deployed_model})
        except LoopActionError as error:
            if not error.transient:
                raise


def _resources(like: Json) -> dict[str, Any]:
    """As the old one has them."""
    found = like.get("dedicatedResources", {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 1})
    kept = {"dedicatedResources": found}
    return {**kept, **({"serviceAccount": like["serviceAccount"]} if "serviceAccount" in like else {})}
