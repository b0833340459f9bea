"""The tuning loop over a real database; jobs are a table in memory that the tests end as they like."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlparity.engine.jobs import Instance, Job, JobSpec, LogStream, Phase
from mlparity.engine.tuning.repository import TuningFilter, TuningRepository
from mlparity.engine.tuning.service import TuningService
from mlparity.engine.tuning.space import Choice, Range, Space
from mlparity.engine.tuning.tunings import Method, NewTuning, Trial, TrialState, Tuning, TuningPlan, TuningStatus, best
from mlparity.errors import ConflictError, InvalidRequestError, NotFoundError
from mlparity.ids import SeededIds
from mlparity.state import Database
from mlparity.state.paging import PageRequest
from mlparity.testing import TestClock

SPEC = JobSpec("image", [], {}, [Instance("algo-1", LogStream("/g", "s"))], ["/opt/ml"])
PLAN = TuningPlan(Space((Range("x", 0.0, 1.0),)), Method.RANDOM, 1, "loss", False, 4, 2)


class Jobs:
    """What the loop sees of the job service, and a way to make trials' jobs."""

    def __init__(self, clock: TestClock) -> None:
        self.clock = clock
        self.jobs: dict[str, Job] = {}
        self.repository = self
        self.listener: Callable[[Job], None] = lambda _job: None
        self.changed = threading.Condition()
        self.refuses = False

    def get(self, job_id: str) -> Job:
        if job_id not in self.jobs:
            raise NotFoundError(job_id)
        return self.jobs[job_id]

    def submit(self, tuning: Tuning, trial: Trial) -> Job:
        if self.refuses:
            raise InvalidRequestError("no such role")
        with self.changed:
            if trial.name not in self.jobs:
                now = self.clock.now()
                self.jobs[trial.name] = Job(
                    trial.name, "t", "job", trial.name, trial.parameters, SPEC, Phase.RUNNING, [], "", None, {}, None,
                    now, now, None, now, None, None,
                )  # fmt: skip
            self.changed.notify_all()
        return self.jobs[trial.name]

    def stop(self, job_id: str) -> None:
        self.end(job_id, Phase.STOPPED)

    def end(self, job_id: str, phase: Phase = Phase.COMPLETED, **metrics: float) -> None:
        with self.changed:
            job = replace(self.jobs[job_id], phase=phase, results={"metrics": metrics}, ended_at=self.clock.now())
            self.jobs[job_id] = job
        self.listener(job)

    def running(self) -> list[Job]:
        return [job for job in self.jobs.values() if not job.phase.is_final]

    def wait(self, reached: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(reached, timeout=20)


class World:
    """A loop over a database; ``restart`` is a new control plane."""

    def __init__(self, path: Path) -> None:
        self.clock, self.ids = TestClock(), SeededIds(3)
        self.database = Database.open(path)
        self.repository = TuningRepository(self.database, self.clock, self.ids)
        self.jobs = Jobs(self.clock)
        self.told: list[tuple[str, TuningStatus]] = []
        self.begin()

    def begin(self) -> None:
        service: Any = TuningService(
            self.repository,
            self.jobs,  # type: ignore[arg-type]
            {("t", "tuning"): self.jobs},
            self.clock,
            self.ids,
        )
        self.service: TuningService = service
        self.jobs.listener = service.on_job
        service.listen(self._tell)
        service.start()

    def _tell(self, tuning: Tuning) -> None:
        self.told.append((tuning.name, tuning.status))
        self.repository.after_commit(self._notify)

    def _notify(self) -> None:
        with self.jobs.changed:
            self.jobs.changed.notify_all()

    def restart(self) -> None:
        self.service.close()
        self.begin()

    def close(self) -> None:
        self.service.close()
        self.database.close()

    def submit(self, name: str = "t1", **changes: Any) -> Tuning:
        return self.service.submit(NewTuning("t", "tuning", name, {"asked": "for"}, replace(PLAN, **changes)))

    def trials(self, tuning: Tuning) -> list[Trial]:
        return self.repository.trials(tuning.id)

    def ended(self, tuning: Tuning) -> Tuning:
        self.jobs.wait(lambda: self.repository.get(tuning.id).status.is_final)
        return self.repository.get(tuning.id)

    def started(self, number: int) -> None:
        self.jobs.wait(lambda: len(self.jobs.jobs) >= number)

    def finish(self, tuning: Tuning, measure: Callable[[Mapping[str, Any]], Mapping[str, float]]) -> Tuning:
        """End every job as soon as it runs, until the tuning has ended."""
        while not self.repository.get(tuning.id).status.is_final:
            self.jobs.wait(
                lambda: bool(self.jobs.running()) or self.repository.get(tuning.id).status.is_final,
            )
            for job in self.jobs.running():
                self.jobs.end(job.id, **measure(job.request))
        return self.repository.get(tuning.id)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "state.db")
    yield made
    made.close()


def loss(values: Mapping[str, Any]) -> dict[str, float]:
    return {"loss": (values["x"] - 0.5) ** 2}


def test_it_keeps_to_its_limits_and_finds_the_best(world: World) -> None:
    tuning = world.submit()
    world.started(2)
    assert len(world.jobs.running()) == 2
    ended = world.finish(tuning, loss)
    trials = world.trials(tuning)
    assert ended.status is TuningStatus.COMPLETED
    assert [trial.name[:7] for trial in trials] == ["t1-001-", "t1-002-", "t1-003-", "t1-004-"]
    assert all(trial.state is TrialState.COMPLETED for trial in trials)
    champion = best(ended.plan, trials)
    assert champion is not None
    assert champion.objective == min(loss(trial.parameters)["loss"] for trial in trials)
    assert [status for _, status in world.told] == [
        TuningStatus.SEARCHING,
        TuningStatus.ENDING,
        TuningStatus.COMPLETED,
    ]


def test_maximizing_takes_the_greatest(world: World) -> None:
    tuning = world.submit(maximize=True)
    ended = world.finish(tuning, loss)
    champion = best(ended.plan, world.trials(tuning))
    assert champion is not None
    assert champion.objective == max(loss(trial.parameters)["loss"] for trial in world.trials(tuning))


@pytest.mark.parametrize("method", [Method.RANDOM, Method.BAYESIAN])
def test_a_restart_changes_nothing_that_is_tried(tmp_path: Path, method: Method) -> None:
    tried = []
    for name, restarts in (("a", False), ("b", True)):
        world = World(tmp_path / f"{name}.db")
        tuning = world.submit(method=method, max_trials=6, max_parallel=1)
        for number in range(1, 7):
            world.started(number)
            if restarts:
                world.restart()
            (job,) = world.jobs.running()
            world.jobs.end(job.id, **loss(job.request))
        assert world.ended(tuning).status is TuningStatus.COMPLETED
        tried.append([trial.parameters for trial in world.trials(tuning)])
        world.close()
    assert tried[0] == tried[1]


def test_what_ended_while_nobody_looked_is_taken_in(world: World) -> None:
    tuning = world.submit(max_trials=2)
    world.started(2)
    world.service.close()
    for job in world.jobs.running():
        world.jobs.end(job.id, loss=1.0)  # the closed loop hears nothing of it
    world.begin()
    assert world.ended(tuning).status is TuningStatus.COMPLETED


def test_a_trial_written_down_without_its_job_gets_it(world: World) -> None:
    tuning = world.submit(max_trials=1)
    world.started(1)
    world.service.close()
    (trial,) = world.trials(tuning)
    world.jobs.jobs.clear()
    world.repository.update_trial(trial, TrialState.PROPOSED, job_id=None)
    world.begin()
    world.started(1)
    assert [job.id for job in world.jobs.running()] == [trial.name]
    world.jobs.end(trial.name, loss=0.0)
    assert world.ended(tuning).status is TuningStatus.COMPLETED


def test_stopping_stops_the_jobs_first(world: World) -> None:
    tuning = world.submit()
    world.started(2)
    world.service.stop(tuning.id)
    assert world.ended(tuning).status is TuningStatus.STOPPED
    assert [trial.state for trial in world.trials(tuning)] == [TrialState.STOPPED] * 2


def test_the_target_ends_it_and_stops_the_rest(world: World) -> None:
    tuning = world.submit(target=0.3, max_trials=50)
    world.started(2)
    world.jobs.end(world.jobs.running()[0].id, loss=0.29)
    assert world.ended(tuning).status is TuningStatus.COMPLETED
    states = [trial.state for trial in world.trials(tuning)]
    assert states == [TrialState.COMPLETED, TrialState.STOPPED]


def test_no_improvement_ends_it(world: World) -> None:
    tuning = world.submit(patience=3, max_trials=50, max_parallel=1)
    losses = iter([5.0, 4.0, 4.0, 6.0, 5.0])
    ended = world.finish(tuning, lambda _values: {"loss": next(losses)})
    assert ended.status is TuningStatus.COMPLETED
    assert len(world.trials(tuning)) == 5


def test_the_time_limit_stops_it(world: World) -> None:
    tuning = world.submit(max_seconds=120)
    world.started(2)
    world.clock.advance(121)
    world.jobs.end(world.jobs.running()[0].id, loss=1.0)
    assert world.ended(tuning).status is TuningStatus.STOPPED


@pytest.mark.parametrize(
    ("trials", "phase", "reason"),
    [
        (2, Phase.FAILED, "All training jobs failed."),
        (9, Phase.FAILED, "No training job succeeded after 5 attempts."),
        (2, Phase.COMPLETED, "No objective metrics found after running 2 training jobs."),
        (9, Phase.COMPLETED, "No objective metrics found after running 5 training jobs."),
    ],
)
def test_a_search_that_learns_nothing_fails(world: World, trials: int, phase: Phase, reason: str) -> None:
    tuning = world.submit(max_trials=trials, max_parallel=1)
    for number in range(1, min(trials, 5) + 1):
        world.started(number)
        (job,) = world.jobs.running()
        world.jobs.end(job.id, phase, **({"other": 1.0} if phase is Phase.COMPLETED else {}))
    ended = world.ended(tuning)
    assert ended.status is TuningStatus.FAILED
    assert ended.failure_reason.startswith(reason)


def test_one_failure_does_not_end_it(world: World) -> None:
    tuning = world.submit(max_trials=3, max_parallel=1)
    world.started(1)
    world.jobs.end(world.jobs.running()[0].id, Phase.FAILED)
    world.started(2)
    ended = world.finish(tuning, loss)
    assert ended.status is TuningStatus.COMPLETED
    assert [trial.state for trial in world.trials(tuning)] == [TrialState.FAILED, *[TrialState.COMPLETED] * 2]


def test_a_job_that_is_refused_fails_it_with_the_reason(world: World) -> None:
    world.jobs.refuses = True
    tuning = world.submit()
    ended = world.ended(tuning)
    assert ended.status is TuningStatus.FAILED
    assert "no such role" in ended.failure_reason


def test_a_grid_ends_with_its_last_combination(world: World) -> None:
    space = Space((Choice("a", ("1", "2", "3")),))
    tuning = world.submit(space=space, method=Method.GRID, max_trials=100)
    ended = world.finish(tuning, lambda values: {"loss": float(values["a"])})
    assert ended.status is TuningStatus.COMPLETED
    assert [trial.parameters["a"] for trial in world.trials(tuning)] == ["1", "2", "3"]


def test_names_are_unique_and_listed(world: World) -> None:
    tuning = world.submit()
    with pytest.raises(ConflictError):
        world.submit()
    wanted = TuningFilter("t", "tuning", statuses=[(TuningStatus.SEARCHING, None)])
    page = world.repository.list(wanted, PageRequest("name", False, 10))
    assert [item.id for item in page.items] == [tuning.id]
    assert page.items[0].plan == PLAN
    world.finish(tuning, loss)
    assert not world.repository.list(wanted, PageRequest("name", False, 10)).items
    world.repository.delete(tuning.id)
    with pytest.raises(NotFoundError):
        world.repository.get(tuning.id)
