"""EventBridge Scheduler: schedules and their groups, stored; ``schedules`` makes them fire.

https://docs.aws.amazon.com/scheduler/latest/APIReference/Welcome.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlparity.apis.aws import scheduler_targets
from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.scheduler_store import DEFAULT_GROUP, Schedule, SchedulerStore
from mlparity.apis.aws.targets import Assume
from mlparity.clock import Clock
from mlparity.errors import ConflictError, NotFoundError
from mlparity.wire.aws_schedule import ScheduleExpressionError, is_one_time, read_expression, read_zone

_LATE_START = timedelta(minutes=5)
_RETRIES = {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
_CONFLICT, _NOT_FOUND = 409, 404
_PAGE = 100
_OPTIONAL = ("Description", "StartDate", "EndDate", "KmsKeyArn")
_TIMES = ("StartDate", "EndDate")


@dataclass(frozen=True)
class SchedulerService:
    """The twelve operations. ``changed`` is called with every schedule that is new, other or gone."""

    account_id: str
    store: SchedulerStore
    clock: Clock
    assumed: Assume
    changed: Callable[[Schedule], None]
    gone: Callable[[Schedule], None]

    def handle(self, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        """The response of one operation. Raises ``AwsError``."""
        operations: Mapping[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
            "CreateSchedule": self._create,
            "UpdateSchedule": self._update,
            "GetSchedule": lambda given, where: self._rendered(self._find(given, where)),
            "DeleteSchedule": self._delete,
            "ListSchedules": self._list,
            "CreateScheduleGroup": self._create_group,
            "GetScheduleGroup": lambda given, where: self._group(given["Name"], where),
            "DeleteScheduleGroup": lambda given, where: self._delete_group(given["Name"], where),
            "ListScheduleGroups": self._list_groups,
        }
        found = operations.get(operation)
        return self._tags(operation, params) if found is None else found(params, region)

    def _create(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        body = self._body(params, region)
        schedule = Schedule(region, body["GroupName"], params["Name"], body, self.clock.now(), self.clock.now())
        try:
            stored = self.store.create(schedule)
        except ConflictError:
            found = self._find(params, region)
            if params.get("ClientToken") and found.body.get("ClientToken") == params["ClientToken"]:
                return {"ScheduleArn": self._arn(found)}
            raise AwsError("ConflictException", f"Schedule {params['Name']} already exists.", _CONFLICT) from None
        self.changed(stored)
        return {"ScheduleArn": self._arn(stored)}

    def _update(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        self._find(params, region)
        # What is not given falls back to its default, as the vendor documents.
        stored = self.store.replace(region, params.get("GroupName", DEFAULT_GROUP), params["Name"],
                                    self._body(params, region))  # fmt: skip
        self.changed(stored)
        return {"ScheduleArn": self._arn(stored)}

    def _body(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        """What is stored of a valid request. Raises ``AwsError``."""
        group = params.get("GroupName", DEFAULT_GROUP)
        self._group(group, region)
        self._check_times(params)
        window = params["FlexibleTimeWindow"]
        if (window["Mode"] == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
            raise _invalid("MaximumWindowInMinutes must be given for the mode FLEXIBLE, and only for it.")
        arn = f"arn:aws:scheduler:{region}:{self.account_id}:schedule/{group}/{params['Name']}"
        scheduler_targets.check(params["Target"], arn, self.assumed)
        body = {name: params[name] for name in _OPTIONAL if name in params}
        for name in _TIMES:
            if name in body:
                body[name] = body[name].replace(microsecond=0).isoformat()
        return body | {
            "GroupName": group,
            "ScheduleExpression": params["ScheduleExpression"],
            "ScheduleExpressionTimezone": params.get("ScheduleExpressionTimezone", "UTC"),
            "FlexibleTimeWindow": dict(window),
            "Target": {**params["Target"], "RetryPolicy": _RETRIES | params["Target"].get("RetryPolicy", {})},
            "State": params.get("State", "ENABLED"),
            "ActionAfterCompletion": params.get("ActionAfterCompletion", "NONE"),
            "ClientToken": params.get("ClientToken", ""),
        }

    def _check_times(self, params: Mapping[str, Any]) -> None:
        now = self.clock.now()
        try:
            zone = read_zone(params.get("ScheduleExpressionTimezone", "UTC"))
        except ScheduleExpressionError:
            raise _invalid("Invalid ScheduleExpressionTimezone.") from None
        expression = params["ScheduleExpression"]
        try:
            read_expression(expression, zone, now)
        except ScheduleExpressionError:
            raise _invalid(f"Invalid Schedule Expression {expression}.") from None
        if is_one_time(expression):
            return  # the vendor ignores both dates
        start, end = params.get("StartDate"), params.get("EndDate")
        if start is not None and start < now - _LATE_START:
            raise _invalid("The StartDate you specify cannot be earlier than 5 minutes ago.")
        if end is not None and end < now:
            raise _invalid("The EndDate you specify cannot be in the past.")
        if start is not None and end is not None and end <= start:
            raise _invalid("The EndDate must be later than the StartDate.")

    def _find(self, params: Mapping[str, Any], region: str) -> Schedule:
        group = params.get("GroupName", DEFAULT_GROUP)
        self._group(group, region)
        try:
            return self.store.get(region, group, params["Name"])
        except NotFoundError:
            raise _missing(f"Schedule {params['Name']} does not exist.") from None

    def _delete(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        found = self._find(params, region)
        self.store.delete(found)
        self.gone(found)
        return {}

    def _list(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        def wanted(each: Schedule) -> bool:
            return each.name.startswith(params.get("NamePrefix", "")) and each.body["State"] == params.get(
                "State", each.body["State"]
            )

        group = params.get("GroupName")
        if group:
            self._group(group, region)
        found, token = self.store.page(region, group, wanted, params.get("MaxResults", _PAGE), params.get("NextToken"))
        response: dict[str, Any] = {
            "Schedules": [
                {
                    "Arn": self._arn(each),
                    "Name": each.name,
                    "GroupName": each.group,
                    "State": each.body["State"],
                    "Target": {"Arn": each.body["Target"]["Arn"]},
                    "CreationDate": each.created_at,
                    "LastModificationDate": each.modified_at,
                }
                for each in found
            ]
        }
        return response | ({"NextToken": token} if token else {})

    def _rendered(self, schedule: Schedule) -> dict[str, Any]:
        body = {name: value for name, value in schedule.body.items() if name != "ClientToken"}
        for name in _TIMES:
            if name in body:
                body[name] = datetime.fromisoformat(body[name])
        return body | {
            "Arn": self._arn(schedule),
            "Name": schedule.name,
            "CreationDate": schedule.created_at,
            "LastModificationDate": schedule.modified_at,
        }

    def _arn(self, schedule: Schedule) -> str:
        return schedule.arn(self.account_id)

    # -- groups and tags ---------------------------------------------------------------------------------------

    def _group(self, name: str, region: str) -> dict[str, Any]:
        try:
            times = self.store.group(region, name)
        except NotFoundError:
            raise _missing(f"Schedule group {name} does not exist.") from None
        described = {"Arn": self._group_arn(region, name), "Name": name, "State": "ACTIVE"}
        return described | ({"CreationDate": times[0], "LastModificationDate": times[1]} if times else {})

    def _group_arn(self, region: str, name: str) -> str:
        return f"arn:aws:scheduler:{region}:{self.account_id}:schedule-group/{name}"

    def _create_group(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        name, arn = params["Name"], self._group_arn(region, params["Name"])
        try:
            self.store.create_group(region, name)
        except ConflictError:
            raise AwsError("ConflictException", f"Schedule group {name} already exists.", _CONFLICT) from None
        self.store.tags.add(arn, {tag["Key"]: tag["Value"] for tag in params.get("Tags", ())})
        return {"ScheduleGroupArn": arn}

    def _delete_group(self, name: str, region: str) -> dict[str, Any]:
        self._group(name, region)
        if name == DEFAULT_GROUP:
            raise _invalid("The default schedule group cannot be deleted.")
        for schedule in self.store.all_of(region, name):
            self.store.delete(schedule)
            self.gone(schedule)
        self.store.delete_group(region, name)
        self.store.tags.remove(self._group_arn(region, name))
        return {}

    def _list_groups(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        names = [name for name in self.store.groups(region) if name.startswith(params.get("NamePrefix", ""))]
        token = params.get("NextToken")
        if token:
            names = [name for name in names if name > token]
        size = params.get("MaxResults", _PAGE)
        response: dict[str, Any] = {"ScheduleGroups": [self._group(name, region) for name in names[:size]]}
        return response | ({"NextToken": names[size - 1]} if len(names) > size else {})

    def _tags(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        arn = params["ResourceArn"]
        _, _, _, region, _, resource = arn.split(":", 5)
        self._group(resource.removeprefix("schedule-group/"), region)
        match operation:
            case "TagResource":
                self.store.tags.add(arn, {tag["Key"]: tag["Value"] for tag in params["Tags"]})
            case "UntagResource":
                self.store.tags.remove(arn, params["TagKeys"])
            case _:
                found = self.store.tags.get(arn)
                return {"Tags": [{"Key": key, "Value": value} for key, value in found.items()]}
        return {}


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _missing(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, _NOT_FOUND)
