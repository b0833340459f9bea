"""Hyperparameter tuning jobs: create, get, list, cancel, delete; each trial is a custom job.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.hyperparameterTuningJobs
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.json_format import MessageToDict

from mlparity.apis.vertex import custom_jobs
from mlparity.apis.vertex import tuning_contract as contract
from mlparity.apis.vertex.context import API, Vertex
from mlparity.apis.vertex.errors import failed_precondition, not_found
from mlparity.apis.vertex.job_contract import METRICS
from mlparity.apis.vertex.job_states import (
    CANCELLED,
    CANCELLING,
    FAILED,
    FINAL,
    PENDING,
    RUNNING,
    STATES,
    SUCCEEDED,
    Json,
    written,
)
from mlparity.apis.vertex.listing import Listing
from mlparity.apis.vertex.names import id_of, location_of, new_id
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.resources import ResourceKind
from mlparity.apis.vertex.tuning_trials import rendered
from mlparity.engine.jobs import Job, Phase
from mlparity.engine.tuning.tunings import NewTuning, Trial, Tuning, TuningStatus
from mlparity.errors import InvalidRequestError, NotFoundError
from mlparity.wire.aip160 import Language, enumeration, text, text_map, time
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.status import Code, GoogleError

TUNING_JOBS = ResourceKind("HyperparameterTuningJob", "hyperparameterTuningJobs")
KIND = "HyperparameterTuningJob"  # of its tunings in the engine
_LISTING = Listing(
    TUNING_JOBS,
    "hyperparameter_tuning_jobs",
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
_ENDS = {
    TuningStatus.COMPLETED: SUCCEEDED,
    TuningStatus.FAILED: FAILED,
    TuningStatus.STOPPED: CANCELLED,
}


def create(vertex: Vertex, request: Message, call: Call) -> Message:
    """CreateHyperparameterTuningJob."""
    given = MessageToDict(request.hyperparameter_tuning_job, descriptor_pool=call.api.pool)
    custom_jobs.check(vertex, given["trialJobSpec"], "hyperparameter_tuning_job.trial_job_spec")
    plan = contract.plan(given, int(vertex.ids.uuid()[:8], 16))
    name = f"{request.parent}/{TUNING_JOBS.collection}/{new_id(vertex.ids)}"
    now = written(vertex.clock.now())
    resource = {**given, "name": name, "state": PENDING, "createTime": now, "updateTime": now}
    with vertex.transaction():
        vertex.documents.create(TUNING_JOBS.message, name, {"resource": resource, "private": {}})
        vertex.tunings.submit(NewTuning(API, KIND, id_of(name), {"name": name, "job": given}, plan))
        return TUNING_JOBS.get(vertex, call.api, name)


def get(vertex: Vertex, request: Message, call: Call) -> Message:
    """GetHyperparameterTuningJob, with its trials as they are now."""
    found = TUNING_JOBS.get(vertex, call.api, request.name)
    return _with_trials(vertex, found, call)


def list_(vertex: Vertex, request: Message, call: Call) -> Message:
    """ListHyperparameterTuningJobs."""
    response = _LISTING.respond(vertex, request, call)
    if not request.read_mask.paths:
        for found in response.hyperparameter_tuning_jobs:
            found.CopyFrom(_with_trials(vertex, found, call))
    return response


def cancel(vertex: Vertex, request: Message, call: Call) -> Message:
    """CancelHyperparameterTuningJob: asks; one that has ended is refused."""
    _require(vertex, request.name, call, ended=False)
    vertex.tunings.stop(_tuning(vertex, request.name).id)
    return call.new("google.protobuf.Empty")


def delete(vertex: Vertex, request: Message, call: Call) -> Message:
    """DeleteHyperparameterTuningJob: one that has ended; the custom jobs of its trials stay."""
    with vertex.transaction():
        _require(vertex, request.name, call, ended=True)
        vertex.tunings.repository.delete(_tuning(vertex, request.name).id)
        TUNING_JOBS.delete(vertex, request.name)
        return vertex.operations.done(call, request.name, call.new("google.protobuf.Empty"))


@dataclass(frozen=True)
class TuningTrials:
    """The engine's way to a trial's custom job."""

    vertex: Callable[[], Vertex]  # called late: it holds the service that holds this

    def submit(self, tuning: Tuning, trial: Trial) -> Job:
        """The custom job of that trial, made unless it exists."""
        vertex = self.vertex()
        location = location_of(tuning.request["name"])
        name = f"{location}/{custom_jobs.CUSTOM_JOBS.collection}/{_stable_id(trial.name)}"
        try:
            return vertex.jobs.repository.find(API, custom_jobs.KIND, id_of(name))
        except NotFoundError:
            resource = _trial_job(tuning, trial)
        try:
            owner = {"tuning": tuning.request["name"]}
            return custom_jobs.start(vertex, name, resource, trial=str(trial.number), owner=owner)
        except GoogleError as error:
            raise InvalidRequestError(error.message) from error


def on_tuning(vertex: Vertex, tuning: Tuning) -> None:
    """To be told of every tuning that began, begins to end, or has ended (``TuningService.listen``)."""
    if (tuning.api, tuning.kind) != (API, KIND):
        return
    changes: Json = {}
    if tuning.status is TuningStatus.ENDING and tuning.outcome is TuningStatus.STOPPED:
        changes = {"state": CANCELLING}
    elif tuning.status.is_final:
        changes = {"state": _ENDS[tuning.status], "endTime": written(vertex.clock.now())}
        if tuning.status is TuningStatus.FAILED:
            changes["error"] = {"code": Code.INVALID_ARGUMENT.number, "message": _why(vertex, tuning)}
    if changes:
        _change(vertex, tuning.request["name"], changes)


def on_trial_job(vertex: Vertex, name: str, job: Job) -> None:
    """A trial's job changed: the first one that runs starts the tuning, one that has run has measurements."""
    if job.phase is Phase.RUNNING:
        stored = vertex.documents.get(TUNING_JOBS.message, name).body["resource"]
        if stored["state"] == PENDING:
            _change(vertex, name, {"state": RUNNING, "startTime": written(vertex.clock.now())})
    elif job.phase is Phase.UPLOADING:
        tuning = _tuning(vertex, name)
        study, metric = tuning.request["job"]["studySpec"], tuning.plan.metric
        reports = job.results.get("files", {}).get(METRICS, "")
        measured = contract.measurements(reports, [metric], job.started_at)
        chosen = contract.final(measured, metric, study)
        results: Json = {"measurements": measured, "final": chosen}
        if chosen is not None:
            results["metrics"] = {metric: contract.value_of(chosen, metric)}
        vertex.jobs.repository.merge_results(job.id, results)


def _change(vertex: Vertex, name: str, changes: Json) -> None:
    try:
        stored = vertex.documents.get(TUNING_JOBS.message, name).body["resource"]
    except NotFoundError:
        return
    resource = {**stored, **changes, "updateTime": written(vertex.clock.now())}
    vertex.documents.merge(TUNING_JOBS.message, name, {"resource": resource})


def _trial_job(tuning: Tuning, trial: Trial) -> Json:
    """The custom job (JSON) that measures a trial."""
    given = tuning.request["job"]
    extra = contract.arguments(given["studySpec"], trial.parameters)
    spec = {**given["trialJobSpec"]}
    spec["workerPoolSpecs"] = [_with_arguments(pool, extra) for pool in spec["workerPoolSpecs"]]
    if "baseOutputDirectory" in spec:
        base = spec["baseOutputDirectory"]["outputUriPrefix"].rstrip("/")
        spec["baseOutputDirectory"] = {"outputUriPrefix": f"{base}/{trial.number}"}
    return {"displayName": f"{given['displayName']}-trial-{trial.number}", "jobSpec": spec}


def _with_arguments(pool: Json, extra: Sequence[str]) -> Json:
    kinds = [kind for kind in ("containerSpec", "pythonPackageSpec") if kind in pool]
    return {**pool, **{kind: {**pool[kind], "args": [*pool[kind].get("args", []), *extra]} for kind in kinds}}


def _with_trials(vertex: Vertex, found: Message, call: Call) -> Message:
    resource = MessageToDict(found, descriptor_pool=call.api.pool)
    resource["trials"] = rendered(vertex, _tuning(vertex, found.name))
    return TUNING_JOBS.read(call.api, resource)


def _tuning(vertex: Vertex, name: str) -> Tuning:
    try:
        return vertex.tunings.repository.find(API, KIND, id_of(name))
    except NotFoundError:
        raise not_found(TUNING_JOBS.message, name) from None


def _require(vertex: Vertex, name: str, call: Call, *, ended: bool) -> None:
    state = call.api.enum_name("JobState", TUNING_JOBS.get(vertex, call.api, name).state)
    if (state in FINAL) is not ended:
        what = "cancel it before you delete it" if ended else "it cannot be cancelled"
        raise failed_precondition(f"The HyperparameterTuningJob `{name}` is in state {state}: {what}.")


def _why(vertex: Vertex, tuning: Tuning) -> str:
    """The reason of a failed tuning, with that of its first failed trial."""
    reasons = [
        (trial["id"], trial["infeasibleReason"]) for trial in rendered(vertex, tuning) if "infeasibleReason" in trial
    ]
    if not reasons:
        return tuning.failure_reason.partition(": ")[2] or tuning.failure_reason
    number, reason = reasons[0]
    return f"Too many trials failed ({len(reasons)}). Trial {number}: {reason}"


def _stable_id(text_: str) -> str:
    """A numeric id, always the same for a text."""
    return str(10**18 + int(hashlib.sha256(text_.encode()).hexdigest(), 16) % (9 * 10**18))


OPERATIONS = (
    Operation(
        "JobService.CreateHyperparameterTuningJob",
        create,
        "one metric; no conditional parameters, no early stopping of trials; a trial's measurements are told when its "
        "program has ended; trials as custom jobs are",
    ),
    Operation("JobService.GetHyperparameterTuningJob", get),
    Operation("JobService.ListHyperparameterTuningJobs", list_),
    Operation("JobService.CancelHyperparameterTuningJob", cancel),
    Operation("JobService.DeleteHyperparameterTuningJob", delete),
)
