"""Whether an endpoint is there, and waiting until it has come or gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mlparity.scenarios import Platform

_ON_THE_WAY = {"Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting"}


def exists(platform: Platform, endpoint: str) -> bool:
    """Whether the endpoint is there."""
    found = platform.client("sagemaker").list_endpoints(NameContains=endpoint)["Endpoints"]
    return endpoint in {item["EndpointName"] for item in found}


def settled(
    platform: Platform, endpoint: str, meanwhile: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """DescribeEndpoint once nothing is under way; ``meanwhile`` is called with every look before."""
    every, limit = (0.1, 300.0) if platform.local else (15.0, 3600.0)
    began = time.monotonic()
    while True:
        described: dict[str, Any] = platform.client("sagemaker").describe_endpoint(EndpointName=endpoint)
        if described["EndpointStatus"] not in _ON_THE_WAY:
            return described
        platform.check(time.monotonic() - began < limit, f"{endpoint} was {described['EndpointStatus']} for too long")
        if meanwhile is not None:
            meanwhile(described)
        time.sleep(every)


def gone(platform: Platform, endpoint: str) -> None:
    """Wait until the endpoint, which is being deleted, is not there any more."""
    began, limit = time.monotonic(), 120.0 if platform.local else 900.0
    while exists(platform, endpoint):
        platform.check(time.monotonic() - began < limit, f"{endpoint} is still there")
        time.sleep(0.1 if platform.local else 10)
