"""Several pipeline jobs at once: cancelled, or deleted; all or none of them."""

from __future__ import annotations

from collections.abc import Sequence

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import failed_precondition, invalid, not_found
from mlparity.apis.vertex.names import id_of
from mlparity.apis.vertex.operation import Call
from mlparity.apis.vertex.pipeline_jobs_resource import FINAL, PIPELINE_JOBS
from mlparity.errors import NotFoundError
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest
from mlparity.wire.google.descriptors import Message

_MOST = 32
_WAITING = "BatchCancelPipelineJobs"  # kind of the documents that say which jobs an operation waits for
_SLICE = 200


def cancel(vertex: Vertex, request: Message, call: Call) -> Message:
    """BatchCancelPipelineJobs: those that have ended are passed over; done when all others have."""
    names = _names(request)
    with vertex.transaction():
        active = [name for name in names if _state(vertex, name) not in FINAL]
        operation = vertex.operations.start(call, request.parent)
        vertex.documents.create(_WAITING, operation.name, {"names": active})
        for name in active:
            vertex.pipelines.stop(id_of(name))
        _end_if_all_have(vertex, operation.name, active)
        return vertex.operations.get(operation.name).message(call.api)


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """BatchDeletePipelineJobs."""
    names = _names(request)
    with vertex.transaction():
        deleted = [forget(vertex, call, name) for name in names]
        response = call.new("BatchDeletePipelineJobsResponse", pipeline_jobs=deleted)
        return vertex.operations.done(call, request.parent, response)


def forget(vertex: Vertex, call: Call, name: str) -> Message:
    """Delete a job that has ended; the job as it was. Its lineage stays. Raises ``GoogleError``."""
    job = PIPELINE_JOBS.get(vertex, call.api, name)
    state = call.api.enum_name("PipelineState", job.state)
    if state not in FINAL:
        raise failed_precondition(f"The PipelineJob `{name}` is in state {state}: only jobs that ended are deleted.")
    PIPELINE_JOBS.delete(vertex, name)
    vertex.pipelines.delete(id_of(name))
    return job


def end_batches(vertex: Vertex, ended: str) -> None:
    """Finish the operations that waited for the job ``ended`` as the last one."""
    page = vertex.documents.list(_WAITING, DocumentFilter(), PageRequest("created_at", False, _SLICE, None))
    for document in page.items:
        if ended in document.body["names"]:
            _end_if_all_have(vertex, document.name, document.body["names"])


def _end_if_all_have(vertex: Vertex, operation: str, names: Sequence[str]) -> None:
    jobs = [_found(vertex, name) for name in names]
    resources = [job.body["resource"] for job in jobs if job is not None]
    if all(resource["state"] in FINAL for resource in resources):
        vertex.operations.finish(operation, {"pipelineJobs": resources})
        vertex.documents.delete(_WAITING, operation)


def _names(request: Message) -> list[str]:
    names = list(dict.fromkeys(request.names))
    if len(names) > _MOST:
        raise invalid({"names": f"There are {len(names)} names: at most {_MOST} are taken."})
    start = f"{request.parent}/pipelineJobs/"
    wrong = {
        f"names[{number}]": f"The name {name!r} is no PipelineJob of {request.parent}."
        for number, name in enumerate(names)
        if not name.startswith(start) or "/" in name[len(start) :]
    }
    if wrong:
        raise invalid(wrong)
    return names


def _state(vertex: Vertex, name: str) -> str:
    found = _found(vertex, name)
    if found is None:
        raise not_found(PIPELINE_JOBS.message, name)
    return str(found.body["resource"]["state"])


def _found(vertex: Vertex, name: str) -> Document | None:
    try:
        return vertex.documents.get(PIPELINE_JOBS.message, name)
    except NotFoundError:
        return None
