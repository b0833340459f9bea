"""A clock that moves only when told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class TestClock:
    """Starts at ``start`` (aware; 2026-01-01 UTC by default) and moves with ``advance``."""

    __test__ = False  # pytest must not collect it

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._elapsed = 0.0

    def now(self) -> datetime:
        """The time last set."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Move forward by ``seconds`` (not negative)."""
        if seconds < 0:
            raise ValueError("a clock does not go backwards")
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds
