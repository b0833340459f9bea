"""Training pipelines: a custom job, and the upload of the model that it made.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.trainingPipelines
"""

from __future__ import annotations

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from mlparity.apis.vertex import custom_jobs, model_store, models
from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import failed_precondition, invalid, unimplemented
from mlparity.apis.vertex.job_states import FINAL, SUCCEEDED, Json, written
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import location_of, new_id
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.errors import NotFoundError
from mlparity.wire.aip160 import Language, enumeration, text, text_map, time
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.status import GoogleError

PIPELINES = ResourceKind("TrainingPipeline", "trainingPipelines")
_CUSTOM_TASK = "custom_task_1.0.0.yaml"
_STATES = {
    f"JOB_STATE_{name}": f"PIPELINE_STATE_{name}"
    for name in ("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLING", "CANCELLED")
} | {"JOB_STATE_QUEUED": "PIPELINE_STATE_PENDING"}
_FINAL = frozenset(_STATES[state] for state in FINAL)
_TOLD = ("updateTime", "startTime", "endTime", "error")
_INPUTS = "training_pipeline.training_task_inputs"
_LISTING = Listing(
    PIPELINES,
    "training_pipelines",
    Language(
        {
            "display_name": text(wildcards=True),
            "state": enumeration(sorted(set(_STATES.values()))),
            "training_task_definition": text(wildcards=True),
            "create_time": time(),
            "start_time": time(),
            "end_time": time(),
            "update_time": time(),
            "labels": text_map(),
        }
    ),
)


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """CreateTrainingPipeline."""
    pipeline = request.training_pipeline
    spec = _job_spec(pipeline, call)
    custom_jobs.check(vertex, spec, _INPUTS)
    _check(vertex, pipeline, spec)
    name = f"{request.parent}/{PIPELINES.collection}/{new_id(vertex.ids)}"
    job = f"{request.parent}/{custom_jobs.CUSTOM_JOBS.collection}/{new_id(vertex.ids)}"
    now = written(vertex.clock.now())
    resource = {
        **MessageToDict(pipeline, descriptor_pool=call.api.pool),
        "name": name,
        "state": "PIPELINE_STATE_PENDING",
        "createTime": now,
        "updateTime": now,
        "trainingTaskMetadata": {"backingCustomJob": job},
    }
    with vertex.transaction():
        private = {"job": job, "output": spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "")}
        vertex.documents.create(PIPELINES.message, name, {"resource": resource, "private": private})
        custom = {"displayName": f"{pipeline.display_name}-custom-job", "jobSpec": spec}
        if labels := resource.get("labels"):
            custom["labels"] = labels
        custom_jobs.start(vertex, job, custom, owner={"pipeline": name})
        return PIPELINES.get(vertex, call.api, name)


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetTrainingPipeline."""
    return PIPELINES.get(vertex, call.api, request.name)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListTrainingPipelines."""
    return _LISTING.respond(vertex, request, call)


def cancel(vertex: Vertex, request: Message, call: Call) -> Message:
    """CancelTrainingPipeline: asks; one that has ended is refused."""
    stored = PIPELINES.load(vertex, call.api, request.name)
    state = call.api.enum_name("PipelineState", stored.message.state)
    if state in _FINAL:
        raise failed_precondition(f"The TrainingPipeline `{request.name}` is in state {state} and cannot be cancelled.")
    vertex.jobs.stop(custom_jobs.job_of(vertex, stored.private["job"]).id)
    return call.new("google.protobuf.Empty")


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeleteTrainingPipeline: one that has ended; its job and its model stay."""
    with vertex.transaction():
        pipeline = PIPELINES.get(vertex, call.api, request.name)
        state = call.api.enum_name("PipelineState", pipeline.state)
        if state not in _FINAL:
            raise failed_precondition(
                f"The TrainingPipeline `{pipeline.name}` is in state {state}: cancel it before you delete it."
            )
        PIPELINES.delete(vertex, pipeline.name)
        return vertex.operations.done(call, pipeline.name, call.new("google.protobuf.Empty"))


def on_custom_job(vertex: Vertex, name: str, fields: Json) -> None:
    """The pipeline's custom job changed: ``fields`` are its new ones. One that succeeded gives the model."""
    try:
        body = vertex.documents.get(PIPELINES.message, name).body
    except NotFoundError:
        return
    resource = body["resource"]
    changes = {"state": _STATES[fields["state"]], **{each: fields[each] for each in _TOLD if each in fields}}
    if fields["state"] == SUCCEEDED and "modelToUpload" in resource:
        changes |= _uploaded(vertex, resource, body["private"]["output"])
    vertex.documents.merge(PIPELINES.message, name, {"resource": {**resource, **changes}})


def _uploaded(vertex: Vertex, resource: Json, output: str) -> Json:
    """Upload the model: the pipeline's fields afterwards."""
    given = resource["modelToUpload"]
    model = {**given, "artifactUri": f"{output.rstrip('/')}/model", "trainingPipeline": resource["name"]}
    parent, chosen = resource.get("parentModel", ""), resource.get("modelId", "")
    try:
        with vertex.transaction():
            name, version = models.register(vertex, location_of(resource["name"]), model, parent, chosen)
    except GoogleError as error:
        return {"state": "PIPELINE_STATE_FAILED", "error": error.status_json()}
    return {"modelToUpload": {**given, "name": name, "versionId": version}}


def _job_spec(pipeline: Message, call: Call) -> Json:
    """The custom job's spec (JSON) in the task's inputs. Raises ``GoogleError``."""
    definition = pipeline.training_task_definition
    if definition.rpartition("/")[2] != _CUSTOM_TASK:
        raise unimplemented(
            f"The training task definition {definition} is not served by mlparity: it trains with {_CUSTOM_TASK} only."
        )
    inputs = MessageToDict(pipeline.training_task_inputs, descriptor_pool=call.api.pool)
    try:
        spec = ParseDict(inputs, call.new("CustomJobSpec"), descriptor_pool=call.api.pool)
    except ParseError as error:
        raise invalid({_INPUTS: str(error)}) from None
    return dict(MessageToDict(spec, descriptor_pool=call.api.pool))


def _check(vertex: Vertex, pipeline: Message, spec: Json) -> None:
    if pipeline.HasField("input_data_config"):
        raise unimplemented(
            "training_pipeline.input_data_config: mlparity has no managed datasets; give the job its data's gs:// URI."
        )
    if not pipeline.HasField("model_to_upload"):
        return
    if "baseOutputDirectory" not in spec:
        raise invalid({f"{_INPUTS}.base_output_directory": "It must be set where model_to_upload is."})
    if not pipeline.model_to_upload.container_spec.image_uri:
        raise invalid({"training_pipeline.model_to_upload.container_spec": "Required field is not set."})
    if pipeline.parent_model:
        model_store.find(vertex, pipeline.parent_model)


OPERATIONS = (
    Operation(
        "PipelineService.CreateTrainingPipeline",
        create,
        "custom training only, as custom jobs are; no AutoML, hyperparameter tuning tasks or managed datasets",
    ),
    Operation("PipelineService.GetTrainingPipeline", get),
    Operation("PipelineService.ListTrainingPipelines", list_),
    Operation("PipelineService.CancelTrainingPipeline", cancel),
    Operation("PipelineService.DeleteTrainingPipeline", delete),
)
