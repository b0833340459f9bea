"""Monitoring schedules: create, describe, update, list, start, stop, delete."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlparity.apis.sagemaker import (
    monitoring_alerts,
    monitoring_executions,
    monitoring_plans,
    monitoring_views,
    monitoring_windows,
    tags,
)
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import in_use, not_found
from mlparity.apis.sagemaker.listing import page_request, times
from mlparity.apis.sagemaker.monitoring_capture import check_source
from mlparity.apis.sagemaker.monitoring_listing import matching
from mlparity.apis.sagemaker.monitoring_views import SCHEDULE_KIND as KIND
from mlparity.apis.sagemaker.monitoring_views import schedule_arn, tell
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import ConflictError, NotFoundError, StateError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.wire.json_values import jsonable

_LOG = logging.getLogger(__name__)
_SORT = {"Name": "name", "CreationTime": "created_at"}
_SCHEDULED, _STOPPED = "Scheduled", "Stopped"


def create(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreateMonitoringSchedule. One of ``NOW`` runs at once."""
    name = request["MonitoringScheduleName"]
    body = _body(api, request["MonitoringScheduleConfig"])
    try:
        with api.transaction():
            schedule = api.documents.create(KIND, name, {**body, "status": _SCHEDULED, "last": None})
            monitoring_alerts.create(api, name)
            tags.set_on_create(api, schedule_arn(api, name), request)
            tell(api, name)
    except ConflictError:
        raise in_use(f"Monitoring schedule {schedule_arn(api, name)} already exists") from None
    _run_on_demand(api, schedule)
    return {"MonitoringScheduleArn": schedule_arn(api, name)}


def _body(api: SageMaker, config: Request) -> dict[str, Any]:
    """What is kept of a configuration, after every check."""
    plan = monitoring_plans.of_schedule(api, config)
    times_ = config.get("ScheduleConfig", {})
    monitoring_windows.check(times_)
    check_source(api, plan)
    following = monitoring_windows.next_run(times_, api.clock.now())
    return {
        "config": jsonable(config),
        "endpoint": plan.endpoint,
        "type": plan.kind,
        "next_at": following.isoformat() if following else None,
    }


def _run_on_demand(api: SageMaker, schedule: Document) -> None:
    if schedule.body["config"].get("ScheduleConfig", {}).get("ScheduleExpression") == monitoring_windows.NOW:
        monitoring_executions.start(api, schedule, api.clock.now(), {})


def find(api: SageMaker, name: str) -> Document:
    """The schedule, or SageMaker's error for its absence."""
    try:
        return api.documents.get(KIND, name)
    except NotFoundError:
        raise not_found(f"Monitoring schedule {schedule_arn(api, name)} does not exist") from None


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeMonitoringSchedule."""
    return monitoring_views.described(api, find(api, request["MonitoringScheduleName"]))


def update(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """UpdateMonitoringSchedule: replaces the configuration; a stopped schedule stays stopped."""
    schedule = find(api, request["MonitoringScheduleName"])
    body = _body(api, request["MonitoringScheduleConfig"])
    if schedule.body["status"] == _STOPPED:
        body["next_at"] = None
    schedule = api.documents.merge(KIND, schedule.name, body)
    if schedule.body["status"] == _SCHEDULED:
        _run_on_demand(api, schedule)
    return {"MonitoringScheduleArn": schedule_arn(api, schedule.name)}


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListMonitoringSchedules."""
    page = page_request(request, _SORT, default_sort="CreationTime", default_order="Descending")
    wanted = DocumentFilter(name_contains=request.get("NameContains"), **times(request))
    found, token = matching(api, KIND, wanted, page, lambda schedule: _fits(schedule, request))
    response: Response = {
        "MonitoringScheduleSummaries": [monitoring_views.schedule_summary(api, schedule) for schedule in found]
    }
    return response | ({"NextToken": token} if token else {})


def _fits(schedule: Document, request: Request) -> bool:
    body = schedule.body
    values = {
        "EndpointName": body["endpoint"],
        "StatusEquals": body["status"],
        "MonitoringJobDefinitionName": body["config"].get("MonitoringJobDefinitionName"),
        "MonitoringTypeEquals": body["type"],
    }
    after, before = request.get("LastModifiedTimeAfter"), request.get("LastModifiedTimeBefore")
    return (
        all(request.get(member) in {None, value} for member, value in values.items())
        and (after is None or schedule.modified_at > after)
        and (before is None or schedule.modified_at < before)
    )


def start(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """StartMonitoringSchedule. One of ``NOW`` runs again, at once."""
    schedule = find(api, request["MonitoringScheduleName"])
    following = monitoring_windows.next_run(schedule.body["config"].get("ScheduleConfig", {}), api.clock.now())
    changes = {"status": _SCHEDULED, "next_at": following.isoformat() if following else None}
    _run_on_demand(api, _change(api, schedule, changes))
    return {}


def stop(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """StopMonitoringSchedule: no more executions; one that runs goes on."""
    schedule = find(api, request["MonitoringScheduleName"])
    _change(api, schedule, {"status": _STOPPED, "next_at": None})
    return {}


def _change(api: SageMaker, schedule: Document, changes: Mapping[str, Any]) -> Document:
    with api.transaction():
        changed = api.documents.merge(KIND, schedule.name, changes)
        if changed.body["status"] != schedule.body["status"]:
            tell(api, schedule.name)
    return changed


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteMonitoringSchedule. Its executions stay listed, as SageMaker keeps them."""
    schedule = find(api, request["MonitoringScheduleName"])
    with api.transaction():
        api.documents.delete(KIND, schedule.name)
        monitoring_alerts.delete(api, schedule.name)
        api.tags.remove(schedule_arn(api, schedule.name))
    return {}


class MonitoringTimer:
    """Timed work: the executions of every schedule whose time has come.

    Of several times that passed while the stack was down, the last one is made up for.
    """

    def __init__(self, api: SageMaker) -> None:
        self._api = api

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        return min((at for _, at in self._planned()), default=None)

    def run_due(self) -> None:
        """See ``TimedWork``."""
        now = self._api.clock.now()
        for schedule, at in self._planned():
            if at > now:
                continue
            try:
                self._run(schedule, at, now)
            except StateError:
                raise  # nothing can be written now, for any schedule
            except Exception:  # noqa: BLE001 - one schedule must not hold the others back
                _LOG.exception("monitoring schedule %s", schedule.name)

    def _run(self, schedule: Document, at: datetime, now: datetime) -> None:
        config = schedule.body["config"].get("ScheduleConfig", {})
        following = monitoring_windows.next_run(config, at)
        while following is not None and following <= now:
            at, following = following, monitoring_windows.next_run(config, following)
        changes = {"next_at": following.isoformat() if following else None}
        monitoring_executions.start(self._api, schedule, at.astimezone(UTC), changes)

    def _planned(self) -> list[tuple[Document, datetime]]:
        page = page_request({"MaxResults": 1000}, _SORT, default_sort="Name", default_order="Ascending")
        planned, _ = matching(
            self._api, KIND, DocumentFilter(), page, lambda schedule: schedule.body["next_at"] is not None
        )
        return [(schedule, datetime.fromisoformat(schedule.body["next_at"])) for schedule in planned]


OPERATIONS = (
    Operation("CreateMonitoringSchedule", create, "data quality and model quality; executions start on time"),
    Operation("DescribeMonitoringSchedule", describe),
    Operation("UpdateMonitoringSchedule", update),
    Operation("ListMonitoringSchedules", list_),
    Operation("StartMonitoringSchedule", start),
    Operation("StopMonitoringSchedule", stop),
    Operation("DeleteMonitoringSchedule", delete),
)
