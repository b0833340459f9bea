"""The runs of monitoring jobs: on time, in a thread of their own, repeated where the process died in one."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mlparity.apis.vertex import monitoring_jobs_data as data
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.monitoring_jobs_spec import (
    DRIFT,
    SKEW,
    Objective,
    Thresholds,
    interval,
    objectives,
    schema_uri,
    window,
)
from mlparity.apis.vertex.monitoring_jobs_stored import (
    AT_WORK,
    FAILED,
    JOBS,
    OFFLINE,
    PENDING,
    RUNNING,
    jobs,
    keep_run,
    runs,
    written,
)
from mlparity.apis.vertex.names import id_of, region_of
from mlparity.errors import MlparityError, NotFoundError, StateError
from mlparity.monitoring.divergence import Distribution, distance
from mlparity.state.documents import Document
from mlparity.storage.uris import parse_uri

_LOG = logging.getLogger(__name__)
_LATE = timedelta(seconds=10)  # what was logged before a window's end is in the bucket by then
EVENT_SOURCE, EVENT_TYPE = "google.aiplatform", "Model Monitoring Anomaly"
_FAILED_PRECONDITION = 9  # google.rpc.Code
_NO_DATA = "No prediction requests were logged in the window."
_WORDS = {SKEW: "training-prediction skew", DRIFT: "prediction drift"}


@dataclass
class _Found:
    """What a run found of one deployed model."""

    start: datetime
    end: datetime
    features: dict[str, Any] = field(default_factory=dict)  # feature -> the window's distribution
    found: dict[str, dict[str, Any]] = field(default_factory=dict)  # objective -> feature -> deviation and files
    anomalies: list[dict[str, Any]] = field(default_factory=list)  # the events

    def body(self) -> dict[str, Any]:
        return {
            "start": written(self.start),
            "end": written(self.end),
            "features": self.features,
            "found": self.found,
        }


class MonitoringRuns:
    """``TimedWork``. ``off`` does work elsewhere than in the timers' thread; by default in a thread of its own."""

    def __init__(self, vertex: Vertex, off: Callable[[Callable[[], None]], object] | None = None) -> None:
        self._vertex = vertex
        self._threads = None if off else ThreadPoolExecutor(1, "monitoring")
        self._off = off or self._threads.submit  # type: ignore[union-attr]
        self._busy: set[str] = set()
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the run that is under way; those that wait begin again with the next process."""
        self._closed = True
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def run_now(self, job_id: str) -> None:
        """Have a job run once outside its schedule, over the window that ends now. Raises ``NotFoundError``."""
        for document in jobs(self._vertex):
            if id_of(document.name) == job_id:
                private = {**document.body["private"], "asked": written(self._vertex.clock.now())}
                self._vertex.documents.merge(JOBS.message, document.name, {"private": private})
                self._vertex.wake_timers()
                return
        raise NotFoundError(f"the monitoring job {job_id} does not exist")

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        if self._closed:
            return None
        return min((due for document in jobs(self._vertex) if (due := self._due(document)) is not None), default=None)

    def run_due(self) -> None:
        """See ``TimedWork``."""
        now = self._vertex.clock.now()
        for document in list(jobs(self._vertex)):
            due = self._due(document)
            if due is None or due > now or self._closed:
                continue
            with self._lock:
                self._busy.add(document.name)
            name = document.name
            self._off(lambda name=name: self._work(name))  # type: ignore[misc]

    def _due(self, document: Document) -> datetime | None:
        """When the job has something to do; None where it has not, or is at it."""
        with self._lock:
            if document.name in self._busy:
                return None
        resource, private = document.body["resource"], document.body["private"]
        if resource["state"] == PENDING:
            return document.created_at
        if resource["state"] != RUNNING:
            return None
        if "asked" in private:
            return datetime.fromisoformat(private["asked"])
        return datetime.fromisoformat(resource["nextScheduleTime"]) + _LATE

    def _work(self, name: str) -> None:
        try:
            document = self._vertex.documents.get(JOBS.message, name)
            if document.body["resource"]["state"] == PENDING:
                self._prepare(document)
            elif document.body["resource"]["state"] == RUNNING:
                self._run(document)
        except NotFoundError:
            pass  # deleted meanwhile
        except StateError:
            _LOG.warning("monitoring job %s waits for the database", name)
        except Exception as error:  # noqa: BLE001 - a defect must not hold the other jobs back, nor be repeated without end
            _LOG.exception("monitoring job %s", name)
            self._change(name, {"state": FAILED, "error": _status(f"mlparity failed: {error!r}")}, {})
        finally:
            with self._lock:
                self._busy.discard(name)
            self._vertex.wake_timers()

    def _prepare(self, document: Document) -> None:
        """Read the training data; from then on the job runs."""
        name, resource = document.name, document.body["resource"]
        try:
            found = {one.deployed_model: self._training(name, resource, one) for one in objectives(resource)}
        except MlparityError as error:
            told = _status(f"The training data cannot be used: {'. '.join(error.lines())}")
            self._change(name, {"state": FAILED, "error": told}, {}, during=PENDING)
            return
        following = written(self._vertex.clock.now() + interval(resource))
        changes = {"state": RUNNING, "scheduleState": OFFLINE, "nextScheduleTime": following}
        self._change(name, changes, {"training": found}, during=PENDING)

    def _training(self, name: str, resource: Mapping[str, Any], one: Objective) -> dict[str, Any]:
        """Feature -> its distribution and the URI of its file."""
        if one.skew is None:
            return {}
        store = self._vertex.store
        types = data.declared(data.schema(store, schema_uri(resource)))
        found = data.distributions(data.training(store, one), types)
        folder = f"{self._base(name, resource)}/training/{one.deployed_model}"
        return {
            feature: {"uri": self._write(f"{folder}/{feature}/stats", feature, told), "stats": told.to_json()}
            for feature, told in found.items()
        }

    def _run(self, document: Document) -> None:
        name, resource, private = document.name, document.body["resource"], document.body["private"]
        asked, now = private.get("asked"), self._vertex.clock.now()
        end, following = now, resource["nextScheduleTime"]
        if asked is None:
            planned = datetime.fromisoformat(following)
            end = planned + (now - _LATE - planned) // interval(resource) * interval(resource)  # the last that passed
            following = written(end + interval(resource))
        self._change(name, {"scheduleState": AT_WORK}, {})
        status: dict[str, Any] = {}
        found: dict[str, _Found] = {}
        try:
            for one in objectives(resource):
                found[one.deployed_model] = self._analyse(document, one, end)
            if not any(one.features for one in found.values()):
                status = {"message": _NO_DATA}
        except (MlparityError, ValueError) as error:
            told = ". ".join(error.lines()) if isinstance(error, MlparityError) else str(error)
            status = _status(told)
        changes = {
            "scheduleState": OFFLINE,
            "nextScheduleTime": following,
            "latestMonitoringPipelineMetadata": {"runTime": written(end), "status": status},
        }
        with self._vertex.transaction():
            if self._change(name, changes, {"asked": None}, during=RUNNING):
                self._keep(name, resource["endpoint"], found)

    def _keep(self, name: str, endpoint: str, found: Mapping[str, _Found]) -> None:
        for deployed_model, one in found.items():
            if one.features:
                keep_run(self._vertex, name, deployed_model, one.end, one.body())
            for anomaly in one.anomalies:
                self._vertex.events.publish(EVENT_SOURCE, EVENT_TYPE, anomaly, [name, endpoint])

    def _analyse(self, document: Document, one: Objective, end: datetime) -> _Found:
        """The window's features, against the training data and the window before."""
        vertex, name, resource = self._vertex, document.name, document.body["resource"]
        result = _Found(end - window(resource), end)
        fields = data.schema(vertex.store, schema_uri(resource))
        trained = document.body["private"]["training"].get(one.deployed_model, {})
        baselines = {SKEW: {feature: Distribution.from_json(told["stats"]) for feature, told in trained.items()}}
        before = [run for run in runs(vertex, name, one.deployed_model) if run["end"] < written(end)]
        last = before[-1]["features"] if before else {}
        baselines[DRIFT] = {feature: Distribution.from_json(told) for feature, told in last.items()}
        types = {feature: told.numerical for kind in (DRIFT, SKEW) for feature, told in baselines[kind].items()}
        endpoint = f"{region_of(resource['endpoint'])}/{id_of(resource['endpoint'])}"
        folder = f"gs://{vertex.hosting.logging_bucket}/{data.LOGS}/{endpoint}/{one.deployed_model}"
        rows = data.logged(vertex.store, folder, result.start, end, list(fields))
        current = data.distributions(rows, {**types, **data.declared(fields)})
        result.features = {feature: told.to_json() for feature, told in current.items()}
        for objective, thresholds in ((SKEW, one.skew), (DRIFT, one.drift)):
            if thresholds is not None:
                self._compare(document, one, objective, thresholds, baselines[objective], current, result)
        return result

    def _compare(
        self,
        document: Document,
        one: Objective,
        objective: str,
        thresholds: Thresholds,
        baseline: Mapping[str, Distribution],
        current: Mapping[str, Distribution],
        result: _Found,
    ) -> None:
        name, resource = document.name, document.body["resource"]
        folder = f"{self._base(name, resource)}/serving/{one.deployed_model}/{result.end:%Y-%m-%dT%H:%M:%S}"
        for feature, told in current.items():
            threshold = thresholds.of(feature)
            deviation = distance(baseline[feature], told) if feature in baseline else None
            if threshold is None or deviation is None:
                continue
            files = f"{folder}/{objective.lower()}/{feature}"
            stats, anomaly = self._write(f"{files}/stats", feature, told), ""
            if deviation > threshold:
                reason = f"{_WORDS[objective]} of {feature}: {deviation:.6g} is above the threshold {threshold:g}"
                anomaly = self._put(f"{files}/anomalies", {"path": {"step": [feature]}, "description": reason})
                result.anomalies.append(
                    {
                        "monitoringJob": name,
                        "endpoint": resource["endpoint"],
                        "deployedModelId": one.deployed_model,
                        "objective": objective,
                        "feature": feature,
                        "threshold": threshold,
                        "value": deviation,
                        "reason": reason,
                        "startTime": written(result.start),
                        "endTime": written(result.end),
                    }
                )
            found = {"deviation": deviation, "threshold": threshold, "stats": stats, "anomaly": anomaly}
            result.found.setdefault(objective, {})[feature] = found

    def _change(
        self, name: str, changes: Mapping[str, Any], private: Mapping[str, Any], during: str | None = None
    ) -> bool:
        """Set members of the resource, and of what is kept beside it (None: remove); not where it left ``during``."""
        with self._vertex.transaction():
            body = self._vertex.documents.get(JOBS.message, name).body
            if during is not None and body["resource"]["state"] != during:
                return False  # paused, or told to watch something else, meanwhile
            kept = {key: value for key, value in {**body["private"], **private}.items() if value is not None}
            resource = {**body["resource"], **changes}
            self._vertex.documents.merge(JOBS.message, name, {"resource": resource, "private": kept})
        return True

    def _base(self, name: str, resource: Mapping[str, Any]) -> str:
        prefix = resource.get("statsAnomaliesBaseDirectory", {}).get("outputUriPrefix", "")
        base = prefix or f"gs://{self._vertex.hosting.logging_bucket}"
        return f"{base.rstrip('/')}/model_monitoring/job-{id_of(name)}"

    def _write(self, uri: str, feature: str, told: Distribution) -> str:
        return self._put(uri, {"path": {"step": [feature]}, **told.to_json()})

    def _put(self, uri: str, document: Mapping[str, Any]) -> str:
        bucket, key = parse_uri(uri)
        self._vertex.store.put_bytes(
            bucket, key, json.dumps(document, indent=1).encode(), content_type="application/json"
        )
        return uri


def _status(message: str) -> dict[str, Any]:
    return {"code": _FAILED_PRECONDITION, "message": message}
