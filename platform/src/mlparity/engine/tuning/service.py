"""The tuning loop: one thread that starts trials and takes in those that ended.

Everything it decides follows from the database, so a restart simply looks again: a trial is written down with its
values and its job's name before the job is made, and what is suggested follows from the seed and the trials.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from mlparity.clock import Clock
from mlparity.engine.job_service import JobService
from mlparity.engine.jobs import Job, Phase
from mlparity.engine.tuning.ending import Ending, decide
from mlparity.engine.tuning.repository import TuningRepository
from mlparity.engine.tuning.tunings import (
    NewTuning,
    Trial,
    TrialJobs,
    TrialState,
    Tuning,
    TuningStatus,
    history,
)
from mlparity.errors import MlparityError, NotFoundError, StateError
from mlparity.ids import IdSource

_LOG = logging.getLogger(__name__)
_STATES = {
    Phase.COMPLETED: TrialState.COMPLETED,
    Phase.FAILED: TrialState.FAILED,
    Phase.STOPPED: TrialState.STOPPED,
}
_PATIENCE = 1.0  # seconds until the database is asked again after it refused
Listener = Callable[[Tuning], None]


class _Signal(NamedTuple):
    """What to look at: a tuning, the tuning of a job, or every unfinished one."""

    tuning_id: str = ""
    job_id: str = ""


_LOOK = _Signal()


class TuningService:
    """Creates, advances, stops and recovers tunings. ``trial_jobs`` makes the jobs, by (api, kind)."""

    def __init__(
        self,
        repository: TuningRepository,
        jobs: JobService,
        trial_jobs: Mapping[tuple[str, str], TrialJobs],
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self.repository = repository
        self._jobs = jobs
        self._trial_jobs = dict(trial_jobs)
        self._clock = clock
        self._ids = ids
        self._listeners: list[Listener] = []
        self._queue: queue.Queue[_Signal | None] = queue.Queue()
        self._thread = threading.Thread(target=self._loop, name="tunings", daemon=True)

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` whenever a tuning began, begins to end, or has ended; what it writes is one with that."""
        self._listeners.append(listener)

    def submit(self, new: NewTuning) -> Tuning:
        """Store a tuning and begin it. Raises ``ConflictError`` where the name is taken."""
        with self.repository.transaction():
            tuning = self.repository.create(new)
            self._tell(tuning)
            self._wake(tuning.id)
        return tuning

    def stop(self, tuning_id: str) -> Tuning:
        """Ask a tuning to stop: its jobs are stopped, then it is STOPPED."""
        tuning = self._end(self.repository.get(tuning_id), Ending(TuningStatus.STOPPED))
        self._wake(tuning_id)
        return tuning

    def on_job(self, job: Job) -> None:
        """To be told of every job's phases (``JobService.listen``)."""
        if job.phase.is_final:
            # Looked up in the loop's thread: by then a trial that was just started knows its job.
            self._signal(_Signal(job_id=job.id))

    def start(self) -> None:
        """Take up every unfinished tuning and go on."""
        self._signal(_LOOK)
        self._thread.start()

    def close(self) -> None:
        """Stop deciding. What is under way stays as recorded."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _wake(self, tuning_id: str) -> None:
        self._signal(_Signal(tuning_id))

    def _signal(self, signal: _Signal) -> None:
        """Have the thread look, once what it is to see is committed."""
        self.repository.after_commit(lambda: self._queue.put(signal))

    def _loop(self) -> None:
        wait: float | None = None
        while True:
            try:
                signal = self._queue.get(timeout=wait)
            except queue.Empty:
                signal = _LOOK
            if signal is None:
                return
            try:
                meant = self._meant(signal)
                for tuning_id in meant:
                    self._advance_safely(tuning_id)
                if meant or wait is not None:  # else it was a job that is no trial, and no time limit is known
                    wait = self._seconds_to_deadline()
            except StateError as error:  # nothing is decided while nothing can be written down
                _LOG.warning("tunings wait: %s", error)
                wait = _PATIENCE

    def _meant(self, signal: _Signal) -> list[str]:
        if signal.tuning_id:
            return [signal.tuning_id]
        if signal.job_id:
            found = self.repository.tuning_of(signal.job_id)
            return [] if found is None else [found]
        return [tuning.id for tuning in self.repository.active()]

    def _seconds_to_deadline(self) -> float | None:
        """Until the first of the time limits; None where no tuning has one."""
        now = self._clock.now()
        limits = [
            tuning.created_at + timedelta(seconds=tuning.plan.max_seconds)
            for tuning in self.repository.active()
            if tuning.plan.max_seconds is not None and tuning.status is TuningStatus.SEARCHING
        ]
        return max(0.0, (min(limits) - now).total_seconds()) if limits else None

    def _advance_safely(self, tuning_id: str) -> None:
        try:
            self._advance(tuning_id)
        except NotFoundError:
            return  # deleted meanwhile
        except StateError:
            raise
        except Exception as error:  # noqa: BLE001 - one tuning must not stop the others
            _LOG.exception("tuning %s", tuning_id)
            self._end(self.repository.get(tuning_id), Ending(TuningStatus.FAILED, f"InternalServerError: {error}"))

    def _advance(self, tuning_id: str) -> None:
        tuning = self.repository.get(tuning_id)
        if tuning.status.is_final:
            return
        self._collect(tuning)
        while tuning.status is TuningStatus.SEARCHING:
            trials = self.repository.trials(tuning_id)
            ending = decide(tuning, trials, self._clock.now())
            if ending is not None:
                tuning = self._end(tuning, ending)
            elif not self._start_next(tuning, trials):
                return
        self._wind_up(tuning)

    def _collect(self, tuning: Tuning) -> None:
        """Take in the jobs that have ended; make the jobs of trials that were starting when the process died."""
        for trial in self.repository.trials(tuning.id):
            if trial.state is TrialState.PROPOSED:
                self._launch(tuning, trial)
            elif trial.state is TrialState.RUNNING:
                self._take_in(tuning, trial)

    def _take_in(self, tuning: Tuning, trial: Trial) -> None:
        try:
            job = self._jobs.repository.get(trial.job_id or "")
        except NotFoundError:  # somebody deleted it
            self.repository.update_trial(trial, TrialState.FAILED)
            return
        if job.phase.is_final:
            measured = job.results.get("metrics", {}).get(tuning.plan.metric)
            objective = measured if measured is not None and math.isfinite(measured) else None
            self.repository.update_trial(trial, _STATES[job.phase], objective=objective)

    def _start_next(self, tuning: Tuning, trials: Sequence[Trial]) -> bool:
        """Begin one more trial; whether there was room for one."""
        plan = tuning.plan
        running = sum(not trial.state.is_final for trial in trials)
        if running >= plan.max_parallel or len(trials) >= plan.max_trials:
            return False
        values = plan.method.strategy(plan.seed).suggest(plan.space, history(plan, trials), len(trials))
        if values is None:
            return False
        number = len(trials) + 1
        name = f"{tuning.name}-{number:03d}-{self._ids.uuid()[:8]}"
        self._launch(tuning, self.repository.propose(tuning.id, number, name, values))
        return True

    def _launch(self, tuning: Tuning, trial: Trial) -> None:
        try:
            job = self._trial_jobs[tuning.api, tuning.kind].submit(tuning, trial)
        except StateError:
            raise  # it says nothing about the trial
        except MlparityError as error:
            _LOG.warning("trial %s was refused: %s", trial.name, error)
            self.repository.update_trial(trial, TrialState.FAILED)
            self._end(tuning, Ending(TuningStatus.FAILED, f"ClientError: {'. '.join(error.lines())}"))
            return
        self.repository.update_trial(trial, TrialState.RUNNING, job_id=job.id)
        if job.phase.is_final:  # it had ended before a crash
            self._wake(tuning.id)

    def _end(self, tuning: Tuning, ending: Ending) -> Tuning:
        with self.repository.transaction():
            ended = self.repository.begin_end(tuning.id, ending.status, ending.reason)
            if tuning.status is TuningStatus.SEARCHING:
                self._tell(ended)
        return ended

    def _wind_up(self, tuning: Tuning) -> None:
        """Stop what runs; once nothing does, the tuning has ended."""
        active = [trial for trial in self.repository.trials(tuning.id) if not trial.state.is_final]
        for trial in active:
            if trial.job_id is not None and self._jobs.repository.get(trial.job_id).stop_requested_at is None:
                self._jobs.stop(trial.job_id)
        if not active:
            with self.repository.transaction():
                self._tell(self.repository.end(tuning.id))

    def _tell(self, tuning: Tuning) -> None:
        for listener in self._listeners:
            listener(tuning)
