"""Monitoring alerts: every schedule has one, and it is in alert while enough of its last executions found violations.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-dashboard-configure-alerts.html
"""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_found, validation
from mlparity.apis.sagemaker.listing import page_request, times
from mlparity.apis.sagemaker.monitoring_listing import matching
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import NotFoundError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest

KIND, HISTORY = "MonitoringAlert", "MonitoringAlertHistory"
_EXECUTION, _VIOLATED = "MonitoringExecution", "CompletedWithViolations"


def create(api: SageMaker, schedule: str) -> None:
    """With its schedule; it has the schedule's name."""
    api.documents.create(KIND, schedule, {"status": "OK", "datapoints": 1, "period": 1})


def delete(api: SageMaker, schedule: str) -> None:
    """With its schedule."""
    api.documents.delete(KIND, schedule)


def evaluate(api: SageMaker, schedule: str) -> None:
    """After an execution ended: look at the last ones, and note a change."""
    try:
        alert = api.documents.get(KIND, schedule)
    except NotFoundError:  # the schedule was deleted while the execution ran
        return
    page = PageRequest("created_at", descending=True, limit=alert.body["period"])
    ended, _ = matching(
        api, _EXECUTION, DocumentFilter(name_prefix=f"{schedule}/"), page,
        lambda document: document.body["status"] in {"Completed", _VIOLATED},
    )  # fmt: skip
    found = sum(document.body["status"] == _VIOLATED for document in ended)
    status = "InAlert" if found >= alert.body["datapoints"] else "OK"
    if status != alert.body["status"]:
        api.documents.merge(KIND, schedule, {"status": status})
        api.documents.create(HISTORY, f"{schedule}/{api.ids.uuid()}", {"schedule": schedule, "status": status})


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListMonitoringAlerts."""
    alert = _find(api, request["MonitoringScheduleName"])
    summary = {
        "MonitoringAlertName": alert.name,
        "CreationTime": alert.created_at,
        "LastModifiedTime": alert.modified_at,
        "AlertStatus": alert.body["status"],
        "DatapointsToAlert": alert.body["datapoints"],
        "EvaluationPeriod": alert.body["period"],
        "Actions": {"ModelDashboardIndicator": {"Enabled": False}},
    }
    return {"MonitoringAlertSummaries": [summary]}


def update(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """UpdateMonitoringAlert: counts from the next execution on."""
    schedule = request["MonitoringScheduleName"]
    _find(api, schedule)
    if request["MonitoringAlertName"] != schedule:
        raise not_found(f"Monitoring alert {request['MonitoringAlertName']} does not exist")
    datapoints, period = request["DatapointsToAlert"], request["EvaluationPeriod"]
    if datapoints > period:
        raise validation("DatapointsToAlert must not be greater than EvaluationPeriod")
    api.documents.merge(KIND, schedule, {"datapoints": datapoints, "period": period})
    return {
        "MonitoringScheduleArn": api.arns.of("monitoring-schedule", schedule),
        "MonitoringAlertName": schedule,
    }


def history(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListMonitoringAlertHistory."""
    page = page_request(
        request, {"CreationTime": "created_at"}, default_sort="CreationTime", default_order="Descending"
    )
    schedule = request.get("MonitoringScheduleName")
    wanted = DocumentFilter(name_prefix=f"{schedule}/" if schedule else None, **times(request))
    name, status = request.get("MonitoringAlertName"), request.get("StatusEquals")

    def fits(document: Document) -> bool:
        return name in {None, document.body["schedule"]} and status in {None, document.body["status"]}

    found, token = matching(api, HISTORY, wanted, page, fits)
    entries: list[dict[str, Any]] = [
        {
            "MonitoringScheduleName": item.body["schedule"],
            "MonitoringAlertName": item.body["schedule"],
            "CreationTime": item.created_at,
            "AlertStatus": item.body["status"],
        }
        for item in found
    ]
    return {"MonitoringAlertHistory": entries} | ({"NextToken": token} if token else {})


def _find(api: SageMaker, schedule: str) -> Document:
    try:
        return api.documents.get(KIND, schedule)
    except NotFoundError:
        arn = api.arns.of("monitoring-schedule", schedule)
        raise not_found(f"Monitoring schedule {arn} does not exist") from None


OPERATIONS = (
    Operation("ListMonitoringAlerts", list_),
    Operation("UpdateMonitoringAlert", update),
    Operation("ListMonitoringAlertHistory", history),
)
