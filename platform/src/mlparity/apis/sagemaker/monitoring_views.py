"""Monitoring schedules and executions as their operations and events show them."""

from __future__ import annotations

from datetime import datetime

from mlparity.apis.sagemaker.context import Response, SageMaker
from mlparity.apis.sagemaker.state_events import SOURCE, detail_of
from mlparity.errors import NotFoundError
from mlparity.state.documents import Document

SCHEDULE_KIND, EXECUTION_KIND = "MonitoringSchedule", "MonitoringExecution"


def schedule_arn(api: SageMaker, name: str) -> str:
    """Of a monitoring schedule."""
    return api.arns.of("monitoring-schedule", name)


def execution_summary(api: SageMaker, document: Document) -> Response:
    """A MonitoringExecutionSummary."""
    body = document.body
    found: Response = {
        "MonitoringScheduleName": body["schedule"],
        "ScheduledTime": datetime.fromisoformat(body["scheduled_at"]),
        "CreationTime": document.created_at,
        "LastModifiedTime": document.modified_at,
        "MonitoringExecutionStatus": body["status"],
        "MonitoringType": body["type"],
    }
    if body["job"]:
        found["ProcessingJobArn"] = api.arns.processing_job(body["job"])
    if body["endpoint"]:
        found["EndpointName"] = body["endpoint"]
    if body["definition"]:
        found["MonitoringJobDefinitionName"] = body["definition"]
    if body["reason"]:
        found["FailureReason"] = body["reason"]
    return found


def last(api: SageMaker, schedule: Document) -> Document | None:
    """A schedule's newest execution."""
    name = schedule.body.get("last")
    try:
        return api.documents.get(EXECUTION_KIND, name) if name else None
    except NotFoundError:
        return None


def schedule_summary(api: SageMaker, schedule: Document) -> Response:
    """A MonitoringScheduleSummary."""
    body = schedule.body
    found: Response = {
        "MonitoringScheduleName": schedule.name,
        "MonitoringScheduleArn": schedule_arn(api, schedule.name),
        "CreationTime": schedule.created_at,
        "LastModifiedTime": schedule.modified_at,
        "MonitoringScheduleStatus": body["status"],
        "MonitoringType": body["type"],
    }
    if body["endpoint"]:
        found["EndpointName"] = body["endpoint"]
    if definition := body["config"].get("MonitoringJobDefinitionName"):
        found["MonitoringJobDefinitionName"] = definition
    return found


def described(api: SageMaker, schedule: Document) -> Response:
    """As DescribeMonitoringSchedule shows it."""
    response: Response = {**schedule_summary(api, schedule), "MonitoringScheduleConfig": schedule.body["config"]}
    response.pop("MonitoringJobDefinitionName", None)
    newest = last(api, schedule)
    if newest is not None:
        response["LastMonitoringExecutionSummary"] = execution_summary(api, newest)
    return response


def tell(api: SageMaker, name: str) -> None:
    """``SageMaker Monitoring Schedule State Change``: the schedule's status changed, or its last execution's.

    AWS does not document what makes it; its detail is what DescribeMonitoringSchedule says.
    """
    try:
        schedule = api.documents.get(SCHEDULE_KIND, name)
    except NotFoundError:  # deleted while an execution ran
        return
    told = detail_of(described(api, schedule))
    api.events.publish(SOURCE, "SageMaker Monitoring Schedule State Change", told, [schedule_arn(api, name)])
