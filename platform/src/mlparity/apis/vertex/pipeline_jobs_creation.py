"""How a pipeline job begins: its request checked, its resource stored, its run submitted.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import already_exists, invalid, unimplemented
from mlparity.apis.vertex.names import location_of, new_id, project_of, region_of
from mlparity.apis.vertex.pipeline_jobs_resource import (
    BILLING_LABEL,
    PENDING,
    PIPELINE_JOBS,
    PLACEHOLDERS,
    metadata_store,
    number_of,
    scope_of,
)
from mlparity.metadata import Node
from mlparity.pipeline_ir.service import PipelineRequest
from mlparity.pipeline_ir.tasks import ArtifactValue
from mlparity.wire.google.descriptors import ApiVersion, Message
from mlparity.wire.google.status import Violation

_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_TEMPLATE_VERSION = re.compile(r"sha256:[0-9a-f]+")  # in the URI of a template in Artifact Registry
_LONGEST_NAME = 128
_MOST_LABELS = 64


@dataclass(frozen=True)
class Start:
    """A pipeline job to begin. ``job_id`` "" gets one; ``schedule`` is the name of the schedule that begins it."""

    parent: str
    job: Message
    job_id: str = ""
    schedule: str = ""
    scheduled_at: datetime | None = None


def check(vertex: Vertex, start: Start) -> None:
    """Raise what ``begin`` would raise for the job, but for what depends on the moment: an id that is taken."""
    _check_fields(start)
    vertex.pipelines.check(_spec(start.job), None, _parameters(start.job.runtime_config))


def begin(vertex: Vertex, api: ApiVersion, start: Start) -> Message:
    """Store the job and begin its run; the job as it was made.

    Raises ``GoogleError``, and ``InvalidRequestError`` where the pipeline cannot run here.
    """
    _check_fields(start)
    job = type(start.job)()
    job.CopyFrom(start.job)
    job_id = start.job_id or f"p{new_id(vertex.ids)}"
    job.name = f"{start.parent}/pipelineJobs/{job_id}"
    number = new_id(vertex.ids)
    job.labels[BILLING_LABEL] = number
    job.state = api.enum_number("PipelineState", PENDING)
    if not job.service_account:
        job.service_account = f"{number_of(vertex, job.name)}-compute@developer.gserviceaccount.com"
    if start.schedule:
        job.schedule_name = start.schedule
    if version := _TEMPLATE_VERSION.search(job.template_uri):
        job.template_metadata.version = version[0]
    with vertex.transaction():
        if vertex.runs.repository.exists(job_id):  # an id is taken for all locations of the stack
            raise already_exists("PipelineJob", job.name)
        made = PIPELINE_JOBS.create(vertex, api, job, {"number": number})
        vertex.pipelines.submit(_request(vertex, made, job_id, start.scheduled_at))
    return made


def _request(vertex: Vertex, job: Message, job_id: str, scheduled_at: datetime | None) -> PipelineRequest:
    config, spec = job.runtime_config, _spec(job)
    return PipelineRequest(
        id=job_id,
        name=job_id,
        pipeline_name=str(spec.get("pipelineInfo", {}).get("name", "")),
        spec=spec,
        pipeline_root=config.gcs_output_directory or str(spec.get("defaultPipelineRoot", "")),
        parameters=_parameters(config),
        input_artifacts=_input_artifacts(vertex, job),
        parent=location_of(job.name),
        metadata_scope=scope_of(job.name),
        resource_name=job.name,
        scheduled_at=scheduled_at.strftime("%Y-%m-%dT%H:%M:%SZ") if scheduled_at else "",
        fail_slow=_policy(config) != "PIPELINE_FAILURE_POLICY_FAIL_FAST",
        labels=dict(job.labels),
        environment=_environment(vertex, job.name),
        placeholders=_placeholders(job),
        artifact_names=f"{metadata_store(job.name)}/artifacts/",
        vendor={"name": job.name},
    )


def _environment(vertex: Vertex, name: str) -> Mapping[str, str]:
    """What programs find of where they run: by it the SDK inside a task works in the job's project and location."""
    return {
        "CLOUD_ML_PROJECT_ID": number_of(vertex, name),
        "CLOUD_ML_REGION": region_of(name),
        "GOOGLE_CLOUD_PROJECT": project_of(name),
        "GOOGLE_CLOUD_REGION": region_of(name),
    }


def _placeholders(job: Message) -> Mapping[str, str]:
    key = job.encryption_spec.kms_key_name
    values = (project_of(job.name), region_of(job.name), job.service_account, job.network, key, "")
    return dict(zip(PLACEHOLDERS, values, strict=True))


def _policy(config: Message) -> str:
    field = config.DESCRIPTOR.fields_by_name["failure_policy"]
    return str(field.enum_type.values_by_number[config.failure_policy].name)


def _spec(job: Message) -> dict[str, Any]:
    return dict(MessageToDict(job.pipeline_spec))


def _parameters(config: Message) -> dict[str, Any]:
    """The arguments: plain values, and those in the form of SDKs before 2.0 of the pipeline's schema."""
    old = {name: getattr(value, value.WhichOneof("value")) for name, value in config.parameters.items()}
    return {**old, **{name: MessageToDict(value) for name, value in config.parameter_values.items()}}


def _input_artifacts(vertex: Vertex, job: Message) -> dict[str, Sequence[ArtifactValue]]:
    ids = {name: item.artifact_id for name, item in job.runtime_config.input_artifacts.items()}
    found = vertex.metadata.of(scope_of(job.name)).artifacts.get_all(list(ids.values()))
    store = metadata_store(job.name)
    missing = {
        f"pipeline_job.runtime_config.input_artifacts[{name}]": f"Artifact `{store}/artifacts/{item}` is not found."
        for name, item in ids.items()
        if item not in found
    }
    if missing:
        raise invalid(missing)
    return {name: (_value(found[item]),) for name, item in ids.items()}


def _value(node: Node) -> ArtifactValue:
    return ArtifactValue(
        node.display_name, node.uri, node.schema_title, node.schema_version, metadata=node.metadata, id=node.id
    )


def _check_fields(start: Start) -> None:
    job = start.job
    if not job.pipeline_spec.fields and job.template_uri:
        raise unimplemented("Pipeline templates are not fetched here: send pipeline_spec, as the SDKs do.")
    config = job.runtime_config
    if "default_runtime" in config.DESCRIPTOR.fields_by_name and config.HasField("default_runtime"):
        raise unimplemented("runtime_config.default_runtime: there are no persistent resources here.")
    if getattr(job, "original_pipeline_job_id", 0) or getattr(job, "pipeline_task_rerun_configs", ()):
        raise unimplemented("Pipeline jobs are not run again here: start a new one, its tasks come from the cache.")
    found = list(_violations(start))
    if found:
        raise invalid(found)


def _violations(start: Start) -> Iterator[Violation]:
    job = start.job
    if start.job_id and not _ID.fullmatch(start.job_id):
        yield Violation("pipeline_job_id", f"The ID {start.job_id!r} must match [a-z][-a-z0-9]{{0,127}}.")
    if len(job.display_name) > _LONGEST_NAME:
        yield Violation("pipeline_job.display_name", f"It must have at most {_LONGEST_NAME} characters.")
    if not job.pipeline_spec.fields:
        yield Violation("pipeline_job.pipeline_spec", "Required field is not set.")
    root = job.runtime_config.gcs_output_directory or str(_spec(job).get("defaultPipelineRoot", ""))
    if not re.fullmatch(r"gs://[^/]+(/.*)?", root):
        text = f"The path {root!r} must be in Cloud Storage: gs://bucket/folder."
        yield Violation("pipeline_job.runtime_config.gcs_output_directory", text)
    if len(job.labels) > _MOST_LABELS:
        yield Violation("pipeline_job.labels", f"There must be at most {_MOST_LABELS} labels.")
    for name, value in job.runtime_config.parameters.items():
        if value.WhichOneof("value") is None:
            yield Violation(f"pipeline_job.runtime_config.parameters[{name}]", "The value is not set.")
