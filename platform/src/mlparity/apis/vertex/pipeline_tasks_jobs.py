"""The jobs of a pipeline's tasks as custom jobs, which is what they are on Vertex.

Nothing is stored for them: each is told from the engine's job when it is asked for by the name in ``executor_detail``.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.json_format import ParseDict

from mlparity.apis.vertex.context import API, Vertex
from mlparity.apis.vertex.job_states import told, written
from mlparity.apis.vertex.names import id_of, location_of
from mlparity.apis.vertex.operation import Call
from mlparity.apis.vertex.pipeline_jobs_resource import PIPELINE_JOBS
from mlparity.engine.jobs import Job
from mlparity.errors import NotFoundError
from mlparity.pipeline_ir.container_step import JOB_KIND
from mlparity.state.documents import Document
from mlparity.wire.google.descriptors import Message

_ID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")  # of the engine's jobs; custom jobs have numbers


def job_name(pipeline_job: str, job_id: str) -> str:
    """The custom job's name."""
    return f"{location_of(pipeline_job)}/customJobs/{job_id}"


def find(vertex: Vertex, call: Call, name: str) -> Message | None:
    """The custom job of that name, None where it is no job of a pipeline's task."""
    if not _ID.fullmatch(id_of(name)):
        return None
    try:
        job = vertex.jobs.repository.get(id_of(name))
        if (job.api, job.kind) != (API, JOB_KIND):
            return None
        run = vertex.runs.repository.get(str(job.request["run"]))
        owner = vertex.documents.get(PIPELINE_JOBS.message, str(run.request["vendor"]["name"]))
    except NotFoundError:
        return None
    if job_name(owner.name, job.id) != name:
        return None
    resource = _resource(job, owner)
    return ParseDict(resource, call.new("CustomJob"), ignore_unknown_fields=True, descriptor_pool=call.api.pool)


def _resource(job: Job, owner: Document) -> dict[str, Any]:
    container = {
        "imageUri": job.spec.image,
        "command": list(job.spec.command),
        "args": list(job.spec.arguments),
        "env": [{"name": name, "value": value} for name, value in job.spec.environment.items()],
    }
    return {
        "name": job_name(owner.name, job.id),
        "displayName": job.name,
        "jobSpec": {
            "workerPoolSpecs": [{"replicaCount": "1", "containerSpec": container}],
            "serviceAccount": owner.body["resource"].get("serviceAccount", ""),
        },
        "labels": owner.body["resource"].get("labels", {}),
        "createTime": written(job.created_at),
        **told(job, job.modified_at, ""),
    }
