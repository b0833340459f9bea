"""The endpoints of the stack: a durable state machine that is driven by workers, alarms and time.

Every step is the same: make the fleet and the router be as the record says (``world``), look at what there is, decide
what is next (``lifecycle``, ``rollout``; pure), write that down, and again. A crash between any two of these loses
nothing, as the record is made true again first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mlparity.clock import Clock
from mlparity.errors import InvalidRequestError, StateError
from mlparity.serving.endpoints import lifecycle, render
from mlparity.serving.endpoints import rollout as rollouts
from mlparity.serving.endpoints.contract import Listener
from mlparity.serving.endpoints.dispatch import Dispatcher
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointFilter, EndpointPhase, Rollout
from mlparity.serving.endpoints.errors import EndpointBusyError, EndpointFailedError, UnknownVariantError
from mlparity.serving.endpoints.plans import Revision, RolloutPolicy
from mlparity.serving.endpoints.record import EndpointRecord, Member, Reshaping, Side
from mlparity.serving.endpoints.repository import EndpointRepository, StaleRecordError
from mlparity.serving.endpoints.view import View
from mlparity.serving.endpoints.world import World
from mlparity.serving.fleet.deployment import Deployment, Fleet
from mlparity.serving.routing.table import Router
from mlparity.state.paging import Page, PageRequest

_LOG = logging.getLogger(__name__)
_PATIENCE_SECONDS = 2.0  # before what the router or the database refused is tried again
Alarms = Callable[[Sequence[str]], Sequence[str]]  # of these names, those that are in ALARM


@dataclass(frozen=True)
class Pace:
    """How often the service looks, and with how many threads it works."""

    alarm_seconds: float = 5.0  # between looks at the alarms while they count
    threads: int = 4  # 0: nothing happens before ``settle``, for tests


class EndpointService:
    """Implements ``contract.Endpoints``; a ``TimedWork`` for bakes, waits, timeouts and alarms."""

    def __init__(
        self,
        repository: EndpointRepository,
        fleet: Fleet,
        router: Router,
        clock: Clock,
        alarms: Alarms,
        *,
        pace: Pace | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """``wake`` tells the timer service that due times have changed."""
        self.repository = repository
        self._clock = clock
        self._alarms = alarms
        self._pace = pace or Pace()
        self._wake = wake
        self._world = World(fleet, router)
        self._listeners: list[Listener] = []
        self._witnesses: list[Listener] = []
        self._closed = False
        self._wakes: dict[str, datetime] = {}
        self._dispatcher = Dispatcher(self._handle, self._pace.threads)
        fleet.listen(self._noticed)

    def create(
        self, api: str, name: str, revision: Revision, request: Mapping[str, Any], *, log_group: str = ""
    ) -> Endpoint:
        """See ``contract.Endpoints``."""
        now = self._clock.now()
        members = tuple(
            Member(self.repository.new_deployment(), plan, plan.weight, plan.instances) for plan in revision.variants
        )
        record = EndpointRecord(
            id=self.repository.new_id(),
            api=api,
            name=name,
            phase=EndpointPhase.CREATING if members else EndpointPhase.IN_SERVICE,
            phase_at=now,
            blue=Side(revision, members),
            request=request,
            created_at=now,
            modified_at=now,
            log_group=log_group,
        )
        with self.repository.transaction():
            self.repository.create(record)
            return self._changed(None, record)

    def update(
        self, api: str, name: str, revision: Revision, policy: RolloutPolicy, request: Mapping[str, Any]
    ) -> Endpoint:
        """See ``contract.Endpoints``."""
        now = self._clock.now()
        with self.repository.transaction():
            before = self.repository.get(api, name)
            _require_idle(before)
            names = [self.repository.new_deployment() for _ in revision.variants]
            rollout = rollouts.begin(before, self.repository.new_id(), revision, policy, names, now)
            after = before.enter(
                EndpointPhase.UPDATING, now, rollout=rollout, update_request=request, failure_reason=""
            )
            return self._changed(before, self.repository.save(after))

    def set_weights_and_capacities(
        self, api: str, name: str, changes: Mapping[str, tuple[float | None, int | None]]
    ) -> Endpoint:
        """See ``contract.Endpoints``."""
        now = self._clock.now()
        with self.repository.transaction():
            before = self.repository.get(api, name)
            _require_idle(before)
            if before.phase is EndpointPhase.ROLLBACK_FAILED:
                raise EndpointFailedError(f"endpoint {name} serves two revisions", "its last rollback failed")
            members = _changed_members(before, changes)
            after = before.enter(
                EndpointPhase.UPDATING,
                now,
                blue=replace(before.blue, members=members),
                before={one.deployment: (one.weight, one.instances) for one in before.blue.members},
                scale_until=now + timedelta(seconds=before.blue.startup_seconds),
            )
            return self._changed(before, self.repository.save(after))

    def reshape(self, api: str, name: str, revision: Revision, request: Mapping[str, Any]) -> Endpoint:
        """See ``contract.Endpoints``."""
        now = self._clock.now()
        with self.repository.transaction():
            before = self.repository.get(api, name)
            _require_idle(before)
            known = {member.plan.name: member.plan for member in before.blue.members}
            # A deployment's id always means the same model: what stays stays what it is.
            plans = tuple(
                replace(known[plan.name], weight=plan.weight) if plan.name in known else plan
                for plan in revision.variants
            )
            added = tuple(
                Member(self.repository.new_deployment(), plan, plan.weight, plan.instances)
                for plan in plans
                if plan.name not in known
            )
            after = before.enter(
                EndpointPhase.UPDATING,
                now,
                reshaping=Reshaping(replace(revision, variants=plans), added),
                update_request=request,
                failure_reason="",
            )
            return self._changed(before, self.repository.save(after))

    def delete(self, api: str, name: str) -> Endpoint:
        """See ``contract.Endpoints``."""
        with self.repository.transaction():
            before = self.repository.get(api, name)
            _require_not_busy(before)
            names = tuple(member.deployment for member in before.blue.members)
            retiring = (*before.retiring, *(one for one in names if one not in before.retiring))
            after = before.enter(EndpointPhase.DELETING, self._clock.now(), retiring=retiring)
            return self._changed(before, self.repository.save(after))

    def get(self, api: str, name: str) -> Endpoint:
        """See ``contract.Endpoints``."""
        return self._render(self.repository.get(api, name))

    def list(self, wanted: EndpointFilter, page: PageRequest) -> Page[Endpoint]:
        """See ``contract.Endpoints``."""
        return self.repository.list(wanted, page).map(self._render)

    def rollouts(self, api: str, name: str) -> Sequence[Rollout]:
        """See ``contract.Endpoints``."""
        found = self.repository.rollouts(self.repository.get(api, name).id)
        return [render.rollout(record) for record in found]

    def listen(self, listener: Listener, *, within: bool = False) -> None:
        """See ``contract.Endpoints``."""
        (self._witnesses if within else self._listeners).append(listener)

    def recover(self) -> None:
        """See ``contract.Endpoints``."""
        for record in self.repository.all():
            self._dispatcher.mark(record.key)

    def close(self) -> None:
        """See ``contract.Endpoints``."""
        self._closed = True
        self._dispatcher.close()

    def settle(self) -> None:
        """Do all that can be done now, in this thread. For tests, with ``Pace(threads=0)``."""
        self._dispatcher.run_pending()

    def next_due(self) -> datetime | None:
        """When time makes a difference to some endpoint."""
        return min(list(self._wakes.values()), default=None)

    def run_due(self) -> None:
        """Have the endpoints looked at whose time has come."""
        now = self._clock.now()
        for key, due in list(self._wakes.items()):
            if due <= now:
                self._wakes.pop(key, None)
                self._dispatcher.mark(key)

    def _noticed(self, deployment: Deployment) -> None:
        """From a thread of the fleet. The router knows of workers that go before they are drained."""
        key = deployment.spec.endpoint
        if self._closed:
            return
        try:
            self._world.republish(key, lambda: self._find(key), self._clock.now())
        except Exception:  # noqa: BLE001 - it is tried again below
            _LOG.exception("endpoint %s: the router could not be told of workers", key)
        self._dispatcher.mark(key)

    def _find(self, key: str) -> EndpointRecord | None:
        api, _, name = key.partition("/")
        return self.repository.find(api, name)

    def _handle(self, key: str) -> None:
        try:
            while self._step(key):
                pass
        except Exception:  # noqa: BLE001 - the router is away, or the database refuses: neither for ever
            _LOG.exception("endpoint %s cannot go on yet", key)
            self._wakes[key] = self._clock.now() + timedelta(seconds=_PATIENCE_SECONDS)
            self._wake()

    def _step(self, key: str) -> bool:
        """Take the endpoint one step on; whether there may be another."""
        record = self._find(key)
        if record is None:
            self._wakes.pop(key, None)
            return False
        view = self._world.realise(record, self._clock.now())
        active = record.active
        if active is not None and rollouts.is_watched(active):
            view = replace(view, tripped=tuple(self._alarms(active.policy.alarms)))
        after = lifecycle.advance(record, view)
        if after is None:
            self._sleep(record, view.now)
            return False
        with suppress(StaleRecordError):  # then the next round sees what has changed
            self._write(record, after)
        return True

    def _write(self, before: EndpointRecord, after: EndpointRecord) -> None:
        if after.phase is EndpointPhase.DELETED:
            self._world.forget(before.key, lambda: self._delete(before, after))
            return
        with self.repository.transaction():
            saved = self.repository.save(after)
            if _is_news(before, after):
                self._tell(before, saved)

    def _delete(self, before: EndpointRecord, after: EndpointRecord) -> None:
        with self.repository.transaction():
            self.repository.delete(before)
            self._tell(before, after)

    def _sleep(self, record: EndpointRecord, now: datetime) -> None:
        times = [at for at in lifecycle.wake_times(record) if at > now]
        if record.active is not None and rollouts.is_watched(record.active):
            times.append(now + timedelta(seconds=self._pace.alarm_seconds))
        if times:
            self._wakes[record.key] = min(times)
            self._wake()
        else:
            self._wakes.pop(record.key, None)

    def _changed(self, before: EndpointRecord | None, after: EndpointRecord) -> Endpoint:
        """After a call has stored ``after``, within its transaction."""
        self._tell(before, after)
        self.repository.after_commit(lambda: self._dispatcher.mark(after.key))
        return self._render(after)

    def _render(self, record: EndpointRecord) -> Endpoint:
        return render.endpoint(record, self._world.see(record, self._clock.now()))

    def _tell(self, before: EndpointRecord | None, after: EndpointRecord) -> None:
        view: View = self._world.see(after, self._clock.now())
        now, was = render.endpoint(after, view), render.endpoint(before, view) if before else None
        for witness in self._witnesses:
            try:
                with self.repository.transaction():
                    witness(now, was)
            except StateError:
                raise
            except Exception:  # noqa: BLE001 - one listener must not break the endpoint
                _LOG.exception("a listener failed for endpoint %s", after.key)
        self.repository.after_commit(lambda: self._tell_listeners(now, was))

    def _tell_listeners(self, now: Endpoint, was: Endpoint | None) -> None:
        for listener in self._listeners:
            try:
                listener(now, was)
            except Exception:  # noqa: BLE001 - as above
                _LOG.exception("a listener failed for endpoint %s", now.key)


def _require_not_busy(record: EndpointRecord) -> None:
    if record.phase.is_busy:
        raise EndpointBusyError(f"endpoint {record.name} is {record.phase.value}", "wait until that has ended")


def _require_idle(record: EndpointRecord) -> None:
    _require_not_busy(record)
    if record.phase is EndpointPhase.FAILED:
        raise EndpointFailedError(f"endpoint {record.name} could not be created", "it can only be deleted")


def _changed_members(
    record: EndpointRecord, changes: Mapping[str, tuple[float | None, int | None]]
) -> Sequence[Member]:
    for name, (weight, instances) in changes.items():
        if all(member.plan.name != name for member in record.blue.members):
            raise UnknownVariantError(name)
        if (weight is not None and weight < 0) or (instances is not None and instances < 1):
            raise InvalidRequestError(f"variant {name}: weight {weight}, instances {instances} cannot be")
    return tuple(
        replace(
            member,
            weight=member.weight if weight is None else weight,
            instances=member.instances if instances is None else instances,
        )
        for member in record.blue.members
        for weight, instances in [changes.get(member.plan.name, (None, None))]
    )


def _is_news(before: EndpointRecord, after: EndpointRecord) -> bool:
    """Whether listeners are to know: not of what is only between the service and the fleet."""
    return (before.phase, before.blue, before.rollout) != (after.phase, after.blue, after.rollout)
