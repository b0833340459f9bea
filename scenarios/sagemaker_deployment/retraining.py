"""The loop: from the drift alarm to a better model in production, with a person's approval in between."""

from __future__ import annotations

import time
from typing import Any

from mlparity.scenarios import Platform
from mlparity.scenarios.loops import Loops
from scenarios.sagemaker_deployment.environments import Environment
from scenarios.sagemaker_deployment.names import (
    DRIFT_ALARM,
    LOOP,
    MARGIN,
    MSE_THRESHOLD,
    PACKAGE_GROUP,
    PIPELINE,
    SUMMER,
)
from scenarios.sagemaker_deployment.packages import approve, own_approval_is_refused

_FINAL = {"suppressed", "rejected", "declined", "promoted", "rolled back", "stopped", "failed"}


def definition(prod: Environment) -> dict[str, Any]:
    """What ``mlparity loop create`` takes."""
    return {
        "name": LOOP,
        "endpoint": prod.endpoint,
        "model_group": PACKAGE_GROUP,
        "trigger": {"alarm": DRIFT_ALARM},
        "retrain": {
            "pipeline": PIPELINE,
            "parameters": {**SUMMER, "ChampionModelUri": "{champion.model_data}"},
            "cool_down_seconds": 3600,
            "daily_cap": 2,
            "dedupe_key": "{trigger}/{day}",
        },
        "gate": {
            "metric": "regression_metrics.mse.value",
            "better": "lower",
            "threshold": MSE_THRESHOLD,
            "champion_metric": "champion_metrics.mse.value",
            "margin": MARGIN,
        },
        "rollout": {"deployment": prod.deployment_config()},
    }


def follow(platform: Platform, loops: Loops, role: str) -> dict[str, Any]:
    """Wait for the loop to retrain, approve what it found good, and wait for the promotion. The cycle at its end."""
    cycle = _when(platform, loops, {"awaiting approval"})
    package = cycle["facts"]["package"]
    own_approval_is_refused(platform, package, role)
    approve(platform, package, "ana", "July is warmer than February: retrained with it, and better on it")
    return _when(platform, loops, {"promoted"})


def _when(platform: Platform, loops: Loops, wanted: set[str]) -> dict[str, Any]:
    """The cycle when it is in a wanted state; says every step that it takes."""
    limit, began, told = 600.0, time.monotonic(), 0
    while True:
        cycles = loops.show(LOOP)["cycles"]
        started = [cycle for cycle in cycles if cycle["state"] != "suppressed"]
        if started:
            cycle: dict[str, Any] = started[0]
            if cycle["state"] in wanted:
                return cycle
            why = cycle["history"][-1]["reason"]
            platform.check(cycle["state"] not in _FINAL, f"the loop's cycle ended as {cycle['state']}: {why}")
            told = len(cycle["history"])
        platform.check(time.monotonic() - began < limit, f"the loop took more than {limit:.0f} s, {told} steps")
        time.sleep(0.5)
