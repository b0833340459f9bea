"""Smoke tests of a deployed version: the contract, golden predictions, latency. Real requests, one after another."""

from __future__ import annotations

import json
import time

from botocore.exceptions import ClientError

from mlparity.scenarios import Platform
from scenarios.sagemaker_deployment.environments import Environment
from scenarios.sagemaker_deployment.flights import Flights, own_predictions

_GOLDEN = 20
_TIMED = 40


def smoke_test(platform: Platform, environment: Environment, package: str, flights: Flights) -> str:
    """Check the endpoint of ``environment`` against the package itself; what was found, in words."""
    runtime = platform.client("sagemaker-runtime")
    golden = flights.complete().sample(_GOLDEN, seed=1)
    rows, expected = golden.rows(), own_predictions(platform, package, golden)
    answer = runtime.invoke_endpoint(
        EndpointName=environment.endpoint, ContentType="text/csv", Accept="text/csv", Body="\n".join(rows)
    )
    said = [float(value) for value in answer["Body"].read().decode().replace("\n", ",").strip(",").split(",")]
    platform.check(len(said) == len(expected), f"{len(rows)} flights got {len(said)} predictions")
    worst = max(abs(one - other) for one, other in zip(said, expected, strict=True))
    platform.check(worst <= environment.smoke.golden_tolerance, f"a prediction is off by {worst} minutes")
    _refuses_nonsense(platform, environment)
    p95 = _latency(platform, environment, rows)
    platform.check(p95 <= environment.smoke.latency_p95_ms, f"p95 is {p95:.0f} ms")
    return f"{len(expected)} golden predictions within {worst:.4f} min, p95 {p95:.1f} ms, nonsense refused"


def _refuses_nonsense(platform: Platform, environment: Environment) -> None:
    """What is no flight gets no prediction, and the endpoint tells of it as the vendor does."""
    try:
        platform.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=environment.endpoint, ContentType="application/x-nonsense", Body=json.dumps("?")
        )
    except ClientError as error:
        platform.check(error.response["Error"]["Code"] == "ModelError", f"refused otherwise: {error}")
        return
    platform.check(False, "a payload of an unknown type was answered")


def _latency(platform: Platform, environment: Environment, rows: list[str]) -> float:
    """The 95th percentile of single flights, in milliseconds."""
    runtime, times = platform.client("sagemaker-runtime"), []
    for number in range(_TIMED):
        began = time.perf_counter()
        runtime.invoke_endpoint(
            EndpointName=environment.endpoint, ContentType="text/csv", Body=rows[number % len(rows)]
        )["Body"].read()
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[int(len(times) * 0.95)]
