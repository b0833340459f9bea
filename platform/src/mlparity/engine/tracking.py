"""An experiment-tracking run for a job: begun before its program starts, ended truthfully with it.

Speaks MLflow's REST API 2.0 directly, so that the control plane never imports mlflow (4 s, 200 MB). The server may be
down, or still starting, at any moment: a job waits for it a while before it starts without a run, and what an ended
job could not tell the server is told later, also by the next process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from mlparity.clock import Clock
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import Job, Phase, TrackingRequest
from mlparity.errors import MlparityError

_LOG = logging.getLogger(__name__)
JOB_TAG = "mlparity.job_id"  # by which a run is found again that a crash kept out of its job's record
_TIMEOUT_SECONDS = 20.0
_END_SECONDS = 5.0  # for a job that ends; later is early enough
_LOOK_SECONDS = 2.0  # one question whether the server answers, while a job waits
_PATIENCE_SECONDS = 60.0  # between two attempts to tell what could not be told
_STATUS = {Phase.COMPLETED: "FINISHED", Phase.FAILED: "FAILED", Phase.STOPPED: "KILLED"}


@dataclass(frozen=True)
class TrackingRun:
    """The run that a job was given; empty where it has none."""

    uri: str = ""
    run_id: str = ""
    experiment_id: str = ""
    experiment: str = ""

    def environment(self) -> dict[str, str]:
        """What MLflow's client reads in the job."""
        if not self.run_id:
            return {}
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_RUN_ID": self.run_id,
            "MLFLOW_EXPERIMENT_NAME": self.experiment,
        }

    def results(self) -> dict[str, Any]:
        """What the job's record keeps."""
        if not self.run_id:
            return {}
        return {"tracking": {"run_id": self.run_id, "experiment_id": self.experiment_id, "ended": False}}


class Tracking:
    """Begins and ends runs on the tracking server at ``url``; "" means there is none in this stack.

    ``wait_seconds``: how long a job waits for a server that does not answer, before it starts without a run.
    """

    def __init__(self, url: str, repository: JobRepository, clock: Clock, wait_seconds: float = 60.0) -> None:
        self._url = url
        self._repository = repository
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False) if url else None
        self._answers = False  # the server answered when it was asked last
        self._unlogged: set[str] = set()  # jobs whose metrics the server did not take
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._reconcile, name="tracking", daemon=True)

    def start(self) -> None:
        """Tell the server, as soon as it answers, what earlier processes could not, and from now on what it missed."""
        if self._client is not None:
            self._wake.set()
            self._thread.start()

    def begin(self, job: Job, abandoned: Callable[[], bool] = lambda: False) -> TrackingRun:
        """Create the job's run, or find the one that an earlier attempt created.

        A server that does not answer in time costs the job its run, not its life. ``abandoned`` says that nobody
        waits any more.
        """
        wanted = job.spec.tracking
        if wanted is None or self._client is None:
            return TrackingRun()
        earlier = job.results.get("tracking")
        if earlier and earlier["run_id"]:  # an attempt that was interrupted
            return TrackingRun(self._url, earlier["run_id"], earlier["experiment_id"], wanted.experiment)
        in_doubt = sum(entry.phase is Phase.DOWNLOADING for entry in job.history) > 1
        deadline = time.monotonic() + self._wait_seconds
        while self._await_server(deadline, abandoned):
            try:
                return self._begun(job, wanted, in_doubt=in_doubt)
            except httpx.HTTPStatusError as error:
                _LOG.warning("job %s gets no tracking run: %s", job.name, error)
                return TrackingRun()
            except httpx.HTTPError as error:  # it died just now, and may have made the run or not
                _LOG.info("job %s waits for its tracking run: %s", job.name, error)
                in_doubt = True
        _LOG.warning("job %s gets no tracking run: %s does not answer", job.name, self._url)
        return TrackingRun()

    def log_metrics(self, job: Job) -> None:
        """Add the metrics read from the log to the run."""
        try:
            self._log_metrics(job, job.results.get("tracking", {}).get("run_id", ""))
        except httpx.HTTPError as error:
            _LOG.warning("metrics of job %s are not in its run yet: %s", job.name, error)
            self._unlogged.add(job.id)

    def end(self, job: Job, phase: Phase) -> dict[str, Any]:
        """End the run of a job that is about to enter its final ``phase``; what its record is to keep of that.

        Where the server does not answer, the record says so; after that is written, ``remind``.
        """
        if self._client is None:
            return {}
        run = job.results.get("tracking")
        if not run:
            if job.spec.tracking is None or job.phase is not Phase.DOWNLOADING:
                return {}
            run = {"run_id": "", "experiment_id": ""}  # a crash may have come between the run and its record
        ended = False
        if run["run_id"] and self._answers and job.id not in self._unlogged:
            try:
                ended = self._end(run["run_id"], phase, self._now(), _END_SECONDS)
            except httpx.HTTPError as error:
                _LOG.warning("the run of job %s is not ended yet: %s", job.name, error)
        unlogged = {"unlogged": True} if job.id in self._unlogged else {}
        self._unlogged.discard(job.id)
        return {"tracking": {**run, "ended": ended, **unlogged}}

    def remind(self, job: Job) -> None:
        """The job's end is recorded: tell the server of it where ``end`` could not."""
        if not job.results.get("tracking", {}).get("ended", True):
            self._wake.set()

    def reconcile(self) -> bool:
        """Tell the server of every job that has ended and of which it does not know; whether that is all done."""
        for job in self._repository.untracked():
            if self._closing.is_set():
                return False
            try:
                self._tell(job)
            except (httpx.HTTPError, MlparityError) as error:
                _LOG.warning("the run of job %s is not ended yet: %s", job.name, error)
                return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_LOOK_SECONDS)
        if self._client is not None:
            self._client.close()

    def _reconcile(self) -> None:
        patience: float | None = None
        while not self._closing.is_set():
            self._wake.wait(patience)
            self._wake.clear()
            patience = None
            if self._closing.is_set():
                return
            try:
                if self._repository.untracked() and not (self._answering(_TIMEOUT_SECONDS) and self.reconcile()):
                    patience = _PATIENCE_SECONDS if self._answers else 0.0  # ``_answering`` has waited already
            except Exception:  # noqa: BLE001 - the thread outlives whatever it meets
                _LOG.exception("tracking")
                patience = _PATIENCE_SECONDS

    def _tell(self, job: Job) -> None:
        run = job.results["tracking"]
        found = [run["run_id"]] if run["run_id"] else self._runs_of(job)
        ended_at = job.ended_at or self._clock.now()
        for run_id in found:
            if run.get("unlogged"):
                self._log_metrics(job, run_id)
            self._end(run_id, job.phase, int(ended_at.timestamp() * 1000), _TIMEOUT_SECONDS)
        self._repository.merge_results(job.id, {"tracking": {**run, "ended": True, "unlogged": False}})

    def _await_server(self, deadline: float, abandoned: Callable[[], bool]) -> bool:
        """Until the server answers; False where it does not in time. While it starts, one waits on its socket."""
        while not abandoned() and not self._closing.is_set():
            if self._answering(_LOOK_SECONDS):
                return True
            if time.monotonic() >= deadline or self._closing.wait(0.2):
                return False
        return False

    def _answering(self, seconds: float) -> bool:
        try:
            self._answers = self._http().get("/health", timeout=seconds).is_success
        except httpx.HTTPError:
            self._answers = False
        return self._answers

    def _begun(self, job: Job, wanted: TrackingRequest, *, in_doubt: bool) -> TrackingRun:
        experiment_id = self._experiment(wanted.experiment)
        found = self._runs_of(job) if in_doubt else []
        if found:
            return TrackingRun(self._url, found[0], experiment_id, wanted.experiment)
        answer = self._post(
            "runs/create",
            {
                "experiment_id": experiment_id,
                "run_name": wanted.run_name,
                "start_time": self._now(),
                "tags": [{"key": key, "value": value} for key, value in {**wanted.tags, JOB_TAG: job.id}.items()],
            },
        )
        return TrackingRun(self._url, answer["run"]["info"]["run_id"], experiment_id, wanted.experiment)

    def _runs_of(self, job: Job) -> list[str]:
        """The runs made for the job, whether its record knows them or not."""
        if job.spec.tracking is None:
            return []
        experiment_id = self._known_experiment(job.spec.tracking.experiment)
        if experiment_id is None:
            return []
        wanted = {"experiment_ids": [experiment_id], "filter": f"tags.`{JOB_TAG}` = '{job.id}'", "max_results": 10}
        return [run["info"]["run_id"] for run in self._post("runs/search", wanted).get("runs", ())]

    def _log_metrics(self, job: Job, run_id: str) -> None:
        metrics: Mapping[str, float] = job.results.get("metrics", {})
        if not run_id or not metrics or self._client is None:
            return
        now = self._now()
        # MLflow allows no colon-less names only; SageMaker's "validation:rmse" is fine as it is.
        batch = [{"key": name, "value": value, "timestamp": now, "step": 0} for name, value in metrics.items()]
        self._post("runs/log-batch", {"run_id": run_id, "metrics": batch})

    def _end(self, run_id: str, phase: Phase, at: int, seconds: float) -> bool:
        """True where the run is ended, or somebody has deleted it."""
        try:
            self._post("runs/update", {"run_id": run_id, "status": _STATUS[phase], "end_time": at}, seconds)
        except httpx.HTTPStatusError as error:
            if not error.response.is_client_error:
                raise
            _LOG.warning("the run %s cannot be ended: %s", run_id, error)
        return True

    def _experiment(self, name: str) -> str:
        known = self._known_experiment(name)
        if known is not None:
            return known
        made = self._http().post("/api/2.0/mlflow/experiments/create", json={"name": name})
        if made.status_code == httpx.codes.BAD_REQUEST:  # another job made it a moment ago
            known = self._known_experiment(name)
            if known is not None:
                return known
        made.raise_for_status()
        return str(made.json()["experiment_id"])

    def _known_experiment(self, name: str) -> str | None:
        answer = self._http().get("/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": name})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        return str(answer.json()["experiment"]["experiment_id"])

    def _post(self, path: str, body: Mapping[str, Any], seconds: float = _TIMEOUT_SECONDS) -> Any:
        try:
            answer = self._http().post(f"/api/2.0/mlflow/{path}", json=body, timeout=seconds)
        except httpx.HTTPError:
            self._answers = False
            raise
        answer.raise_for_status()
        self._answers = True
        return answer.json()

    def _http(self) -> httpx.Client:
        if self._client is None:
            raise httpx.HTTPError("no tracking server")
        return self._client

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)
