"""Custom jobs: create, get, list, cancel, delete.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.customJobs
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, cast

from google.protobuf.json_format import MessageToDict

from mlparity.apis.vertex import job_contract_checks, pipeline_tasks_jobs
from mlparity.apis.vertex.context import API, Vertex
from mlparity.apis.vertex.errors import failed_precondition, not_found
from mlparity.apis.vertex.job_contract import JobFacts, job_spec
from mlparity.apis.vertex.job_states import FINAL, STATES, Json, told, written
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import id_of, new_id, parent_of, project_number, project_of, region_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.engine.jobs import Job, NewJob
from mlparity.errors import NotFoundError, StackError
from mlparity.pipeline_ir.log_tail import failure_text
from mlparity.wire.aip160 import Language, enumeration, text, text_map, time
from mlparity.wire.google.descriptors import Message

if TYPE_CHECKING:
    from mlparity.storage.bucketstore import BucketStore

CUSTOM_JOBS = ResourceKind("CustomJob", "customJobs")
KIND = "CustomJob"  # of its jobs in the engine
_LISTING = Listing(
    CUSTOM_JOBS,
    "custom_jobs",
    Language(
        {
            "display_name": text(wildcards=True),
            "state": enumeration(STATES),
            "create_time": time(),
            "start_time": time(),
            "end_time": time(),
            "update_time": time(),
            "labels": text_map(),
        }
    ),
)


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """CreateCustomJob."""
    resource = MessageToDict(request.custom_job, descriptor_pool=call.api.pool)
    check(vertex, resource["jobSpec"], "custom_job.job_spec")
    name = f"{request.parent}/{CUSTOM_JOBS.collection}/{new_id(vertex.ids)}"
    with vertex.transaction():
        start(vertex, name, resource)
        return CUSTOM_JOBS.get(vertex, call.api, name)


def check(vertex: Vertex, spec: Json, path: str) -> None:
    """Refuse a ``CustomJobSpec`` (JSON) that cannot run. Raises ``GoogleError``."""
    job_contract_checks.check(spec, path, buckets(vertex))


def start(vertex: Vertex, name: str, resource: Json, *, trial: str = "", owner: Mapping[str, str] | None = None) -> Job:
    """Store the ``CustomJob`` (JSON) under its name and start it; ``owner`` says what it belongs to.

    Its spec must have been checked. Raises ``RuntimeUnavailableError`` where no runtime stands for its image.
    """
    spec = resource["jobSpec"]
    run = job_spec(spec, _facts(vertex, name, spec, trial), vertex.store, buckets(vertex))
    now = written(vertex.clock.now())
    stored = {**resource, "name": name, "createTime": now, "updateTime": now}
    with vertex.transaction():
        vertex.documents.create(CUSTOM_JOBS.message, name, {"resource": stored, "private": {}})
        return vertex.jobs.submit(NewJob(API, KIND, id_of(name), {"name": name, **(owner or {})}, run))


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetCustomJob: those of pipelines' tasks, too."""
    return pipeline_tasks_jobs.find(vertex, call, request.name) or CUSTOM_JOBS.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListCustomJobs."""
    return _LISTING.respond(vertex, request, call)


def cancel(vertex: Vertex, request: Message, call: Call) -> Message:
    """CancelCustomJob: asks; a job that has ended is refused."""
    job = CUSTOM_JOBS.get(vertex, call.api, request.name)
    state = call.api.enum_name("JobState", job.state)
    if state in FINAL:
        raise failed_precondition(f"The CustomJob `{job.name}` is in state {state} and cannot be cancelled.")
    vertex.jobs.stop(job_of(vertex, job.name).id)
    return call.new("google.protobuf.Empty")


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeleteCustomJob: one that has ended; what it has made stays."""
    with vertex.transaction():
        job = CUSTOM_JOBS.get(vertex, call.api, request.name)
        state = call.api.enum_name("JobState", job.state)
        if state not in FINAL:
            raise failed_precondition(
                f"The CustomJob `{job.name}` is in state {state}: cancel it before you delete it."
            )
        forget(vertex, job.name)
        return vertex.operations.done(call, job.name, call.new("google.protobuf.Empty"))


def forget(vertex: Vertex, name: str) -> None:
    """Delete the resource and its job."""
    CUSTOM_JOBS.delete(vertex, name)
    vertex.jobs.repository.delete(job_of(vertex, name).id)


def job_of(vertex: Vertex, name: str) -> Job:
    """The engine's job. Raises ``GoogleError`` NOT_FOUND."""
    try:
        return vertex.jobs.repository.find(API, KIND, id_of(name))
    except NotFoundError:
        raise not_found(CUSTOM_JOBS.message, name) from None


def on_job(vertex: Vertex, job: Job) -> Json | None:
    """To be told of every job's phases (``JobService.listen``, within): the resource follows its job.

    The fields that changed; None where the job is none of these, or its resource is gone.
    """
    if (job.api, job.kind) != (API, KIND):
        return None
    name = job.request["name"]
    try:
        stored = vertex.documents.get(CUSTOM_JOBS.message, name).body["resource"]
    except NotFoundError:
        return None
    fields = told(job, vertex.clock.now(), _log_tail(vertex, job) if job.phase.is_final else "")
    vertex.documents.merge(CUSTOM_JOBS.message, name, {"resource": {**stored, **fields}})
    return fields


def buckets(vertex: Vertex) -> Collection[str]:
    """The names of all buckets."""
    store = cast("BucketStore", vertex.store)
    return {bucket.name for bucket in store.buckets.list()}


def _facts(vertex: Vertex, name: str, spec: Json, trial: str) -> JobFacts:
    project = project_of(name)
    experiment = id_of(spec.get("experiment", ""))
    run = id_of(spec.get("experimentRun", "")).removeprefix(f"{experiment}-")
    number = vertex.project.number if project == vertex.project.id else project_number(project)
    return JobFacts(id_of(name), number, region_of(parent_of(name)), trial, experiment, run)


def _log_tail(vertex: Vertex, job: Job) -> str:
    """The last lines of the replica whose end was the job's."""
    if job.exit_code == 0 or not job.results.get("instance"):
        return ""
    instances = {instance.name: instance for instance in job.spec.instances}
    try:
        log = vertex.logs.create(instances[job.results["instance"]].log)
        return failure_text(log, job).partition("\n")[2]
    except (StackError, OSError):  # this process was started without logs, or the disk is full
        return ""


OPERATIONS = (
    Operation(
        "JobService.CreateCustomJob",
        create,
        "up to 8 replicas, as processes, all of one image; no accelerators, NFS, interactive shells, dashboards, "
        "persistent resources or upload of TensorBoard logs; /gcs has the objects that the job names; disks, networks, "
        "service accounts and keys are kept and have no effect",
    ),
    Operation("JobService.GetCustomJob", get),
    Operation("JobService.ListCustomJobs", list_),
    Operation("JobService.CancelCustomJob", cancel),
    Operation("JobService.DeleteCustomJob", delete),
)
