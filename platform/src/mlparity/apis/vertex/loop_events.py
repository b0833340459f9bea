"""The journal's events as a loop is told of them: in the envelope of an event bus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlparity.engine.events import Event

_OURS = "google."


def subscriber(take: Callable[[Mapping[str, Any]], None]) -> Callable[[Event], None]:
    """For ``EventJournal.subscribe``: hands on what happens in Google's APIs."""

    def on_event(event: Event) -> None:
        if event.source.startswith(_OURS):
            take(
                {
                    "id": event.id,
                    "time": event.at.isoformat(),
                    "source": event.source,
                    "detail-type": event.detail_type,
                    "resources": list(event.resources),
                    "detail": dict(event.detail),
                }
            )

    return on_event
