"""An experiment-tracking run for a job: begun before its program starts, ended truthfully with it.

Speaks MLflow's REST API 2.0 directly, so that the control plane never imports mlflow (4 s, 200 MB).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from mlparity.clock import Clock
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import Job, Phase

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 20.0
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
    """Begins and ends runs on the tracking server at ``url``; "" means there is none in this stack."""

    def __init__(self, url: str, repository: JobRepository, clock: Clock) -> None:
        self._url = url
        self._repository = repository
        self._clock = clock
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False) if url else None

    def begin(self, job: Job) -> TrackingRun:
        """Create the job's run. A server that does not answer costs the job its run, not its life."""
        wanted = job.spec.tracking
        if wanted is None or self._client is None:
            return TrackingRun()
        earlier = job.results.get("tracking")
        if earlier:  # an attempt that was interrupted
            return TrackingRun(self._url, earlier["run_id"], earlier["experiment_id"], wanted.experiment)
        try:
            experiment_id = self._experiment(wanted.experiment)
            answer = self._post(
                "runs/create",
                {
                    "experiment_id": experiment_id,
                    "run_name": wanted.run_name,
                    "start_time": self._now(),
                    "tags": [{"key": key, "value": value} for key, value in wanted.tags.items()],
                },
            )
        except httpx.HTTPError as error:
            _LOG.warning("job %s gets no tracking run: %s", job.name, error)
            return TrackingRun()
        return TrackingRun(self._url, answer["run"]["info"]["run_id"], experiment_id, wanted.experiment)

    def log_metrics(self, job: Job) -> None:
        """Add the metrics read from the log to the run."""
        run_id = job.results.get("tracking", {}).get("run_id")
        metrics: Mapping[str, float] = job.results.get("metrics", {})
        if not run_id or not metrics or self._client is None:
            return
        now = self._now()
        # MLflow allows no colon-less names only; SageMaker's "validation:rmse" is fine as it is.
        batch = [{"key": name, "value": value, "timestamp": now, "step": 0} for name, value in metrics.items()]
        try:
            self._post("runs/log-batch", {"run_id": run_id, "metrics": batch})
        except httpx.HTTPError as error:
            _LOG.warning("metrics of job %s are not in its run: %s", job.name, error)

    def end(self, job: Job) -> None:
        """End the job's run as the job ended. Where the server does not answer, ``reconcile`` does it later."""
        run = job.results.get("tracking")
        if not run or run["ended"] or self._client is None:
            return
        try:
            self._post("runs/update", {"run_id": run["run_id"], "status": _STATUS[job.phase], "end_time": self._now()})
        except httpx.HTTPError as error:
            _LOG.warning("the run of job %s is not ended yet: %s", job.name, error)
            return
        self._repository.merge_results(job.id, {"tracking": {**run, "ended": True}})

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _experiment(self, name: str) -> str:
        if self._client is None:
            raise httpx.HTTPError("no tracking server")
        answer = self._client.get("/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": name})
        if answer.status_code == httpx.codes.OK:
            return str(answer.json()["experiment"]["experiment_id"])
        if answer.status_code != httpx.codes.NOT_FOUND:
            answer.raise_for_status()
        made = self._client.post("/api/2.0/mlflow/experiments/create", json={"name": name})
        if made.status_code == httpx.codes.BAD_REQUEST:  # another job made it a moment ago
            again = self._client.get("/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": name})
            again.raise_for_status()
            return str(again.json()["experiment"]["experiment_id"])
        made.raise_for_status()
        return str(made.json()["experiment_id"])

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        if self._client is None:
            raise httpx.HTTPError("no tracking server")
        answer = self._client.post(f"/api/2.0/mlflow/{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)
