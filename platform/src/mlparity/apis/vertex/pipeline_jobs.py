"""Pipeline jobs: compiled pipelines run on the one engine; read, listed, cancelled, deleted.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.vertex import pipeline_jobs_batches
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import failed_precondition
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import id_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.pipeline_jobs_batches import forget
from mlparity.apis.vertex.pipeline_jobs_creation import Start, begin
from mlparity.apis.vertex.pipeline_jobs_resource import FINAL, PIPELINE_JOBS
from mlparity.apis.vertex.pipeline_tasks import fill_contexts, fill_tasks
from mlparity.wire.aip160 import Language, enumeration, text, text_map, time
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.field_mask import ALL, read

_STATES = tuple(
    f"PIPELINE_STATE_{name}"
    for name in ("QUEUED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLING", "CANCELLED", "PAUSED")
)


def _pipeline_name(_name: str, resource: Mapping[str, Any]) -> Any:
    return resource["pipelineSpec"].get("pipelineInfo", {}).get("name")


_LISTING = Listing(
    PIPELINE_JOBS,
    "pipeline_jobs",
    Language(
        {
            "pipeline_name": text(("=", "!=")),
            "display_name": text(),
            "pipeline_job_user_id": text(),
            "state": enumeration(_STATES),
            "create_time": time(),
            "update_time": time(),
            "start_time": time(),
            "end_time": time(),
            "labels": text_map(),
            "template_uri": text(),
            "template_metadata.version": text(),
            "schedule_name": text(("=", "!=")),
        }
    ),
    order_by=("create_time", "update_time", "end_time", "start_time"),
    computed={"pipeline_name": _pipeline_name, "pipeline_job_user_id": lambda name, _resource: id_of(name)},
)


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """CreatePipelineJob: the run begins at once.

    Its contexts are told at once, too: the SDK, which adds them to an experiment, looks again only while a job is
    not done, and one whose tasks are cached is done before it looks.
    """
    job = begin(vertex, call.api, Start(request.parent, request.pipeline_job, request.pipeline_job_id))
    fill_contexts(vertex, call, job, job.name, _spec_name(job))
    return job


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetPipelineJob, with its details."""
    job = PIPELINE_JOBS.get(vertex, call.api, request.name)
    fill_contexts(vertex, call, job, job.name, _spec_name(job))
    fill_tasks(vertex, call, job)
    return job


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListPipelineJobs: without details, but for the contexts where ``read_mask`` names them."""
    paths = [_in_json(path) for path in request.read_mask.paths]
    request.ClearField("read_mask")
    response = _LISTING.respond(vertex, request, call)
    for job in response.pipeline_jobs:
        if any(path.partition(".")[0] in {"job_detail", ALL} for path in paths):
            fill_contexts(vertex, call, job, job.name, _spec_name(job))
        if paths:
            job.CopyFrom(read(job, paths))
    return response


def cancel(vertex: Vertex, request: Message, call: Call) -> Message:
    """CancelPipelineJob: it is cancelled when its tasks have stopped."""
    with vertex.transaction():
        job = PIPELINE_JOBS.get(vertex, call.api, request.name)
        state = call.api.enum_name("PipelineState", job.state)
        if state in FINAL:
            raise failed_precondition(f"The PipelineJob `{job.name}` is in state {state} and cannot be cancelled.")
        vertex.pipelines.stop(id_of(job.name))
    return call.response()


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeletePipelineJob: of one that has ended; its lineage stays in the metadata store."""
    with vertex.transaction():
        forget(vertex, call, request.name)
        return vertex.operations.done(call, request.name, call.new("google.protobuf.Empty"))


def _spec_name(job: Message) -> str:
    info = job.pipeline_spec.fields.get("pipelineInfo")
    return str(info.struct_value.fields["name"].string_value) if info is not None else ""


def _in_json(path: str) -> str:
    """A path into the spec as the spec writes it: ``pipeline_spec.pipeline_info`` is its ``pipelineInfo``."""
    first, *rest = path.split(".")
    return ".".join([first, *(_camel(part) for part in rest)]) if first in {"pipeline_spec", "pipelineSpec"} else path


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


OPERATIONS = (
    Operation(
        "PipelineService.CreatePipelineJob",
        create,
        partial="an ID is taken for all locations of the stack; network, reserved_ip_ranges, psc_interface_config and "
        "encryption_spec are kept and have no effect here; template_uri without pipeline_spec, default_runtime and "
        "reruns are refused",
    ),
    Operation("PipelineService.GetPipelineJob", get),
    Operation("PipelineService.ListPipelineJobs", list_),
    Operation("PipelineService.CancelPipelineJob", cancel),
    Operation("PipelineService.DeletePipelineJob", delete),
    Operation("PipelineService.BatchCancelPipelineJobs", pipeline_jobs_batches.cancel),
    Operation("PipelineService.BatchDeletePipelineJobs", pipeline_jobs_batches.delete),
)
