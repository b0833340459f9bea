"""Batch prediction jobs: create, get, list, cancel, delete.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlparity.apis.vertex import model_store
from mlparity.apis.vertex.batch_prediction_spec import STATS, refuse_unsupported, spec
from mlparity.apis.vertex.context import API, Vertex
from mlparity.apis.vertex.errors import failed_precondition, invalid
from mlparity.apis.vertex.job_states import FINAL, QUEUED, STATES, job_state, written
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.models import check_model
from mlparity.apis.vertex.names import id_of, new_id
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.apis.vertex.serving_containers import number_of
from mlparity.engine.jobs import FailureKind, Job, NewJob, Phase
from mlparity.errors import NotFoundError
from mlparity.wire.aip160 import Language, enumeration, text, text_map, time
from mlparity.wire.google.descriptors import Message

KIND = "BatchPredictionJob"
JOBS = ResourceKind(KIND, "batchPredictionJobs")
_MODEL_NAME = "modelDisplayName"
_FAILED_PRECONDITION, _CANCELLED = 9, 1  # google.rpc.Code
_LISTING = Listing(
    JOBS,
    "batch_prediction_jobs",
    Language(
        {
            "display_name": text(wildcards=True),
            "model_display_name": text(("=", "!=")),
            "state": enumeration(STATES),
            "create_time": time(),
            "labels": text_map(),
        }
    ),
    # Not a field of the message: it is kept beside them, where readers of messages leave it out.
    computed={"model_display_name": lambda _name, resource: resource.get(_MODEL_NAME)},
)


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """CreateBatchPredictionJob: it starts at once."""
    job = request.batch_prediction_job
    job.name = f"{request.parent}/batchPredictionJobs/{new_id(vertex.ids)}"
    given = model_store.as_json(call.api, job)
    refuse_unsupported(given)
    model = _model(vertex, job, given)
    directory = _directory(vertex, given, model)
    plan = spec(given, model, vertex.store, number_of(vertex.project, job.name), directory)
    job.state = call.api.enum_number("JobState", QUEUED)
    with vertex.transaction():
        created = JOBS.create(vertex, call.api, job, {"directory": directory})
        made = vertex.jobs.submit(NewJob(API, KIND, id_of(job.name), {"name": job.name}, plan))
        body = vertex.documents.get(KIND, job.name).body
        resource = {**body["resource"], _MODEL_NAME: model["displayName"]}
        private = {**body["private"], "job": made.id}
        vertex.documents.merge(KIND, job.name, {"resource": resource, "private": private})
        return created


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetBatchPredictionJob."""
    return JOBS.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListBatchPredictionJobs."""
    return _LISTING.respond(vertex, request, call)


def cancel(vertex: Vertex, request: Message, call: Call) -> Message:
    """CancelBatchPredictionJob: asks; nothing where it has ended."""
    stored = JOBS.load(vertex, call.api, request.name)
    vertex.jobs.stop(stored.private["job"])
    return call.new("google.protobuf.Empty")


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeleteBatchPredictionJob: one that has ended. Its output stays."""
    with vertex.transaction():
        job = JOBS.get(vertex, call.api, request.name)
        state = call.api.enum_name("JobState", job.state)
        if state not in FINAL:
            raise failed_precondition(
                f"BatchPredictionJob `{job.name}` is in state {state}: only ended jobs are deleted."
            )
        JOBS.delete(vertex, job.name)
        return vertex.operations.done(call, job.name, call.new("google.protobuf.Empty"))


def on_job(vertex: Vertex, job: Job) -> None:
    """For ``JobService.listen(..., within=True)``: the resource tells what has become of the job."""
    if (job.api, job.kind) != (API, KIND):
        return
    name = job.request["name"]
    try:
        document = vertex.documents.get(KIND, name)
    except NotFoundError:
        return
    resource = {**document.body["resource"], "state": job_state(job), "updateTime": written(job.modified_at)}
    resource |= _told(job, document.body["private"]["directory"])
    vertex.documents.merge(KIND, name, {"resource": resource})


def _model(vertex: Vertex, job: Message, given: Mapping[str, Any]) -> dict[str, Any]:
    """JSON of the model; ``job`` gets the number of its version."""
    path = "batch_prediction_job.model"
    if ("model" in given) == ("unmanagedContainerModel" in given):
        raise invalid({path: "Exactly one of model and unmanaged_container_model must be set."})
    if "unmanagedContainerModel" in given:
        model = {"displayName": "unmanaged", **given["unmanagedContainerModel"]}
        check_model(vertex.store, model)
        return model
    found = model_store.get(vertex, job.model)
    job.model, job.model_version_id = found["name"], found["versionId"]
    return found


def _directory(vertex: Vertex, given: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    prefix = given["outputConfig"]["gcsDestination"]["outputUriPrefix"].rstrip("/")
    now = vertex.clock.now()
    stamp = f"{now:%Y_%m_%dT%H_%M_%S}_{now.microsecond // 1000:03d}Z"
    return f"{prefix}/prediction-{model['displayName']}-{stamp}"


def _told(job: Job, directory: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if job.started_at is not None:
        found["startTime"] = written(job.started_at)
    if not job.phase.is_final:
        return found
    found["endTime"] = written(job.ended_at or job.modified_at)
    stats = job.results.get("files", {}).get(STATS)
    if stats:
        found["completionStats"] = {name: str(count) for name, count in json.loads(stats).items()}
        found["outputInfo"] = {"gcsOutputDirectory": directory}
    if job.phase is Phase.FAILED:
        reason = job.failure_reason or "The batch prediction failed."
        if job.failure_kind is not FailureKind.PROGRAM:
            reason = f"Batch prediction job failed: {reason}"
        found["error"] = {"code": _FAILED_PRECONDITION, "message": reason}
    elif job.phase is Phase.STOPPED:
        found["error"] = {"code": _CANCELLED, "message": "The job was cancelled."}
    return found


_PARTIAL = (
    "jsonl, csv and file-list to jsonl; no BigQuery, TFRecord, explanations or monitoring; replicas are processes"
)
OPERATIONS = (
    Operation("JobService.CreateBatchPredictionJob", create, _PARTIAL),
    Operation("JobService.GetBatchPredictionJob", get),
    Operation("JobService.ListBatchPredictionJobs", list_),
    Operation("JobService.CancelBatchPredictionJob", cancel),
    Operation("JobService.DeleteBatchPredictionJob", delete),
)
