"""The operation table of ``sagemaker-runtime``: what is served. The router, the coverage table and tests read it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HEADERS = "stateful sessions, multi-model endpoints, direct invocation of a container and explanations are refused"


@dataclass(frozen=True)
class RuntimeOperation:
    """One operation; ``partial`` says what of it is refused, "" where nothing is."""

    name: str
    path: str  # the last part of its path
    partial: str = ""
    routed: bool = True  # by the router; else the control plane answers (``async_invocations``)


OPERATIONS: tuple[RuntimeOperation, ...] = (
    RuntimeOperation("InvokeEndpoint", "invocations", _HEADERS),
    RuntimeOperation("InvokeEndpointWithResponseStream", "invocations-response-stream", _HEADERS),
    RuntimeOperation("InvokeEndpointAsync", "async-invocations", "payloads of up to 25 MB", routed=False),
)

BY_PATH: Mapping[str, RuntimeOperation] = {operation.path: operation for operation in OPERATIONS if operation.routed}

# What the router takes; every other path is the control plane's.
INVOCATION = re.compile(r"/endpoints/([^/?]*)/(" + "|".join(map(re.escape, BY_PATH)) + r")(?:\?(.*))?\Z")
