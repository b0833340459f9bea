"""Monitoring executions: started by schedules, driven by the phases of their jobs, listed.

An execution is a document; its state changes in the transaction of its job's, so that no crash comes between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlparity.apis.sagemaker import monitoring_alerts, monitoring_plans, monitoring_windows, processing_jobs
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError, from_mlparity
from mlparity.apis.sagemaker.listing import page_request, times
from mlparity.apis.sagemaker.monitoring_jobs import EXECUTION, METRICS_FILE, Json, Run, checked, requests
from mlparity.apis.sagemaker.monitoring_listing import matching
from mlparity.apis.sagemaker.monitoring_views import EXECUTION_KIND as KIND
from mlparity.apis.sagemaker.monitoring_views import SCHEDULE_KIND, execution_summary, schedule_arn, tell
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.processing_contract import processing_spec
from mlparity.engine.jobs import Job, NewJob, Phase
from mlparity.errors import ConflictError, MlparityError, StateError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.wire.json_values import jsonable

_ENDED = {"Completed", "CompletedWithViolations", "Failed", "Stopped"}
_SORT = {"CreationTime": "created_at", "ScheduledTime": "created_at"}
_REASON_LIMIT = 1024


def start(api: SageMaker, schedule: Document, scheduled_at: datetime, changes: Mapping[str, Any]) -> Document:
    """Start the run of ``scheduled_at``; ``changes`` are made to the schedule in the same transaction.

    What keeps its job from starting makes the execution a failed one.
    """
    name = f"{schedule.name}/{scheduled_at.astimezone(UTC):%Y%m%dT%H%M%S}-{api.ids.token(8)}"
    jobs: list[Json] = []
    reason = ""
    try:
        plan = monitoring_plans.of_schedule(api, schedule.body["config"])
        config = schedule.body["config"].get("ScheduleConfig", {})
        window = monitoring_windows.window(config, plan.source, scheduled_at)
        run = Run(schedule.name, schedule_arn(api, schedule.name), name, plan, window, scheduled_at)
        jobs = requests(api, run)
        for job in jobs:
            checked(api, job)
    except StateError:
        raise
    except (SageMakerError, MlparityError) as error:
        reason = _reason(error)
    body = {
        "schedule": schedule.name,
        "scheduled_at": scheduled_at.isoformat(),
        "status": "Failed" if reason else "Pending",
        "reason": reason,
        "endpoint": schedule.body["endpoint"],
        "type": schedule.body["type"],
        "definition": schedule.body["config"].get("MonitoringJobDefinitionName"),
        "job": None,
        "following": jobs[1:],
    }
    with api.transaction():
        execution = api.documents.create(KIND, name, body)
        api.documents.merge(SCHEDULE_KIND, schedule.name, {**changes, "last": name})
        if reason:
            monitoring_alerts.evaluate(api, schedule.name)
            tell(api, schedule.name)
        else:
            execution = _submit(api, execution, jobs[0])
    return execution


def _submit(api: SageMaker, execution: Document, request: Json) -> Document:
    wanted = checked(api, request)
    spec = processing_spec(wanted, api.arns, str(int(api.clock.now().timestamp() * 1000)))
    spec = replace(spec, result_file=METRICS_FILE)
    record = {
        **jsonable(wanted),
        "MonitoringScheduleArn": schedule_arn(api, execution.body["schedule"]),
        EXECUTION: execution.name,
    }
    api.documents.merge(KIND, execution.name, {"job": wanted["ProcessingJobName"]})
    try:
        api.jobs.submit(NewJob(API, processing_jobs.KIND, wanted["ProcessingJobName"], record, spec))
    except (ConflictError, MlparityError) as error:
        if isinstance(error, StateError):
            raise
        changes = {"status": "Failed", "reason": _reason(error), "job": None}
        failed = api.documents.merge(KIND, execution.name, changes)
        _changed(api, failed, "Failed")
        return failed
    return api.documents.get(KIND, execution.name)


def _reason(error: Exception) -> str:
    if isinstance(error, MlparityError):
        error = from_mlparity(error)
    return (error.message if isinstance(error, SageMakerError) else str(error))[:_REASON_LIMIT]


def on_job(api: SageMaker, job: Job) -> None:
    """A JobService listener, within the transaction of the job's phase."""
    name = job.request.get(EXECUTION) if (job.api, job.kind) == (API, processing_jobs.KIND) else None
    if name is None:
        return
    execution = api.documents.get(KIND, name)
    status, reason = _status(job)
    following = execution.body["following"]
    if status == "Completed" and following:
        api.documents.merge(KIND, name, {"following": following[1:], "status": "InProgress"})
        _submit(api, execution, following[0])
    elif status != execution.body["status"]:
        api.documents.merge(KIND, name, {"status": status, "reason": reason})
        _changed(api, execution, status)


def _changed(api: SageMaker, execution: Document, status: str) -> None:
    schedule = execution.body["schedule"]
    if status in _ENDED:
        monitoring_alerts.evaluate(api, schedule)
    tell(api, schedule)


def _status(job: Job) -> tuple[str, str]:
    match job.phase:
        case Phase.FAILED:
            return "Failed", _failure(job)
        case Phase.STOPPED:
            return "Stopped", ""
        case Phase.COMPLETED:
            message = job.results.get("message") or ""
            violated = message.startswith("CompletedWithViolations")
            return ("CompletedWithViolations", message) if violated else ("Completed", "")
    if job.stop_requested_at is not None:
        return "Stopping", ""
    return ("Pending" if job.phase is Phase.PENDING else "InProgress"), ""


def _failure(job: Job) -> str:
    """The program's own message says more than that it failed."""
    said = job.results.get("message") or processing_jobs.reason(job)
    return str(said)[:_REASON_LIMIT]


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListMonitoringExecutions."""
    page = page_request(request, _SORT, default_sort="ScheduledTime", default_order="Descending")
    schedule = request.get("MonitoringScheduleName")
    wanted = DocumentFilter(name_prefix=f"{schedule}/" if schedule else None, **times(request))
    found, token = matching(api, KIND, wanted, page, lambda document: _fits(document, request))
    response: Response = {"MonitoringExecutionSummaries": [execution_summary(api, document) for document in found]}
    return response | ({"NextToken": token} if token else {})


def _fits(document: Document, request: Request) -> bool:
    body = document.body
    equal = {
        "EndpointName": "endpoint",
        "StatusEquals": "status",
        "MonitoringJobDefinitionName": "definition",
        "MonitoringTypeEquals": "type",
    }
    if any(member in request and request[member] != body[name] for member, name in equal.items()):
        return False
    scheduled = datetime.fromisoformat(body["scheduled_at"])
    limits = (("Scheduled", scheduled), ("LastModified", document.modified_at))
    return all(
        (f"{name}TimeAfter" not in request or at > request[f"{name}TimeAfter"])
        and (f"{name}TimeBefore" not in request or at < request[f"{name}TimeBefore"])
        for name, at in limits
    )


OPERATIONS = (Operation("ListMonitoringExecutions", list_),)
