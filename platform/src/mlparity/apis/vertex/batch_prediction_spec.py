"""A batch prediction as a job: a ``BatchPredictionJob`` and its model, as a plan for our program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from mlparity.apis.vertex import machine_types
from mlparity.apis.vertex.errors import failed_precondition, invalid, unimplemented
from mlparity.apis.vertex.names import id_of
from mlparity.apis.vertex.serving_containers import Place, container
from mlparity.engine.jobs import Instance, JobInput, JobOutput, JobSpec, LogStream
from mlparity.errors import MlparityError, StorageError
from mlparity.serving.batch_prediction.plan import BatchPlan, Conversion, InputFile, ServerPlan
from mlparity.serving.endpoints.plans import ModelContainer
from mlparity.storage.base import ObjectStore
from mlparity.storage.uris import parse_uri

LOG_GROUP = "/vertex/batchPredictionJobs"
STATS = "stats"
_ROOT = "/opt/batch"
_MODEL, _OUTPUT, _PLAN, _FAILURE = f"{_ROOT}/model", f"{_ROOT}/output", f"{_ROOT}/plan.json", f"{_ROOT}/failure"
_STATS = f"{_ROOT}/stats.json"
_FORMATS = ("jsonl", "csv", "file-list")
_BATCH = 64  # instances of a request, where the job does not say
_REPLICAS = 4  # processes of this machine
_FILES = 1000  # of one job
_STARTUP_SECONDS = 600.0
_RUNTIME_SECONDS = 7 * 86400
Json = Mapping[str, Any]


def refuse_unsupported(job: Json) -> None:
    """Raises ``GoogleError`` naming what of a ``BatchPredictionJob`` (JSON) cannot be done here."""
    source, target, config = job["inputConfig"], job["outputConfig"], job.get("instanceConfig", {})
    given, wanted = source.get("instancesFormat", ""), target.get("predictionsFormat", "")
    for told, present in {
        "input_config.bigquery_source": "bigquerySource" in source,
        "input_config.vertex_multimodal_dataset_source": "vertexMultimodalDatasetSource" in source,
        "output_config.bigquery_destination": "bigqueryDestination" in target,
        "output_config.vertex_multimodal_dataset_destination": "vertexMultimodalDatasetDestination" in target,
        "generate_explanation": job.get("generateExplanation", False),
        f"input_config.instances_format {given!r}": given not in _FORMATS,
    }.items():
        if present:
            what = f"batch_prediction_job.{told}"
            raise unimplemented(f"{what} is not supported by mlparity. See `mlparity parity vertex`.")
    if wanted != "jsonl":
        path = "batch_prediction_job.output_config.predictions_format"
        raise invalid({path: f"The Model does not support the format {wanted!r}; it supports: jsonl."})
    if not target.get("gcsDestination", {}).get("outputUriPrefix", "").startswith("gs://"):
        raise invalid({"batch_prediction_job.output_config.gcs_destination": "Required field is not set."})
    if not source.get("gcsSource", {}).get("uris"):
        raise invalid({"batch_prediction_job.input_config.gcs_source.uris": "Required field is not set."})
    _check_instances(given, config)
    _check_machine(job)


def spec(job: Json, model: Json, store: ObjectStore, project_number: str, directory: str) -> JobSpec:
    """The job of a ``BatchPredictionJob`` with a model (both JSON), whose output goes to ``directory``."""
    machine = job.get("dedicatedResources", {}).get("machineSpec", {}).get("machineType", "")
    serves = container(model, Place(id_of(job["name"]), "", machine, project_number))
    files = _files(job["inputConfig"], store)
    plan = BatchPlan(
        server=_server(serves),
        replicas=max(1, min(_REPLICAS, job.get("dedicatedResources", {}).get("startingReplicaCount", 1))),
        inputs=[InputFile(f"{_ROOT}/input/{number}", uri) for number, uri in enumerate(files)],
        conversion=_conversion(job),
        parameters=job.get("modelParameters"),
        batch_size=job.get("manualBatchTuningParameters", {}).get("batchSize") or _BATCH,
        output=_OUTPUT,
        stats=_STATS,
        failure=_FAILURE,
    )
    inputs = [
        JobInput(f"input-{number}", uri, f"{_ROOT}/input/{number}", kind="tree") for number, uri in enumerate(files)
    ]
    if serves.model_uri:
        inputs.append(JobInput("model", serves.model_uri.rstrip("/"), _MODEL, kind="tree"))
    return JobSpec(
        image=serves.image,
        command=["python3", "-m", "mlparity.serving.batch_prediction.driver", _PLAN],
        environment={},
        instances=[Instance("batch-0", LogStream(LOG_GROUP, id_of(job["name"])))],
        roots=[_ROOT],
        files={_PLAN: plan.to_json()},
        folders=[_MODEL, f"{_ROOT}/input", _OUTPUT],
        inputs=inputs,
        outputs=[JobOutput("predictions", _OUTPUT, directory, on_failure=True)],
        working_directory=_ROOT,
        max_runtime_seconds=_RUNTIME_SECONDS,
        stop_grace_seconds=5,
        failure_file=_FAILURE,
        result_files={STATS: _STATS},
    )


def _check_machine(job: Json) -> None:
    if "dedicatedResources" not in job:  # the SDK leaves them out where it is given no machine
        return
    path, machine = "batch_prediction_job.dedicated_resources.machine_spec", job["dedicatedResources"]["machineSpec"]
    if told := machine_types.wrong(machine.get("machineType", ""), machine_types.PREDICTION):
        raise invalid({f"{path}.machine_type": told})
    machine_types.refuse_accelerators(machine, path)


def _server(serves: ModelContainer) -> ServerPlan:
    routes = (serves.health_route, serves.predict_route)
    return ServerPlan(
        environment={**serves.environment, "SM_MODEL_DIR": _MODEL, "AIP_MODE": "PREDICTION"},
        command=(*serves.command, *serves.arguments) if serves.command else (),
        health_route=routes[0],
        predict_route=routes[1],
        startup_seconds=_STARTUP_SECONDS,
    )


def _conversion(job: Json) -> Conversion:
    config = job.get("instanceConfig", {})
    return Conversion(
        format=job["inputConfig"]["instancesFormat"],
        instance_type=config.get("instanceType", ""),
        key_field=config.get("keyField", ""),
        included=tuple(config.get("includedFields", ())),
        excluded=tuple(config.get("excludedFields", ())),
    )


def _check_instances(given: str, config: Json) -> None:
    path = "batch_prediction_job.instance_config"
    included, excluded = config.get("includedFields"), config.get("excludedFields")
    if config.get("instanceType", "") not in {"", "object", "array"}:
        raise invalid({f"{path}.instance_type": 'It must be "object" or "array".'})
    if included and excluded:
        raise invalid({f"{path}.included_fields": "Only one of included_fields and excluded_fields can be set."})
    if given != "jsonl" and (included or excluded or config.get("instanceType")):
        raise invalid({path: f"instance_type, included_fields and excluded_fields do not apply to {given}."})
    if given == "file-list" and config.get("keyField"):
        raise invalid({f"{path}.key_field": "It does not apply to file-list."})
    if config.get("instanceType") == "array" and not included:
        raise invalid({f"{path}.included_fields": 'It must be set where instance_type is "array".'})


def _files(source: Json, store: ObjectStore) -> Sequence[str]:
    """The objects with instances. Raises ``GoogleError`` where there is none, or too many for one job."""
    found = [uri for pattern in source["gcsSource"]["uris"] for uri in _matching(pattern, store)]
    if source["instancesFormat"] == "file-list":
        found = [line.strip() for uri in found for line in _text(uri, store).splitlines() if line.strip()]
    if not found:
        raise failed_precondition(f"There are no instances at {', '.join(source['gcsSource']['uris'])}.")
    if len(found) > _FILES:
        raise unimplemented(f"A batch prediction of more than {_FILES} files is not supported by mlparity.")
    return found


def _matching(pattern: str, store: ObjectStore) -> Sequence[str]:
    try:
        bucket, key = parse_uri(pattern, ("gs",))
        if not any(sign in key for sign in "*?["):
            store.head(bucket, key)
            return [pattern]
        start = min(key.index(sign) for sign in "*?[" if sign in key)
        return [f"gs://{bucket}/{one.key}" for one in store.iterate(bucket, key[:start]) if fnmatchcase(one.key, key)]
    except (StorageError, MlparityError) as error:
        raise failed_precondition(f"The input {pattern} cannot be read: {error}.") from error


def _text(uri: str, store: ObjectStore) -> str:
    return store.get_bytes(*parse_uri(uri)).decode("utf-8", "replace")
