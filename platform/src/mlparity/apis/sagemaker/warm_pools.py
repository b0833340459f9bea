"""Managed warm pools: a completed job's instances stay for the next job that matches.

https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html

Here a start is warm anyway; what is kept is the vendor's state machine, so that code that manages pools can be
tried: InUse -> Available -> Reused | Terminated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from mlparity.apis.sagemaker.context import API, Request, Response, SageMaker
from mlparity.engine.jobs import Job, Phase
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest

_KIND = "WarmPool"
# What two jobs must have in common, as the vendor lists it.
_RESOURCES = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
_REQUEST = ("RoleArn", "VpcConfig", "EnableInterContainerTrafficEncryption", "EnableNetworkIsolation")


def on_job(api: SageMaker, job: Job) -> None:
    """Keep the instances of a job that has completed; a JobService listener."""
    if job.api != API or job.kind != "TrainingJob" or job.phase is not Phase.COMPLETED or job.ended_at is None:
        return
    kept = keep_alive(job.request)
    if not kept:
        return
    until = job.ended_at + timedelta(seconds=kept)
    body = {"match": _match(job.request), "until": until.isoformat(), "since": job.ended_at.isoformat()}
    try:
        api.documents.create(_KIND, job.name, body)
    except ConflictError:
        return  # told twice, after a crash


def claim(api: SageMaker, request: Request, arn: str) -> None:
    """Let the job ``arn`` reuse the newest pool that matches, if there is one."""
    if not keep_alive(request):
        return
    for pool in _pools(api):
        if _is_available(api, pool) and pool.body["match"] == _match(request):
            api.documents.merge(_KIND, pool.name, {"reused_by": arn, "released": api.clock.now().isoformat()})
            return


def status(api: SageMaker, job: Job) -> Response | None:
    """``WarmPoolStatus`` of a job; None where it asked for no pool."""
    if not keep_alive(job.request):
        return None
    try:
        pool = api.documents.get(_KIND, job.name)
    except NotFoundError:
        return {"Status": "Terminated" if job.phase.is_final else "InUse"}
    if "reused_by" in pool.body:
        return {
            "Status": "Reused",
            "ReusedByJob": pool.body["reused_by"],
            "ResourceRetainedBillableTimeInSeconds": _retained(pool, datetime.fromisoformat(pool.body["released"])),
        }
    end = min(api.clock.now(), datetime.fromisoformat(pool.body["until"]))
    state = "Available" if _is_available(api, pool) else "Terminated"
    return {"Status": state, "ResourceRetainedBillableTimeInSeconds": _retained(pool, end)}


def set_keep_alive(api: SageMaker, job: Job, seconds: int) -> None:
    """Change how long an available pool stays; 0 ends it."""
    pool = api.documents.get(_KIND, job.name)
    until = datetime.fromisoformat(pool.body["since"]) + timedelta(seconds=seconds)
    api.documents.merge(_KIND, job.name, {"until": max(until, api.clock.now()).isoformat()})


def keep_alive(request: Request) -> int:
    """``KeepAlivePeriodInSeconds``; 0 where there is none."""
    seconds: int = request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0)
    return seconds


def _pools(api: SageMaker) -> Iterator[Document]:
    page = api.documents.list(_KIND, DocumentFilter(), PageRequest("created_at", descending=True, limit=100))
    yield from page.items


def _is_available(api: SageMaker, pool: Document) -> bool:
    return "reused_by" not in pool.body and datetime.fromisoformat(pool.body["until"]) > api.clock.now()


def _retained(pool: Document, end: datetime) -> int:
    return max(0, int((end - datetime.fromisoformat(pool.body["since"])).total_seconds()))


def _match(request: Request) -> str:
    resources = request.get("ResourceConfig", {})
    parts = {name: resources.get(name) for name in _RESOURCES} | {name: request.get(name) for name in _REQUEST}
    return json.dumps(parts, sort_keys=True)
