"""Whether a request may run in the event loop: only what has been quick until now, and is not large."""

from __future__ import annotations

_QUICK = 0.005  # seconds: as long may another request, or a ping, wait
_LARGE = 16 * 1024  # bytes of a body
_TRIALS = 3  # first calls import and allocate; they say nothing
_FORGET = 0.1  # how much a newer, shorter time counts


class Pace:
    """How long requests took of late. ``library``: no code of the user's, which may wait for anything."""

    def __init__(self, *, library: bool) -> None:
        self._library = library
        self._calls = 0
        self._recent = 0.0  # seconds

    def in_loop(self, size: int) -> bool:
        """Whether a request with ``size`` bytes runs at once; in a thread otherwise."""
        return self._library and size <= _LARGE and self._calls >= _TRIALS and self._recent <= _QUICK

    def note(self, seconds: float, size: int) -> None:
        """One of ``size`` bytes took so long. A slow one counts at once, a quick one little by little."""
        if size > _LARGE:
            return
        self._calls += 1
        if self._calls <= _TRIALS:
            return
        self._recent = seconds if seconds > self._recent else self._recent + _FORGET * (seconds - self._recent)
