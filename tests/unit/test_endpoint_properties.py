"""Endpoints under any order of events, with a crash at any step: what always holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from endpoint_bench import API, KEY, NAME, Bench, revision

from mlparity.errors import ConflictError
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase, RolloutPhase
from mlparity.serving.endpoints.plans import Capacity, Revision, RolloutPolicy, Strategy
from mlparity.serving.endpoints.record import SERVING, EndpointRecord
from mlparity.serving.routing.table import EndpointTable

_CLOSE = 1e-6
_RESHAPED = "reshaped-"
_EPISODES, _LENGTH = 40, 40


class Crash(BaseException):
    """SIGKILL: nothing catches it."""


class Episode:
    """A bench whose process may die before or after anything that it does, and the rules that are checked meanwhile."""

    def __init__(self) -> None:
        self.bench = Bench(automatic=False)
        self.fuse = -1  # that many deeds are left; negative: for ever
        self.made = 0
        self.written: dict[int, EndpointRecord] = {}  # by version; the newest may have been undone
        self.outcomes: Counter[str] = Counter()
        self._arm()
        self.do(lambda: self.bench.create(self.fresh(2)))

    def fresh(self, instances: int) -> Revision:
        """A revision that was never there before."""
        self.made += 1
        return revision(f"r{self.made}", a=(3, instances), b=(1, 1))

    def reshaped(self, weight: int, *, more: bool, without_b: bool) -> Revision:
        """What serves, with another weight, perhaps with one variant more, perhaps without one."""
        self.made += 1
        variants = {"a": (weight, 1)}
        if not without_b:
            variants["b"] = (1, 1)
        if more:
            variants[f"c{self.made}"] = (2, 2)
        return replace(revision(f"r{self.made}", **variants), name=f"{_RESHAPED}{self.made}")

    def do(self, action: Callable[[], object]) -> None:
        """Something happens; if the process dies of it, it starts again."""
        try:
            with suppress(ConflictError):  # the endpoint is busy: refused, as it should be
                action()
            self.bench.settle()
        except Crash:
            self.crash()

    def crash(self) -> None:
        """The weights after it are those of the last write that was committed."""
        self.fuse = -1
        written = self.written.get(self.bench.service.repository.get(API, NAME).version)
        self.bench.router.log.clear()
        self.bench.crash()
        self._arm()
        self.bench.settle()
        if written is not None and written.phase in SERVING:
            assert _weights_of(self.bench.router.log[0]) == _weights_written(written)

    def finish(self) -> Endpoint:
        """Everything gets well and takes its time."""
        self.fuse = -1
        self.bench.in_alarm.clear()
        self.bench.fleet.failing.clear()
        self.bench.fleet.automatic = True
        self.bench.fleet.ready_all()
        self.bench.settle()
        for _ in range(400):
            due = self.bench.service.next_due()
            if due is None:
                break
            self.bench.clock.advance(max(0.0, (due - self.bench.clock.now()).total_seconds()))
            self.bench.tick()
        return self.bench.service.get(API, NAME)

    def _arm(self) -> None:
        bench = self.bench
        for owner, names in (
            (bench.fleet, ("start", "scale", "stop")),
            (bench.router, ("publish",)),
            (bench.service.repository, ("save",)),
        ):
            for name in names:
                setattr(owner, name, self._guarded(getattr(type(owner), name).__get__(owner), name))
        bench.service.listen(self._told)

    def _guarded(self, deed: Callable[..., Any], name: str) -> Callable[..., Any]:
        def guarded(*values: Any) -> Any:
            self._burn()
            if name == "publish":
                self._check_table(values[0])
            if name == "stop":
                assert values[0] not in _weights_of(self.bench.router.tables[KEY]), "it still has traffic"
            result = deed(*values)
            if name == "save":
                self.written[result.version] = result
            self._burn()
            return result

        return guarded

    def _burn(self) -> None:
        if self.fuse == 0:
            self.fuse = -1
            raise Crash
        self.fuse -= 1 if self.fuse > 0 else 0

    def _check_table(self, table: EndpointTable) -> None:
        if not table.in_service:
            return
        assert abs(sum(_weights_of(table).values()) - 1) < _CLOSE
        deployments = self.bench.fleet.deployments
        named = [deployments[name] for name in _weights_of(table) if name in deployments]
        alive = {socket for one in named for socket in one.sockets}
        assert alive == {socket for one in table.deployments for socket in one.sockets}, "not the workers that answer"
        self._check_shift(self.bench.router.tables.get(KEY), table)

    def _check_shift(self, before: EndpointTable | None, after: EndpointTable) -> None:
        """Traffic only ever goes over, or back, to deployments that answer."""
        record = self.bench.service.repository.get(API, NAME)
        if before is None or not before.in_service or record.rollout is None or record.reshaping is not None:
            return
        green = {member.deployment for member in record.rollout.green.members}
        shares = [sum(_weights_of(table).get(name, 0.0) for name in green) for table in (before, after)]
        if abs(shares[1] - shares[0]) > _CLOSE:
            gaining = [one for one in after.deployments if (one.deployment in green) == (shares[1] > shares[0])]
            assert all(one.sockets for one in gaining), "traffic to what does not answer"

    def _told(self, now: Endpoint, was: Endpoint | None) -> None:
        if now.rollout is None or not now.rollout.phase.is_final:
            return
        if was is not None and was.rollout is not None and not was.rollout.phase.is_final:
            self.outcomes[now.rollout.id] += 1
        if now.revision.name.startswith(_RESHAPED):
            return
        if now.phase is EndpointPhase.IN_SERVICE and now.rollout.phase is not RolloutPhase.ROLLBACK_FAILED:
            went = now.rollout.phase is RolloutPhase.SUCCEEDED
            assert now.revision == (now.rollout.to_revision if went else now.rollout.from_revision)


def _weights_of(table: EndpointTable) -> dict[str, float]:
    return {one.deployment: round(one.weight, 6) for one in table.deployments}


def _weights_written(record: EndpointRecord) -> dict[str, float]:
    return {
        member.deployment: round(share * member.weight / (sum(one.weight for one in side.members) or 1), 6)
        for side, share in record.traffic()
        for member in side.members
    }


def _policy(random: Random) -> RolloutPolicy:
    return RolloutPolicy(
        random.choice(list(Strategy)),
        Capacity(random.choice([10, 34, 50])),
        wait_seconds=random.choice([0, 20, 20]),
        termination_wait_seconds=random.choice([0, 15]),
        timeout_seconds=random.choice([0, 0, 600]),
        rollback_step=Capacity(random.choice([34, 100])),
        alarms=random.choice([(), ("errors",)]),
    )


_EVENTS: dict[str, tuple[int, Callable[[Random], Any]]] = {  # how often, and with what
    "update": (4, _policy),
    "ready": (6, lambda random: random.randrange(8)),
    "automatic": (3, lambda random: random.random() < 0.7),
    "lose": (2, lambda random: random.randrange(8)),
    "alarm": (2, lambda random: random.random() < 0.5),
    "bad_model": (1, lambda _random: None),
    "scale": (1, lambda random: random.randint(1, 4)),
    "reshape": (3, lambda random: (random.randint(1, 9), random.random() < 0.5, random.random() < 0.5)),
    "time": (8, lambda random: random.choice([1, 5, 10, 20, 31, 650])),
    "crash": (1, lambda _random: None),
    "fuse": (2, lambda random: random.randrange(14)),
}


def _play(episode: Episode, event: str, value: Any) -> None:  # noqa: C901 - a list, not logic
    bench = episode.bench
    fleet = bench.fleet
    known = list(fleet.deployments)
    match event:
        case "update":
            episode.do(lambda: bench.service.update(API, NAME, episode.fresh(3), value, {}))
        case "ready" if known:
            episode.do(lambda: fleet.ready(known[value % len(known)]))
        case "automatic":
            fleet.automatic = value
            episode.do(fleet.ready_all if value else lambda: None)
        case "lose" if known:
            episode.do(lambda: fleet.lose(known[value % len(known)]))
        case "alarm":
            bench.in_alarm = {"errors"} if value else set()
        case "bad_model":
            fleet.failing[f"s3://models/r{episode.made + 1}"] = "no such model"
        case "scale":
            episode.do(lambda: bench.service.set_weights_and_capacities(API, NAME, {"a": (float(value), value)}))
        case "reshape":
            weight, more, without_b = value
            wanted = episode.reshaped(weight, more=more, without_b=without_b)
            episode.do(lambda: bench.service.reshape(API, NAME, wanted, {}))
        case "time":
            bench.clock.advance(value)
            episode.do(bench.tick)
        case "crash":
            episode.crash()
        case "fuse":
            episode.fuse = value


@pytest.mark.parametrize("part", range(4))
def test_whatever_happens(part: int) -> None:
    for seed in range(part, _EPISODES, 4):
        try:
            _whatever_happens(Random(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def _whatever_happens(random: Random) -> None:
    episode = Episode()
    try:
        episode.bench.fleet.ready_all()
        episode.do(lambda: None)
        weights = [weight for weight, _ in _EVENTS.values()]
        for event in random.choices(list(_EVENTS), weights, k=_LENGTH):
            _play(episode, event, _EVENTS[event][1](random))
        _check_end(episode, episode.finish())
    finally:
        episode.bench.close()


def _check_end(episode: Episode, end: Endpoint) -> None:
    bench = episode.bench
    assert end.phase in {EndpointPhase.IN_SERVICE, EndpointPhase.ROLLBACK_FAILED}
    assert abs(sum(bench.shares()) - 1) < _CLOSE
    assert all(one.current_instances == one.desired_instances for one in end.variants)
    assert bench.running() == sum(one.desired_instances for one in end.variants), "something is left running"
    history = bench.service.rollouts(API, NAME)
    assert all(one.phase.is_final for one in history)
    assert all([event.stage.value for event in one.history].count("ended") == 1 for one in history)
    assert set(episode.outcomes.values()) <= {1}
    bench.service.delete(API, NAME)
    bench.service.settle()
    assert bench.running() == 0
    assert bench.router.tables == {}
    assert bench.service.repository.all() == []
