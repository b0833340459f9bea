"""The loop itself: takes events, opens cycles, and takes each from one state to the next.

Every step is in the database before it is acted on, and every action is idempotent by the cycle's token: after a
crash a cycle goes on where it was, and nothing is started twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mlparity.clock import Clock
from mlparity.errors import ConflictError, MlparityError
from mlparity.monitoring.loop import suppression
from mlparity.monitoring.loop.actions import LoopActionError, LoopActions, Outcome, Verdict
from mlparity.monitoring.loop.cycles import Cycle, CycleState, Loop
from mlparity.monitoring.loop.definition import LoopDefinition, filled
from mlparity.monitoring.loop.gate import judge
from mlparity.monitoring.loop.repository import LoopRepository

_LOG = logging.getLogger(__name__)
_LOOK_EVERY = timedelta(seconds=1)  # at what is under way
_PATIENCE = timedelta(seconds=5)  # after an error that may pass
_MOST_FAILURES = 10  # in a row, of one action
_SHOWN = 50

Event = Mapping[str, Any]
Matches = Callable[[Mapping[str, Any], Event], bool]  # (event pattern, event)


class LoopService:
    """Loops of one vendor API. ``TimedWork``; ``wake`` makes its timer look again."""

    def __init__(
        self,
        repository: LoopRepository,
        actions: LoopActions,
        matches: Matches,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self.repository = repository
        self._actions = actions
        self._matches = matches
        self._clock = clock
        self._wake = wake
        self._opening = threading.Lock()

    def put(self, definition: LoopDefinition) -> Loop:
        """Make a loop, or change it. Raises ``LoopActionError`` where it names what is not there."""
        self._actions.check(definition)
        return self.repository.put(definition)

    def governs(self, model_group: str) -> bool:
        """Whether a loop looks after the group: then nobody approves what he has made himself."""
        return any(loop.definition.model_group == model_group for loop in self.repository.all())

    def on_event(self, event: Event) -> None:
        """An event of the bus: whatever loop waits for it opens a cycle. Any thread."""
        for loop in self.repository.all():
            if self._matches(loop.definition.trigger.event_pattern(), event):
                self._open(loop, event, _in_words(event))

    def trigger(self, name: str, reason: str) -> Cycle:
        """Open a cycle by hand; dedupe, cool-down and cap hold for it, too. Raises ``NotFoundError``."""
        event = {"source": "mlparity", "detail-type": "manual", "detail": {"reason": reason}, "resources": []}
        return self._open(self.repository.get(name), event, f"by hand: {reason}")

    def stop(self, name: str, reason: str) -> Cycle:
        """End the cycle that is under way; what it has started (a pipeline, a rollout) is left as it is.

        Raises ``NotFoundError`` where there is no loop, ``ConflictError`` where nothing is under way.
        """
        self.repository.get(name)
        cycle = self.repository.active(name)
        if cycle is None:
            raise ConflictError(f"loop {name} has nothing to stop", "no cycle is under way")
        return self.repository.move(cycle, CycleState.STOPPED, f"by hand: {reason}", {}, None)

    def show(self, name: str) -> tuple[Loop, list[Cycle]]:
        """A loop with its newest cycles, newest first. Raises ``NotFoundError``."""
        return self.repository.get(name), self.repository.history(name, _SHOWN)

    def next_due(self) -> datetime | None:
        """When a cycle is to be looked at."""
        return self.repository.next_due()

    def run_due(self) -> None:
        """Take every cycle that is due as far as it goes."""
        for cycle in self.repository.due(self._clock.now()):
            try:
                self._advance(cycle)
            except LoopActionError as error:
                self._refused(cycle, error)
            except MlparityError as error:
                self._refused(cycle, LoopActionError(error.what, error.why, transient=True))
            except Exception as error:  # noqa: BLE001 - a defect ends this cycle, not the others
                _LOG.exception("loop %s, cycle %d", cycle.loop, cycle.number)
                self.repository.move(cycle, CycleState.FAILED, f"mlparity failed: {error!r}", {}, None)

    def _open(self, loop: Loop, event: Event, trigger: str) -> Cycle:
        with self._opening:
            definition, now = loop.definition, self._clock.now()
            facts = _template_facts(definition, event, now)
            key = filled(definition.retrain.dedupe_key, facts)
            why = suppression.reason(self.repository, loop, key, now)
            state = CycleState.SUPPRESSED if why else CycleState.RETRAINING
            cycle = self.repository.open(
                definition.name,
                state,
                key=key,
                trigger=trigger,
                event=event,
                facts={"template": facts},
                reason=why or f"triggered {trigger}",
            )
        if not why:
            self._wake()
        return cycle

    def _advance(self, cycle: Cycle) -> None:
        definition = self.repository.get(cycle.loop).definition
        steps = {
            CycleState.RETRAINING: self._retrain,
            CycleState.GATING: self._gate,
            CycleState.AWAITING_APPROVAL: self._await_approval,
            CycleState.ROLLING_OUT: self._roll_out,
        }
        steps[cycle.state](definition, cycle)

    def _retrain(self, definition: LoopDefinition, cycle: Cycle) -> None:
        execution = cycle.facts.get("execution", "")
        if not execution:
            champion = self._actions.champion(definition.endpoint)
            known = {
                **cycle.facts["template"],
                "cycle": str(cycle.number),
                "champion.package": champion.package,
                "champion.model_data": champion.model_data,
            }
            parameters = {name: filled(value, known) for name, value in definition.retrain.parameters.items()}
            execution = self._actions.start_training(definition, cycle.token, parameters)
            facts = {"execution": execution, "parameters": parameters, "champion": champion.package}
            reason = f"pipeline {definition.retrain.pipeline} started: {execution}"
            self.repository.move(cycle, CycleState.RETRAINING, reason, facts, self._soon())
            return
        training = self._actions.training(definition, execution)
        if training.outcome is Outcome.RUNNING:
            self._wait(cycle, definition.retrain.timeout_seconds, CycleState.FAILED, "the pipeline did not end in time")
        elif training.outcome is not Outcome.SUCCEEDED:
            self._move(cycle, CycleState.FAILED, f"the retraining failed: {training.reason}")
        elif not training.package:
            self._move(cycle, CycleState.REJECTED, "the pipeline's own gate: it ended without registering a model")
        else:
            reason = f"the pipeline has registered {training.package}"
            self._move(cycle, CycleState.GATING, reason, {"package": training.package})

    def _gate(self, definition: LoopDefinition, cycle: Cycle) -> None:
        package, champion = cycle.facts["package"], self._actions.champion(definition.endpoint)
        theirs = self._actions.report(champion.package) if champion.package else None
        judgement = judge(definition.gate, self._actions.report(package), theirs)
        facts = {"candidate_metric": judgement.candidate, "champion_metric": judgement.champion}
        if not judgement.passed:
            self._actions.decide(package, Verdict.REJECTED, f"gate: {judgement.reason}")
            self._move(cycle, CycleState.REJECTED, f"gate: {judgement.reason}", facts)
            return
        if definition.approval.mode == "automatic":
            self._actions.decide(package, Verdict.APPROVED, f"gate: {judgement.reason}")
        wait = "approved by rule" if definition.approval.mode == "automatic" else "a person is to approve"
        self._move(cycle, CycleState.AWAITING_APPROVAL, f"gate passed: {judgement.reason}; {wait} {package}", facts)

    def _await_approval(self, definition: LoopDefinition, cycle: Cycle) -> None:
        decision = self._actions.decision(cycle.facts["package"])
        words = f"by {decision.actor} at {decision.at}" + (f": {decision.comment}" if decision.comment else "")
        facts = {"actor": decision.actor, "decided_at": decision.at, "comment": decision.comment}
        if decision.verdict is Verdict.REJECTED:
            self._move(cycle, CycleState.DECLINED, f"rejected {words}", facts)
        elif decision.verdict is Verdict.APPROVED and decision.own:
            reason = f"approved {words}, which is the role of the pipeline that made it: that does not count"
            self._move(cycle, CycleState.DECLINED, reason, facts)
        elif decision.verdict is Verdict.APPROVED:
            self._move(cycle, CycleState.ROLLING_OUT, f"approved {words}", facts)
        else:
            self._wait(cycle, definition.approval.timeout_seconds, CycleState.DECLINED, "nobody has approved in time")

    def _roll_out(self, definition: LoopDefinition, cycle: Cycle) -> None:
        rollout = cycle.facts.get("rollout", "")
        if not rollout:
            rollout = self._actions.start_rollout(definition, cycle.token, cycle.facts["package"])
            reason = f"endpoint {definition.endpoint} goes to {rollout}"
            self.repository.move(cycle, CycleState.ROLLING_OUT, reason, {"rollout": rollout}, self._soon())
            return
        found = self._actions.rollout(definition, rollout)
        if found.outcome is Outcome.RUNNING:
            self._wait(cycle, definition.rollout.timeout_seconds, CycleState.FAILED, "the rollout did not end in time")
        elif found.outcome is Outcome.SUCCEEDED:
            self._move(cycle, CycleState.PROMOTED, f"{definition.endpoint} serves {cycle.facts['package']}")
        elif found.outcome is Outcome.UNDONE:
            self._move(cycle, CycleState.ROLLED_BACK, f"the endpoint went back: {found.reason}")
        else:
            self._move(cycle, CycleState.FAILED, f"the rollout failed: {found.reason}")

    def _move(self, cycle: Cycle, state: CycleState, reason: str, facts: Mapping[str, Any] | None = None) -> None:
        self.repository.move(cycle, state, reason, {**(facts or {}), "failures": 0}, None)
        self._wake()

    def _wait(self, cycle: Cycle, limit_seconds: int, otherwise: CycleState, reason: str) -> None:
        """Look again soon, unless the state has lasted for too long."""
        entered = next(item.at for item in cycle.history if item.state is cycle.state)
        if self._clock.now() >= entered + timedelta(seconds=limit_seconds):
            self._move(cycle, otherwise, f"{reason} ({limit_seconds} s)")
        else:
            self.repository.note(cycle, self._soon())

    def _refused(self, cycle: Cycle, error: LoopActionError) -> None:
        failures = cycle.facts.get("failures", 0) + 1
        if error.transient and failures < _MOST_FAILURES:
            self.repository.note(cycle, self._clock.now() + _PATIENCE, {"failures": failures})
        else:
            self._move(cycle, CycleState.FAILED, str(error))

    def _soon(self) -> datetime:
        return self._clock.now() + _LOOK_EVERY


def _template_facts(definition: LoopDefinition, event: Event, now: datetime) -> dict[str, str]:
    """What {placeholders} stand for, as far as the trigger tells."""
    resources = event.get("resources") or [""]
    moment = now.astimezone(UTC)
    return {
        "loop": definition.name,
        "endpoint": definition.endpoint,
        "day": moment.strftime("%Y-%m-%d"),
        "hour": moment.strftime("%Y-%m-%dT%H"),
        "month": moment.strftime("%Y-%m"),
        "trigger": str(event.get("detail", {}).get("alarmName") or event.get("detail-type", "")),
        "resource": str(resources[0]),
    }


def _in_words(event: Event) -> str:
    detail = event.get("detail", {})
    if "alarmName" in detail:
        return f"by alarm {detail['alarmName']}: {detail.get('state', {}).get('reason', '')}"
    return f"by {event.get('source', '')}: {detail.get('reason') or event.get('detail-type', '')}"
