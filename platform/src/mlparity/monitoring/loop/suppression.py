"""Why a trigger starts nothing: pause, another cycle under way, the dedupe key, the cool-down, the daily cap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mlparity.monitoring.loop.cycles import Loop
from mlparity.monitoring.loop.repository import LoopRepository


def reason(repository: LoopRepository, loop: Loop, key: str, now: datetime) -> str:
    """In words; "" where nothing stands against a retraining."""
    definition = loop.definition
    retrain, name = definition.retrain, definition.name
    if loop.paused:
        return "the loop is paused"
    under_way = repository.active(name)
    if under_way is not None:
        return f"cycle {under_way.number} is under way ({under_way.state})"
    same = repository.retrainings_since(name, now - timedelta(seconds=retrain.dedupe_seconds), key)
    if retrain.dedupe_seconds and same:
        return f"cycle {same[0].number} was started for the same key {key!r}"
    recent = repository.retrainings_since(name, now - timedelta(seconds=retrain.cool_down_seconds))
    if retrain.cool_down_seconds and recent:
        ends = recent[0].created_at + timedelta(seconds=retrain.cool_down_seconds)
        if now < ends:
            return f"cool-down until {ends.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, after cycle {recent[0].number}"
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    today = repository.retrainings_since(name, midnight)
    if len(today) >= retrain.daily_cap:
        return f"daily cap: {len(today)} of {retrain.daily_cap} retrainings were started today"
    return ""
