"""Schedules: pipeline jobs begun by the clock; created, read, changed, paused, resumed, deleted.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.schedules
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import failed_precondition, invalid, unimplemented
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import new_id
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.pipeline_jobs_creation import Start, check
from mlparity.apis.vertex.schedules_cron import parse
from mlparity.apis.vertex.schedules_resource import ACTIVE, COMPLETED, PAUSED, SCHEDULES
from mlparity.wire.aip160 import Language, enumeration, presence, text, time
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.field_mask import ALL
from mlparity.wire.google.status import Violation

_LISTING = Listing(
    SCHEDULES,
    "schedules",
    Language(
        {
            "display_name": text(),
            "state": enumeration((ACTIVE, PAUSED, COMPLETED)),
            "create_pipeline_job_request": presence(),
            "create_notebook_execution_job_request": presence(),
            "create_time": time(),
            "start_time": time(),
            "end_time": time(),
            "next_run_time": time(),
        }
    ),
    order_by=("create_time", "start_time", "end_time", "next_run_time"),
    page_size=100,
)
_LONGEST_NAME = 128


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """CreateSchedule: ACTIVE at once."""
    schedule = request.schedule
    now = vertex.clock.now()
    schedule.name = f"{request.parent}/schedules/{new_id(vertex.ids)}"
    if not schedule.HasField("start_time"):
        schedule.start_time.FromDatetime(now)
    _check(vertex, schedule, request.parent)
    if schedule.HasField("end_time") and schedule.end_time.ToDatetime(tzinfo=UTC) <= now:
        raise invalid({"schedule.end_time": "The end time must be in the future."})
    schedule.state = call.api.enum_number("Schedule.State", ACTIVE)
    _set_next(schedule, now)
    with vertex.transaction():
        created = SCHEDULES.create(vertex, call.api, schedule)
        vertex.runs.repository.after_commit(vertex.wake_timers)
    return created


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetSchedule."""
    return SCHEDULES.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListSchedules: of a location."""
    return _LISTING.respond(vertex, request, call)


def update(vertex: Vertex, request: Message, call: Call) -> Message:
    """UpdateSchedule: runs begin from the next time after now; what was not begun before is passed over."""
    paths = list(request.update_mask.paths)
    with vertex.transaction():
        before = SCHEDULES.get(vertex, call.api, request.schedule.name)
        if _state(call, before) == COMPLETED:
            raise _refused(before, COMPLETED, "updated")
        unset = {
            f"schedule.{path}": "A field that is set cannot be unset."
            for path in paths
            if path != ALL and _has(before, path) and not _has(request.schedule, path)
        }
        if unset:
            raise invalid(unset)

        def finish(changed: Message) -> None:
            if not changed.HasField("start_time"):
                changed.start_time.CopyFrom(before.start_time)
            _check(vertex, changed, before.name.rpartition("/schedules/")[0])
            _set_next(changed, vertex.clock.now())
            if 0 < changed.max_run_count <= changed.started_run_count:
                changed.state = call.api.enum_number("Schedule.State", COMPLETED)
                changed.ClearField("next_run_time")

        SCHEDULES.update(vertex, call.api, request.schedule, paths, finish)
        vertex.runs.repository.after_commit(vertex.wake_timers)
        return SCHEDULES.get(vertex, call.api, before.name)


def pause(vertex: Vertex, request: Message, call: Call) -> Message:
    """PauseSchedule: of an active one; what it has begun goes on."""
    with vertex.transaction():
        schedule = SCHEDULES.get(vertex, call.api, request.name)
        if (state := _state(call, schedule)) != ACTIVE:
            raise _refused(schedule, state, "paused")
        schedule.state = call.api.enum_number("Schedule.State", PAUSED)
        schedule.last_pause_time.FromDatetime(vertex.clock.now())
        SCHEDULES.save(vertex, call.api, schedule)
    return call.response()


def resume(vertex: Vertex, request: Message, call: Call) -> Message:
    """ResumeSchedule: of a paused one; with ``catch_up`` the runs that it missed come first."""
    now = vertex.clock.now()
    with vertex.transaction():
        stored = SCHEDULES.load(vertex, call.api, request.name)
        schedule = stored.message
        if (state := _state(call, schedule)) != PAUSED:
            raise _refused(schedule, state, "resumed")
        schedule.state = call.api.enum_number("Schedule.State", ACTIVE)
        schedule.last_resume_time.FromDatetime(now)
        schedule.catch_up = request.catch_up
        private = {name: value for name, value in stored.private.items() if name != "backfill_until"}
        if request.catch_up:
            private["backfill_until"] = now.isoformat()
        else:
            _set_next(schedule, now)
        SCHEDULES.save(vertex, call.api, schedule, private)
        vertex.runs.repository.after_commit(vertex.wake_timers)
    return call.response()


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeleteSchedule: what it has begun goes on."""
    with vertex.transaction():
        SCHEDULES.delete(vertex, request.name)
        return vertex.operations.done(call, request.name, call.new("google.protobuf.Empty"))


def _state(call: Call, schedule: Message) -> str:
    return call.api.enum_name("Schedule.State", schedule.state)


def _refused(schedule: Message, state: str, what: str) -> Exception:
    return failed_precondition(f"The Schedule `{schedule.name}` is in state {state} and cannot be {what}.")


def _has(message: Message, path: str) -> bool:
    """Whether the field that a path begins with is set; a number or a text where it is not empty."""
    field = message.DESCRIPTOR.fields_by_name.get(path.partition(".")[0])
    if field is None:
        return False
    return bool(message.HasField(field.name) if field.has_presence else getattr(message, field.name))


def _set_next(schedule: Message, now: datetime) -> None:
    """The next run's time, seen from now; none where the schedule ends before it."""
    cron, start = parse(schedule.cron), schedule.start_time.ToDatetime(tzinfo=UTC)
    following = cron.at_or_after(start) if start > now else cron.after(now)
    end = schedule.end_time.ToDatetime(tzinfo=UTC) if schedule.HasField("end_time") else None
    schedule.ClearField("next_run_time")
    if following is not None and (end is None or following <= end):
        schedule.next_run_time.FromDatetime(following)


def _check(vertex: Vertex, schedule: Message, parent: str) -> None:
    """Raise ``GoogleError`` for a schedule that cannot be, ``InvalidRequestError`` for a pipeline that cannot run."""
    if (asked_for := schedule.WhichOneof("request")) not in {None, "create_pipeline_job_request"}:
        raise unimplemented(f"{asked_for}: only pipeline jobs are scheduled here.")
    found = list(_violations(schedule, parent))
    if found:
        raise invalid(found)
    parse(schedule.cron)
    asked = schedule.create_pipeline_job_request
    check(vertex, Start(asked.parent, asked.pipeline_job, asked.pipeline_job_id))


def _violations(schedule: Message, parent: str) -> Iterator[Violation]:
    if len(schedule.display_name) > _LONGEST_NAME:
        yield Violation("schedule.display_name", f"It must have at most {_LONGEST_NAME} characters.")
    if not schedule.HasField("cron"):
        yield Violation("schedule.cron", "Required field is not set.")
    if not schedule.HasField("create_pipeline_job_request"):
        yield Violation("schedule.create_pipeline_job_request", "Required field is not set.")
    elif schedule.create_pipeline_job_request.parent != parent:
        yield Violation("schedule.create_pipeline_job_request.parent", f"It must be the schedule's own, {parent}.")
    if schedule.max_concurrent_run_count <= 0:
        yield Violation("schedule.max_concurrent_run_count", "It must be positive.")
    for field in ("max_run_count", "max_concurrent_active_run_count"):
        if getattr(schedule, field, 0) < 0:
            yield Violation(f"schedule.{field}", "It must be positive.")
    if schedule.HasField("end_time") and schedule.end_time.ToDatetime() <= schedule.start_time.ToDatetime():
        yield Violation("schedule.end_time", "The end time must be after the start time.")


OPERATIONS = (
    Operation(
        "ScheduleService.CreateSchedule",
        create,
        partial="requests of other jobs than pipelines' are refused; max_concurrent_run_count limits how many runs are "
        "being started at a time, as documented, and they are started one by one here",
    ),
    Operation("ScheduleService.GetSchedule", get),
    Operation("ScheduleService.ListSchedules", list_),
    Operation("ScheduleService.UpdateSchedule", update),
    Operation("ScheduleService.PauseSchedule", pause),
    Operation("ScheduleService.ResumeSchedule", resume),
    Operation("ScheduleService.DeleteSchedule", delete),
)
