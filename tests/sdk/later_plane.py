"""The real control plane on a clock that is 50 seconds ahead; the supervisor loads this file by its path."""

from __future__ import annotations

from datetime import datetime, timedelta

from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.control_plane import ControlPlane

AHEAD = timedelta(seconds=50)


class LaterClock:
    """The machine's clock, set forward."""

    def __init__(self) -> None:
        self._machine = SystemClock()

    def now(self) -> datetime:
        return self._machine.now() + AHEAD

    def monotonic(self) -> float:
        return self._machine.monotonic()


def build(config: ControlPlaneConfig) -> ControlPlane:
    return ControlPlane(config, LaterClock(), SystemIds())
