"""The placeholders that a recurring run's parameters may hold: when it was due, when it began, which one it is.

``[[ScheduledTime]]``, ``[[CurrentTime]]`` (both also with a Go layout: ``[[ScheduledTime.2006-01-02]]``), ``[[Index]]``
(from 1) and ``[[RunUUID]]``. Times are in UTC. What is none of these stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlparity.apis.kubeflow.go_time import format_time

_PLACEHOLDER = re.compile(r"\[\[(.*?)\]\]")
_LAYOUT = "20060102150405"


@dataclass(frozen=True)
class Occurrence:
    """One run of a recurring run."""

    run_id: str
    index: int
    scheduled_at: datetime
    now: datetime

    def filled(self, value: Any) -> Any:
        """A parameter's value with its placeholders replaced, also within lists and structs."""
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda match: self._substitute(match[1], match[0]), value)
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, Mapping):
            return {key: self.filled(item) for key, item in value.items()}
        return value

    def _substitute(self, name: str, whole: str) -> str:
        kind, dot, layout = name.partition(".")
        times = {"ScheduledTime": self.scheduled_at, "CurrentTime": self.now}
        if kind in times:
            return format_time(times[kind].astimezone(UTC), layout if dot else _LAYOUT)
        return {"Index": str(self.index), "RunUUID": self.run_id}.get(name, whole)
