"""A version whose code fails on some flights passes every smoke test; prod's canary finds out, and goes back."""

from __future__ import annotations

from collections import Counter
from typing import Any

from botocore.exceptions import ClientError

from mlparity.scenarios import Platform
from scenarios.sagemaker_common.endpoints import settled
from scenarios.sagemaker_deployment.environments import Environment
from scenarios.sagemaker_deployment.flights import Flights
from scenarios.sagemaker_deployment.promotion import begin_promotion, serving_package


def canary_goes_back(
    platform: Platform, prod: Environment, bad: str, good: str, role: str, base: str, traffic: Flights
) -> str:
    """Roll the bad version out under traffic, and see it rolled back. What happened, in words."""
    before = platform.client("sagemaker").describe_endpoint(EndpointName=prod.endpoint)["EndpointConfigName"]
    config = begin_promotion(platform, prod, bad, role, base)
    rows, answers = iter(traffic.rows() * 1000), Counter[str]()
    stages: list[str] = []

    def send(described: dict[str, Any]) -> None:
        coming = described.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
        for status in [one for variant in coming for one in variant.get("VariantStatus", [])]:
            if status["Status"] not in stages:
                stages.append(status["Status"])
        if described["EndpointStatus"] not in stages:
            stages.append(described["EndpointStatus"])
        for _ in range(5):
            answers[_ask(platform, prod.endpoint, next(rows))] += 1

    after = settled(platform, prod.endpoint, send)
    platform.check(after["EndpointStatus"] == "InService", f"{prod.endpoint} is {after['EndpointStatus']}")
    platform.check(after["EndpointConfigName"] == before, f"{prod.endpoint} stayed with {config}")
    platform.check(serving_package(platform, prod.endpoint) == good, "another package serves than before")
    failed = sum(count for answer, count in answers.items() if answer != "ok")
    platform.check(failed > 0, "the canary never failed: nothing was proven")
    share = failed / answers.total()
    platform.say(f"  {answers.total()} requests meanwhile, {failed} failed ({share:.0%}): only the canary's")
    platform.say(f"  the endpoint was {', '.join(stages)}; now {after['EndpointStatus']} with what it had")
    platform.say(f"  because: {after.get('FailureReason', '(no reason given)')}")
    for _ in range(20):
        platform.check(_ask(platform, prod.endpoint, next(rows)) == "ok", "a request failed after the rollback")
    return f"rolled back after {failed} of {answers.total()} requests had failed"


def _ask(platform: Platform, endpoint: str, row: str) -> str:
    try:
        platform.client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=row)[
            "Body"
        ].read()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"
