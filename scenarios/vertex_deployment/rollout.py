"""Deployments at one endpoint by the SDK: beside each other, blue/green, up a ladder, and back."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from google.api_core.exceptions import GoogleAPICallError

from mlparity.scenarios import Platform
from scenarios.vertex_deployment.flights import Flights
from scenarios.vertex_deployment.settings import MACHINE, MAX_ERROR_RATE, MAX_P95_SECONDS, STEPS
from scenarios.vertex_deployment.training import estimator_of


@dataclass
class Measured:
    """What a client saw of some requests, one flight each."""

    answered: Counter[str] = field(default_factory=Counter)  # by deployed model
    failures: int = 0
    seconds: list[float] = field(default_factory=list)
    first_failure: str = ""

    @property
    def error_rate(self) -> float:
        """Of all requests."""
        return self.failures / max(1, self.failures + self.answered.total())

    @property
    def p95(self) -> float:
        """Seconds."""
        ordered = sorted(self.seconds)
        return ordered[int(len(ordered) * 0.95)] if ordered else 0.0

    def wrong(self) -> str:
        """Why a new version must go back; "" where it may go on."""
        if self.error_rate > MAX_ERROR_RATE:
            return f"{self.error_rate:.1%} of the requests failed (at most {MAX_ERROR_RATE:.0%}): {self.first_failure}"
        return f"the 95th percentile is {self.p95:.2f} s" if self.p95 > MAX_P95_SECONDS else ""


def measure(endpoint: Any, flights: Flights) -> Measured:
    """Send every flight in a request of its own."""
    found = Measured()
    for instance in flights.instances:
        begun = time.monotonic()
        try:
            found.answered[endpoint.predict(instances=[instance]).deployed_model_id] += 1
        except GoogleAPICallError as error:
            found.failures += 1
            found.first_failure = found.first_failure or _cause(error)
        found.seconds.append(time.monotonic() - begun)
    return found


def _cause(error: GoogleAPICallError) -> str:
    """The server's words without the URL."""
    return " ".join(str(error.message).rpartition("Prediction failed: ")[2].split())[:120].rstrip('"')


def deploy(endpoint: Any, model: Any, *, percentage: int) -> str:
    """Deploy a version beside what is there; the deployed model's id."""
    before = {one.id for one in endpoint.list_models()}
    endpoint.deploy(
        model,
        deployed_model_display_name=f"version-{model.version_id}",
        machine_type=MACHINE,
        min_replica_count=1,
        max_replica_count=1,
        traffic_percentage=percentage,
    )
    return str(next(one.id for one in endpoint.list_models() if one.id not in before))


def smoke_test(platform: Platform, endpoint: Any, deployed: str, model: Any, flights: Flights) -> None:
    """Predictions come from the deployed model, and are those of the version's model in this process."""
    answer = endpoint.predict(instances=flights.instances)
    platform.check(answer.deployed_model_id == deployed, f"{answer.deployed_model_id} answered, not {deployed}")
    expected = estimator_of(platform, model).predict(flights.instances).tolist()
    platform.check(answer.predictions == expected, f"version {model.version_id} predicts otherwise than its model does")


def shift(endpoint: Any, split: dict[str, int]) -> None:
    """Change who gets which share of the traffic."""
    endpoint.update(traffic_split=split)


def climb(platform: Platform, endpoint: Any, old: str, new: str, flights: Flights, requests: int) -> str:
    """Up the ladder while the numbers hold; back at once where they do not. Why it went back; "" at the top."""
    for number, step in enumerate(STEPS):
        shift(endpoint, {new: step, **({old: 100 - step} if step < 100 else {})})
        seen = measure(endpoint, flights.part(number * requests, requests))
        wrong = seen.wrong()
        told = f"{seen.answered[new]} of {requests} requests answered by the new one, {seen.failures} failed"
        platform.say(f"   {step:3d} %: {told}, p95 {seen.p95 * 1000:.0f} ms")
        if wrong:
            shift(endpoint, {old: 100})
            return f"at {step} %: {wrong}"
        platform.check(seen.answered[new] > 0, f"at {step} % nobody was sent to the new version")
    return ""
