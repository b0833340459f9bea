"""The router's process: ``python -m mlparity.stack.serve_router --settings JSON --control FD …``.

Composes the vendor-neutral router with SageMaker's runtime front and Vertex AI's prediction front. ``stack.router``
makes its command line.
"""

from __future__ import annotations

import argparse
import json
import logging
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

from mlparity.apis.sagemaker.runtime import capture_record
from mlparity.apis.sagemaker.runtime.errors import Errors
from mlparity.apis.sagemaker.runtime.front import RuntimeFront
from mlparity.apis.sagemaker.runtime.signatures import Scope, Signatures, Told
from mlparity.apis.vertex.runtime import logging_record
from mlparity.apis.vertex.runtime.front import PredictionFront
from mlparity.apis.vertex.runtime.paths import API as VERTEX
from mlparity.clock import SystemClock
from mlparity.serving.routing.capture import Captured, CaptureSpool, SpoolSettings
from mlparity.serving.routing.control import Channel
from mlparity.serving.routing.dispatching import Dispatcher
from mlparity.serving.routing.elsewhere import Elsewhere
from mlparity.serving.routing.incoming import Handler
from mlparity.serving.routing.listening import Parts, Sockets, route
from mlparity.serving.routing.measuring import Measurements
from mlparity.stack.hand_over import PREDICTIONS


@dataclass(frozen=True)
class RouterSettings:
    """What the router is told at its start."""

    region: str
    account_id: str
    spool: str  # folder
    capture_seconds: float

    def as_text(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))


def _parts(settings: RouterSettings, elsewhere: Sequence[str], channel: Channel) -> Parts:
    import asyncio
    from random import Random

    loop = asyncio.get_running_loop()
    clock = SystemClock()
    random = Random(SystemRandom().getrandbits(64))  # noqa: S311 - shares of traffic and request ids, no secrets
    spool_settings = SpoolSettings(Path(settings.spool), settings.capture_seconds)
    spool = CaptureSpool(spool_settings, _record, channel.spooled, loop, clock, random)
    dispatcher = Dispatcher(loop, random, time.perf_counter, Measurements(), spool)

    def ask(scope: Scope, told: Told) -> None:
        def answered(key: Any) -> None:
            told(bytes.fromhex(key) if key else None)

        channel.ask(asdict(scope), answered)

    errors = Errors(settings.region, settings.account_id)
    signatures = Signatures(ask, clock)
    aws, google = (Elsewhere(path, loop) for path in elsewhere)
    runtime = RuntimeFront(dispatcher, signatures, errors, clock, random, aws)
    predictions = PredictionFront(dispatcher, clock, google)
    forwarded = RuntimeFront(dispatcher, signatures, errors, clock, random, None)

    def handler(first: bytes) -> Handler:
        return predictions if first.startswith(PREDICTIONS.start) else runtime

    return Parts(dispatcher, spool, handler, PredictionFront(dispatcher, clock, forwarded))


def _record(item: Captured) -> bytes:
    """A captured request in the layout of the API that its endpoint belongs to."""
    if item.endpoint.startswith(f"{VERTEX}/"):
        return logging_record.line(item)
    return capture_record.line(item)


def main() -> int:
    """Route until the control plane is gone or says so."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--handed", type=int, required=True)
    parser.add_argument("--elsewhere", nargs=2, required=True, help="unix sockets that serve what is no invocation")
    parser.add_argument("--settings", required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = RouterSettings(**json.loads(arguments.settings))
    sockets = Sockets(*(socket.socket(fileno=fd) for fd in (arguments.control, arguments.listen, arguments.handed)))
    import uvloop

    uvloop.run(route(sockets, lambda channel: _parts(settings, arguments.elsewhere, channel)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
