"""Which earlier step's results may stand for a new one: equal inputs of the same step, recent enough."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from mlparity.engine.runs import Run, StepContext, StepPlan


@runtime_checkable
class CacheableHandler(Protocol):
    """A step handler that can say what a step's result depends on."""

    def cache_inputs(self, context: StepContext) -> Mapping[str, Any]:
        """The resolved values that decide the result, as JSON. Raises ``MlparityError`` like ``start``."""
        ...


@runtime_checkable
class FingerprintHandler(Protocol):
    """A step handler that says by itself which steps are equal."""

    def fingerprint(self, context: StepContext) -> str:
        """At most 64 characters, the same for steps that stand for each other. Raises like ``start``."""
        ...


def cache_key(run: Run, plan: StepPlan, inputs: Mapping[str, Any]) -> str:
    """64 hexadecimal digits: equal for equal inputs of the same step of the same parent, and for nothing else."""
    document = [run.api, run.kind, run.parent, plan.name, plan.kind, inputs]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def oldest_reusable(plan: StepPlan, now: datetime) -> datetime:
    """A result that ended before this is too old. The plan has ``reuse_within_seconds``."""
    try:
        return now - timedelta(seconds=plan.reuse_within_seconds or 0)
    except OverflowError:
        return datetime.min.replace(tzinfo=now.tzinfo)
