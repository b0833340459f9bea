"""Model monitoring jobs of endpoints: create, get, list, update, pause, resume, delete.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.modelDeploymentMonitoringJobs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.vertex import endpoints, model_store, monitoring_jobs_search
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.endpoints import ENDPOINTS
from mlparity.apis.vertex.errors import already_exists, failed_precondition, invalid
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.monitoring_jobs_spec import check, interval, normalise
from mlparity.apis.vertex.monitoring_jobs_stored import (
    JOBS,
    OFFLINE,
    PAUSED,
    PENDING,
    RUNNING,
    forget_runs,
)
from mlparity.apis.vertex.names import location_of, new_id
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.wire.aip160 import Language, enumeration, text, text_map, time
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.field_mask import ALL
from mlparity.wire.google.status import GoogleError

_LISTING = Listing(
    JOBS,
    "model_deployment_monitoring_jobs",
    Language(
        {
            "display_name": text(("=", "!=")),
            "endpoint": text(("=", "!=")),
            "state": enumeration((PENDING, RUNNING, PAUSED, "JOB_STATE_FAILED")),
            "create_time": time(),
            "labels": text_map(),
        }
    ),
)
_MUTABLE = (
    "display_name",
    "labels",
    "log_ttl",
    "logging_sampling_strategy",
    "model_deployment_monitoring_objective_configs",
    "model_deployment_monitoring_schedule_config",
    "model_monitoring_alert_config",
    "enable_monitoring_pipeline_logs",
    "stats_anomalies_base_directory",
)
_OBJECTIVES = "model_deployment_monitoring_objective_configs"
_LOGGING = "predict_request_response_logging_config"


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """CreateModelDeploymentMonitoringJob: requests are logged from now on; the first run is an interval away."""
    job = request.model_deployment_monitoring_job
    if location_of(job.endpoint) != request.parent:
        told = f"The Endpoint must be in {request.parent}."
        raise invalid({"model_deployment_monitoring_job.endpoint": told})
    job.name = f"{request.parent}/{JOBS.collection}/{new_id(vertex.ids)}"
    normalise(job)
    endpoint = ENDPOINTS.get(vertex, call.api, job.endpoint)
    check(job, {one.id for one in endpoint.deployed_models})
    _check_free(endpoint)
    job.state = call.api.enum_number("JobState", PENDING)
    before = model_store.as_json(call.api, endpoint).get("predictRequestResponseLoggingConfig", {})
    _log_requests(vertex, call, job)
    with vertex.transaction():
        stored = ENDPOINTS.get(vertex, call.api, job.endpoint)
        _check_free(stored)
        stored.model_deployment_monitoring_job = job.name
        ENDPOINTS.save(vertex, call.api, stored)
        made = JOBS.create(vertex, call.api, job, {"logging": before})
    vertex.wake_timers()
    return made


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetModelDeploymentMonitoringJob."""
    return JOBS.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListModelDeploymentMonitoringJobs."""
    return _LISTING.respond(vertex, request, call)


def update(vertex: Vertex, request: Message, call: Call) -> Message:
    """UpdateModelDeploymentMonitoringJob: training data that changed is read again before the next run."""
    job, paths = request.model_deployment_monitoring_job, list(request.update_mask.paths)
    if not paths or ALL in paths:
        paths = list(_MUTABLE)
    wrong = [path for path in paths if path.split(".")[0] not in _MUTABLE]
    if wrong:
        raise invalid({"update_mask": f"The field `{wrong[0]}` cannot be updated."})
    changed = {path.split(".")[0] for path in paths}

    def checked(after: Message) -> None:
        normalise(after)
        known = {one.deployed_model_id for one in after.model_deployment_monitoring_objective_configs}
        if _OBJECTIVES in changed:  # else they stay, though what they name may be gone
            known = {one.id for one in ENDPOINTS.get(vertex, call.api, after.endpoint).deployed_models}
        check(after, known)

    with vertex.transaction():
        after = JOBS.update(vertex, call.api, job, paths, checked)
        private = dict(JOBS.load(vertex, call.api, after.name).private)
        if _OBJECTIVES in changed:
            private.pop("training", None)
            after.ClearField("error")
            if call.api.enum_name("JobState", after.state) != PAUSED:
                after.state = call.api.enum_number("JobState", PENDING)
        if "model_deployment_monitoring_schedule_config" in changed and after.HasField("next_schedule_time"):
            resource = model_store.as_json(call.api, after)
            after.next_schedule_time.FromDatetime(vertex.clock.now() + interval(resource))
        after = JOBS.save(vertex, call.api, after, private)
        operation = vertex.operations.done(call, after.name, after)
    if "logging_sampling_strategy" in changed:
        _log_requests(vertex, call, after)
    vertex.wake_timers()
    return operation


def pause(vertex: Vertex, request: Message, call: Call) -> Message:
    """PauseModelDeploymentMonitoringJob: no more runs; requests are still logged."""
    _move(vertex, call, request.name, {PENDING, RUNNING}, PAUSED)
    return call.response()


def resume(vertex: Vertex, request: Message, call: Call) -> Message:
    """ResumeModelDeploymentMonitoringJob: it runs again from the next scheduled time on."""
    _move(vertex, call, request.name, {PAUSED}, RUNNING)
    vertex.wake_timers()
    return call.response()


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeleteModelDeploymentMonitoringJob: the endpoint logs as it did before; the files stay."""
    stored = JOBS.load(vertex, call.api, request.name)
    _log_as_before(vertex, call, stored.message, stored.private["logging"])
    with vertex.transaction():
        JOBS.delete(vertex, stored.message.name)
        forget_runs(vertex, stored.message.name)
        endpoint = _endpoint(vertex, call, stored.message.endpoint)
        if endpoint is not None:
            endpoint.model_deployment_monitoring_job = ""
            ENDPOINTS.save(vertex, call.api, endpoint)
        return vertex.operations.done(call, stored.message.name, call.new("google.protobuf.Empty"))


def _check_free(endpoint: Message) -> None:
    """An endpoint has one job at most."""
    if endpoint.model_deployment_monitoring_job:
        raise already_exists(JOBS.message, endpoint.model_deployment_monitoring_job)


def _move(vertex: Vertex, call: Call, name: str, allowed: set[str], to: str) -> None:
    with vertex.transaction():
        stored = JOBS.load(vertex, call.api, name)
        job, private = stored.message, dict(stored.private)
        state = call.api.enum_name("JobState", job.state)
        if state not in allowed:
            raise failed_precondition(f"The ModelDeploymentMonitoringJob `{name}` is in state {state}.")
        if to == RUNNING and "training" not in private:
            to = PENDING  # it was paused before its training data was read
        job.state = call.api.enum_number("JobState", to)
        if to == PAUSED:
            job.ClearField("next_schedule_time")
            job.ClearField("schedule_state")
            private.pop("asked", None)
        elif to == RUNNING:
            resource = model_store.as_json(call.api, job)
            job.next_schedule_time.FromDatetime(vertex.clock.now() + interval(resource))
            job.schedule_state = OFFLINE
        JOBS.save(vertex, call.api, job, private)


def _log_requests(vertex: Vertex, call: Call, job: Message) -> None:
    """At least as many of the endpoint's requests as the job samples."""
    endpoint = ENDPOINTS.get(vertex, call.api, job.endpoint)
    config = endpoint.predict_request_response_logging_config
    wanted = job.logging_sampling_strategy.random_sample_config.sample_rate
    if config.enabled and config.sampling_rate >= wanted:
        return
    config.enabled, config.sampling_rate = True, wanted
    _set_logging(vertex, call, endpoint)


def _log_as_before(vertex: Vertex, call: Call, job: Message, before: Mapping[str, Any]) -> None:
    endpoint = _endpoint(vertex, call, job.endpoint)
    if endpoint is None:
        return
    endpoint.ClearField(_LOGGING)
    if before:
        config = endpoint.predict_request_response_logging_config
        config.enabled = before.get("enabled", False)
        config.sampling_rate = before.get("samplingRate", 0.0)
        config.bigquery_destination.output_uri = before.get("bigqueryDestination", {}).get("outputUri", "")
    _set_logging(vertex, call, endpoint)


def _set_logging(vertex: Vertex, call: Call, endpoint: Message) -> None:
    asked = call.new("UpdateEndpointRequest")
    asked.endpoint.CopyFrom(endpoint)
    asked.update_mask.paths.append(_LOGGING)
    endpoints.update(vertex, asked, call)


def _endpoint(vertex: Vertex, call: Call, name: str) -> Message | None:
    """None where it was deleted meanwhile."""
    try:
        return ENDPOINTS.get(vertex, call.api, name)
    except GoogleError:
        return None


_PARTIAL = (
    "skew and drift of features; training data as csv or jsonl in Cloud Storage; requests are read from the endpoint's "
    "request-response logging, which the job turns on; alerts are kept, not sent, and nothing goes to Cloud Logging; "
    "no BigQuery tables"
)
OPERATIONS = (
    Operation("JobService.CreateModelDeploymentMonitoringJob", create, _PARTIAL),
    Operation("JobService.GetModelDeploymentMonitoringJob", get),
    Operation("JobService.ListModelDeploymentMonitoringJobs", list_),
    Operation("JobService.UpdateModelDeploymentMonitoringJob", update, _PARTIAL),
    Operation("JobService.PauseModelDeploymentMonitoringJob", pause),
    Operation("JobService.ResumeModelDeploymentMonitoringJob", resume),
    Operation("JobService.DeleteModelDeploymentMonitoringJob", delete),
    Operation(
        "JobService.SearchModelDeploymentMonitoringStatsAnomalies",
        monitoring_jobs_search.search,
        "no attribution scores; statistics files are JSON with the names of TensorFlow's messages",
    ),
)
