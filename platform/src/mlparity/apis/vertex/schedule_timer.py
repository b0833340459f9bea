"""Begins the pipeline jobs of schedules when they are due."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from google.protobuf.json_format import ParseDict

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.names import id_of
from mlparity.apis.vertex.pipeline_jobs_creation import Start, begin
from mlparity.apis.vertex.pipeline_jobs_resource import written
from mlparity.apis.vertex.schedules_cron import parse
from mlparity.apis.vertex.schedules_resource import (
    ACTIVE,
    COMPLETED,
    SCHEDULES,
    count_of,
    save,
    time_of,
    unfinished,
)
from mlparity.errors import MlparityError, StackError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest
from mlparity.wire.google.status import GoogleError

_LOG = logging.getLogger(__name__)
_SLICE = 200
_LONGEST_STEM = 100


class ScheduleTimer:
    """Timed work (``engine.scheduling``) over what is stored: nothing is kept in memory, nothing is lost with it."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex

    def next_due(self) -> datetime | None:
        """See ``TimedWork``. A queued run is not due until one that it waits for ends; None while types are read."""
        if not self._is_ready():
            return None
        dues = (self._due(schedule) for schedule in self._active())
        return min((due for due in dues if due is not None), default=None)

    def run_due(self) -> None:
        """See ``TimedWork``."""
        for schedule in list(self._active()):
            try:
                while self._advance(schedule.name):
                    pass
            except (GoogleError, MlparityError) as error:
                _LOG.warning("schedule %s: %s", schedule.name, error)

    def _is_ready(self) -> bool:
        try:
            return self._vertex.apis.ready()
        except StackError:
            return False

    def _active(self) -> Iterator[Document]:
        token: str | None = None
        while True:
            asked = PageRequest("created_at", False, _SLICE, token)
            page = self._vertex.documents.list(SCHEDULES.message, DocumentFilter(), asked)
            yield from (item for item in page.items if item.body["resource"]["state"] == ACTIVE)
            token = page.next_token
            if token is None:
                return

    def _due(self, schedule: Document) -> datetime | None:
        resource = schedule.body["resource"]
        due, end = time_of(resource, "nextRunTime"), time_of(resource, "endTime")
        if due is not None and _waits(schedule, due) and self._is_full(schedule):
            return None
        return min((moment for moment in (due, end) if moment is not None), default=None)

    def _advance(self, name: str) -> bool:
        """Do one thing that is due; whether there was one."""
        now = self._vertex.clock.now()
        due, answer = None, ""
        try:
            with self._vertex.transaction():
                schedule = self._vertex.documents.get(SCHEDULES.message, name)
                due = self._next_of(schedule, now)
                if due is None:
                    return False
                if self._is_full(schedule):
                    return self._pass_over(schedule, due)
                self._begin(schedule, due)
                return True
        except GoogleError as error:
            answer = error.message
        except MlparityError as error:
            answer = ". ".join(error.lines())
        if due is None:
            return False
        _LOG.warning("%s: the run of %s could not begin: %s", name, due, answer)
        with self._vertex.transaction():  # nothing of the run is left; its time has passed all the same
            schedule = self._vertex.documents.get(SCHEDULES.message, name)
            save(self._vertex, schedule, {**_answered(due, answer), **_next(schedule, due)}, {})
        return True

    def _next_of(self, schedule: Document, now: datetime) -> datetime | None:
        """The time of the run that is due; None where there is none. A schedule that is over becomes COMPLETED."""
        resource = schedule.body["resource"]
        due, end = time_of(resource, "nextRunTime"), time_of(resource, "endTime")
        if resource["state"] != ACTIVE:
            return None
        if end is not None and end <= now and due is None:
            save(self._vertex, schedule, {"state": COMPLETED}, {})
        if due is None or due > now:
            return None
        if _waits(schedule, due):
            return due
        # The stack may have been down: what was missed is not made up for.
        return parse(resource["cron"]).latest(due, now if end is None else min(now, end))

    def _is_full(self, schedule: Document) -> bool:
        most = count_of(schedule.body["resource"], "maxConcurrentActiveRunCount")
        return most > 0 and len(unfinished(self._vertex, schedule)) >= most

    def _pass_over(self, schedule: Document, due: datetime) -> bool:
        """Leave a run out because too many go on; False where it is queued."""
        if _waits(schedule, due):
            return False
        answer = "Skipped: max_concurrent_active_run_count was reached."
        save(self._vertex, schedule, {**_answered(due, answer), **_next(schedule, due)}, {})
        return True

    def _begin(self, schedule: Document, due: datetime) -> None:
        """One run, recorded together with it: so it is begun once."""
        resource = schedule.body["resource"]
        job = self._submit(schedule, due)
        started, most = count_of(resource, "startedRunCount") + 1, count_of(resource, "maxRunCount")
        changes = {**_answered(due, "OK"), **_next(schedule, due), "startedRunCount": str(started)}
        if 0 < most <= started:
            changes |= {"state": COMPLETED, "nextRunTime": None}
        save(self._vertex, schedule, changes, {"begun": [*unfinished(self._vertex, schedule), job]})

    def _submit(self, schedule: Document, due: datetime) -> str:
        """The new job's name."""
        request = schedule.body["resource"]["createPipelineJobRequest"]
        api = self._vertex.apis.get("v1")
        job = ParseDict(
            request["pipelineJob"], api.new("PipelineJob"), ignore_unknown_fields=True, descriptor_pool=api.pool
        )
        start = Start(request["parent"], job, self._job_id(schedule, due), schedule.name, due)
        return str(begin(self._vertex, api, start).name)

    def _job_id(self, schedule: Document, due: datetime) -> str:
        """The same occurrence is the same job, whoever begins it."""
        request = schedule.body["resource"]["createPipelineJobRequest"]
        spec = request["pipelineJob"].get("pipelineSpec", {})
        stem = request.get("pipelineJobId") or str(spec.get("pipelineInfo", {}).get("name", ""))
        stem = re.sub("[^a-z0-9-]+", "-", stem.lower()).strip("-")[:_LONGEST_STEM]
        name = f"{stem or 'pipeline'}-{due:%Y%m%d%H%M%S}"
        name = name if name[0].isalpha() else f"p{name}"
        taken = self._vertex.runs.repository.exists(name)
        return f"{name[:_LONGEST_STEM]}-{id_of(schedule.name)[-8:]}" if taken else name


def _waits(schedule: Document, due: datetime) -> bool:
    """Whether a run that cannot begin at its time is begun later: it is queued, or missed in a pause."""
    if schedule.body["resource"].get("allowQueueing"):
        return True
    until = schedule.body.get("private", {}).get("backfill_until")
    return until is not None and due <= datetime.fromisoformat(until)


def _next(schedule: Document, due: datetime) -> dict[str, Any]:
    resource = schedule.body["resource"]
    end, following = time_of(resource, "endTime"), parse(resource["cron"]).after(due)
    beyond = following is None or (end is not None and following > end)
    return {"nextRunTime": None if following is None or beyond else written(following)}


def _answered(due: datetime, answer: str) -> dict[str, Any]:
    return {"lastScheduledRunResponse": {"scheduledRunTime": written(due), "runResponse": answer}}
