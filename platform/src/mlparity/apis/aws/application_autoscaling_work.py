"""Scalable targets are looked at each minute, and scaled as their policies say.

https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mlparity.apis.aws.application_autoscaling import Scalable, names_of, split
from mlparity.apis.aws.application_autoscaling_alarms import HIGH, LOW, alarm_name, metric_of
from mlparity.apis.aws.application_autoscaling_store import HISTORY, AutoscalingStore, ScalableTarget, ScalingPolicy
from mlparity.apis.aws.application_autoscaling_tracking import HIGH_PERIODS, LOW_PERIODS, Tracking, wanted
from mlparity.apis.aws.metrics_statistics import floored, periods
from mlparity.apis.aws.metrics_store import MetricStore, Series
from mlparity.clock import Clock
from mlparity.errors import MlparityError
from mlparity.ids import IdSource

_LOG = logging.getLogger(__name__)
_MINUTE = 60
_COOLDOWN = 300


class AutoscalingWork:
    """Timed work."""

    def __init__(
        self, store: AutoscalingStore, metrics: MetricStore, scalable: Scalable, clock: Clock, ids: IdSource
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._scalable = scalable
        self._clock = clock
        self._ids = ids
        self._last = clock.now()

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        return floored(self._last, _MINUTE) + timedelta(seconds=_MINUTE)

    def run_due(self) -> None:
        """See ``TimedWork``."""
        now = self._last = self._clock.now()
        for target in list(self._store.targets()):
            try:
                self._look_at(target, now)
            except MlparityError as error:
                _LOG.warning("scaling of %s: %s", target.resource, error)
        if now.minute == 0:
            self._store.forget_activities_before(now - HISTORY)

    def _look_at(self, target: ScalableTarget, now: datetime) -> None:
        """Of several policies the one that wants most counts; all must agree to go down."""
        endpoint, variant = split(target.resource)
        current = self._scalable.capacity(endpoint, variant)
        if current is None:
            return  # the endpoint has just gone, and its targets are about to; or an update has taken the variant away
        found = [
            (wanted(self._tracking(target, policy, current, now)), policy)
            for policy in self._store.policies(target.region, target.resource)
        ]
        if not found:
            return
        instances, policy = max(found, key=lambda pair: pair[0])
        low, high = target.limits
        instances = min(max(instances, low, 1), high)  # an endpoint without instances would answer nobody
        if instances == current:
            return
        suspended = target.body["SuspendedState"]
        out = instances > current
        if suspended["DynamicScalingOutSuspended" if out else "DynamicScalingInSuspended"]:
            return
        self._scale(target, policy, instances, now, out=out)

    def _tracking(self, target: ScalableTarget, policy: ScalingPolicy, current: int, now: datetime) -> Tracking:
        config = policy.body["TargetTrackingScalingPolicyConfiguration"]
        scaled = {
            out: datetime.fromisoformat(text) if (text := target.body.get(member)) else None
            for out, member in ((True, "ScaledOutAt"), (False, "ScaledInAt"))
        }
        return Tracking(
            target=config["TargetValue"],
            values=self._values(target, config, now),
            current=current,
            now=now,
            scaled_out_at=scaled[True],
            scaled_in_at=scaled[False],
            out_cooldown=timedelta(seconds=config.get("ScaleOutCooldown", _COOLDOWN)),
            in_cooldown=timedelta(seconds=config.get("ScaleInCooldown", _COOLDOWN)),
            may_scale_in=not config.get("DisableScaleIn", False),
        )

    def _values(self, target: ScalableTarget, config: Mapping[str, Any], now: datetime) -> list[float | None]:
        """The metric of the last minutes, newest first; None for a minute without data."""
        metric = metric_of(target.resource, config)
        series = Series(target.region, metric.namespace, metric.name, metric.dimensions)
        end = floored(now, _MINUTE)
        count = max(HIGH_PERIODS, LOW_PERIODS)
        start = end - timedelta(seconds=_MINUTE * count)
        found = periods(self._metrics.read(series, start, end, metric.unit), start, _MINUTE)
        values = {each.start: each.statistic(metric.statistic) for each in found}
        return [values.get(end - timedelta(seconds=_MINUTE * (index + 1))) for index in range(count)]

    def _scale(
        self, target: ScalableTarget, policy: ScalingPolicy, instances: int, now: datetime, *, out: bool
    ) -> None:
        endpoint, variant = split(target.resource)
        activity = self._ids.uuid()
        alarm = alarm_name(policy, HIGH if out else LOW)
        body: dict[str, Any] = {
            **names_of(target.resource),
            "ActivityId": activity,
            "Description": f"Setting desired instance count to {instances}.",
            "Cause": f"monitor alarm {alarm} in state ALARM triggered policy {policy.name}",
            "StartTime": now.isoformat(),
            "EndTime": now.isoformat(),
        }
        try:
            self._scalable.set_capacity(endpoint, variant, instances)
        except MlparityError as error:
            body |= {"StatusCode": "Failed", "StatusMessage": f"Failed to set desired instance count: {error.what}"}
        else:
            told = (
                f"Successfully set desired instance count to {instances}. Change successfully fulfilled by sagemaker."
            )
            body |= {"StatusCode": "Successful", "StatusMessage": told}
            changed = {**target.body, "ScaledOutAt" if out else "ScaledInAt": now.isoformat()}
            self._store.put_target(target.region, target.resource, changed)
        self._store.add_activity(target, activity, body)
