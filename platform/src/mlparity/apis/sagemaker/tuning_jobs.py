"""Hyperparameter tuning jobs: create, describe, list, list their training jobs, stop, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker import roles, tags, training_jobs
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError, in_use, not_found, validation
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.step_outputs import step_outputs
from mlparity.apis.sagemaker.training_contract import refuse_unsupported
from mlparity.apis.sagemaker.tuning_contract import objective, plan, shown_definition, training_request
from mlparity.apis.sagemaker.tuning_status import counters, seconds_used, statuses, summary, tuning_status
from mlparity.engine.jobs import Job
from mlparity.engine.tuning.ending import not_improving
from mlparity.engine.tuning.repository import TuningFilter
from mlparity.engine.tuning.space import Value
from mlparity.engine.tuning.tunings import NewTuning, Trial, Tuning, best
from mlparity.errors import ConflictError, InvalidRequestError, NotFoundError
from mlparity.wire.aws_model import message
from mlparity.wire.json_values import jsonable

KIND = "HyperParameterTuningJob"
_SORT = {"Name": "name", "CreationTime": "created_at", "Status": "status"}
_ECHOED = (
    "HyperParameterTuningJobConfig",
    "TrainingJobDefinition",
    "TrainingJobDefinitions",
    "WarmStartConfig",
)
_PAGE = 10
_STEP_JOBS = 50  # of its best training jobs, a pipeline's tuning step keeps so many


def create(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """CreateHyperParameterTuningJob."""
    return {"HyperParameterTuningJobArn": arn(api, submit(api, request).name)}


def arn(api: SageMaker, name: str) -> str:
    """Of a tuning job."""
    return api.arns.of("hyper-parameter-tuning-job", name)


def submit(api: SageMaker, request: Request, *, run_id: str | None = None, step: str | None = None) -> Tuning:
    """Start the tuning that a validated request asks for."""
    name = request["HyperParameterTuningJobName"]
    seed = int(api.ids.uuid()[:8], 16)
    wanted = plan(api, request, seed, _earlier(api, request))
    _try_out(api, request, name)
    try:
        with api.transaction():
            tuning = api.tunings.submit(NewTuning(API, KIND, name, jsonable(request), wanted, run_id, step))
            tags.set_on_create(api, arn(api, name), request)
    except ConflictError as error:
        raise in_use(
            "Hyperparameter tuning job names must be unique within an AWS account and region, and a hyperparameter "
            f"tuning job with this name already exists ({arn(api, name)})"
        ) from error
    return tuning


def _try_out(api: SageMaker, request: Request, name: str) -> None:
    """Refuse now what every training job would be refused for."""
    sample = training_request(request, f"{name}-001-00000000", {}, arn(api, name))
    del sample["TuningJobArn"]
    checked, violations = api.model.read_request("CreateTrainingJob", jsonable(sample))
    if violations:
        raise validation(message(violations))
    refuse_unsupported(checked)
    roles.require(api, checked["RoleArn"], arn(api, name))
    api.image_metrics(checked["AlgorithmSpecification"]["TrainingImage"])  # raises where no runtime stands for it


def _earlier(api: SageMaker, request: Request) -> list[tuple[dict[str, Value], float]]:
    """What the parents of a warm start measured. Raises where one is missing, runs, or measured something else."""
    found: list[tuple[dict[str, Value], float]] = []
    for parent in request.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", ()):
        name = parent.get("HyperParameterTuningJobName", "")
        tuning = find(api, name)
        if not tuning.status.is_final:
            raise validation(f"The parent tuning job {name} is in status {tuning_status(tuning)}: it must have ended")
        if objective(tuning.request) != objective(request):
            raise validation(f"The parent tuning job {name} has another objective metric or type")
        trials = api.tunings.repository.trials(tuning.id)
        found += [(dict(trial.parameters), trial.objective) for trial in trials if trial.objective is not None]
    return found


@dataclass(frozen=True)
class TuningTrials:
    """The engine's way to a trial's training job."""

    api: Callable[[], SageMaker]  # called late: it holds the service that holds this

    def submit(self, tuning: Tuning, trial: Trial) -> Job:
        """The training job of that name, made unless it exists."""
        api = self.api()
        try:
            return api.jobs.repository.find(API, training_jobs.KIND, trial.name)
        except NotFoundError:
            request = training_request(tuning.request, trial.name, trial.parameters, arn(api, tuning.name))
        try:
            return training_jobs.submit(api, request)
        except SageMakerError as error:
            raise InvalidRequestError(error.message) from error


def find(api: SageMaker, name: str) -> Tuning:
    """The tuning, or SageMaker's error for its absence."""
    try:
        return api.tunings.repository.find(API, KIND, name)
    except NotFoundError:
        raise not_found(f"Amazon SageMaker can't find a tuning job with the name {name}.") from None


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeHyperParameterTuningJob."""
    return render(api, find(api, request["HyperParameterTuningJobName"]))


def render(api: SageMaker, tuning: Tuning) -> Response:
    """A tuning as DescribeHyperParameterTuningJob shows it."""
    trials = api.tunings.repository.trials(tuning.id)
    response: Response = {name: tuning.request[name] for name in _ECHOED if name in tuning.request}
    if "TrainingJobDefinition" in response:
        response["TrainingJobDefinition"] = shown_definition(tuning.request)
    config = dict(tuning.request["HyperParameterTuningJobConfig"])
    limits = {"MaxNumberOfTrainingJobs": tuning.plan.max_trials, **config["ResourceLimits"]}
    response["HyperParameterTuningJobConfig"] = {
        "TrainingJobEarlyStoppingType": "Off",
        **config,
        "ResourceLimits": limits,
    }
    response |= {
        "HyperParameterTuningJobName": tuning.name,
        "HyperParameterTuningJobArn": arn(api, tuning.name),
        "HyperParameterTuningJobStatus": tuning_status(tuning),
        "CreationTime": tuning.created_at,
        "LastModifiedTime": tuning.modified_at,
        **counters(trials),
        "TuningJobCompletionDetails": {"NumberOfTrainingJobsObjectiveNotImproving": not_improving(tuning.plan, trials)},
        "ConsumedResources": {"RuntimeInSeconds": seconds_used(api, trials)},
    }
    if tuning.ended_at is not None:
        response["HyperParameterTuningEndTime"] = tuning.ended_at
    if tuning.failure_reason:
        response["FailureReason"] = tuning.failure_reason
    champion = best(tuning.plan, trials)
    if champion is not None:
        response["BestTrainingJob"] = summary(api, tuning, champion)
        if "WarmStartConfig" in tuning.request:
            response["OverallBestTrainingJob"] = _overall(api, tuning, champion)
    return response


def _overall(api: SageMaker, tuning: Tuning, champion: Trial) -> Response:
    """The best of this job and its parents."""
    candidates = [(tuning, champion)]
    for parent in tuning.request["WarmStartConfig"]["ParentHyperParameterTuningJobs"]:
        try:
            earlier = find(api, parent.get("HyperParameterTuningJobName", ""))
        except SageMakerError:
            continue  # deleted since
        its_best = best(earlier.plan, api.tunings.repository.trials(earlier.id))
        if its_best is not None:
            candidates.append((earlier, its_best))
    owner, trial = min(candidates, key=lambda pair: tuning.plan.loss(pair[1].objective or 0.0))
    return {**summary(api, owner, trial), "TuningJobName": owner.name}


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListHyperParameterTuningJobs."""
    wanted = TuningFilter(
        API,
        KIND,
        name_contains=request.get("NameContains"),
        statuses=statuses(request.get("StatusEquals")),
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
        **times(request),
    )
    page = api.tunings.repository.list(
        wanted, page_request(request, _SORT, default_sort="Name", default_order="Ascending")
    )
    return with_token({"HyperParameterTuningJobSummaries": [_summary(api, item) for item in page.items]}, page)


def _summary(api: SageMaker, tuning: Tuning) -> Response:
    shown = (
        "HyperParameterTuningJobName",
        "HyperParameterTuningJobArn",
        "HyperParameterTuningJobStatus",
        "CreationTime",
        "LastModifiedTime",
        "HyperParameterTuningEndTime",
        "TrainingJobStatusCounters",
        "ObjectiveStatusCounters",
    )
    described = render(api, tuning)
    config = described["HyperParameterTuningJobConfig"]
    return {name: described[name] for name in shown if name in described} | {
        "Strategy": config["Strategy"],
        "ResourceLimits": config["ResourceLimits"],
    }


def list_training_jobs(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListTrainingJobsForHyperParameterTuningJob: a tuning has at most 750, so they are sorted here."""
    tuning = find(api, request["HyperParameterTuningJobName"])
    sort = request.get("SortBy", "Name")
    trials = api.tunings.repository.trials(tuning.id)
    if sort == "FinalObjectiveMetricValue":  # those that returned none are not listed
        trials = [trial for trial in trials if trial.objective is not None]
    summaries = [summary(api, tuning, trial) for trial in trials]
    status = request.get("StatusEquals")
    if status is not None:
        summaries = [item for item in summaries if item["TrainingJobStatus"] == status]
    summaries.sort(key=_sort_key(sort), reverse=request.get("SortOrder", "Ascending") == "Descending")
    return _sliced(summaries, request)


def _sort_key(sort: str) -> Callable[[Response], Any]:
    keys: dict[str, Callable[[Response], Any]] = {
        "Name": lambda item: item["TrainingJobName"],
        "CreationTime": lambda item: (item["CreationTime"], item["TrainingJobName"]),
        "Status": lambda item: (item["TrainingJobStatus"], item["TrainingJobName"]),
        "FinalObjectiveMetricValue": lambda item: item["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
    }
    return keys[sort]


def _sliced(summaries: Sequence[Response], request: Request) -> Response:
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise validation("Invalid pagination token")
    end = int(token) + request.get("MaxResults", _PAGE)
    response: Response = {"TrainingJobSummaries": list(summaries[int(token) : end])}
    if end < len(summaries):
        response["NextToken"] = str(end)
    return response


def stop(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """StopHyperParameterTuningJob: asks; a tuning that has ended is refused."""
    tuning = find(api, request["HyperParameterTuningJobName"])
    if tuning.status.is_final:
        raise validation(
            f"The request was rejected because the hyperparameter tuning job is in status {tuning_status(tuning)}."
        )
    api.tunings.stop(tuning.id)
    return {}


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteHyperParameterTuningJob: forgets a tuning that has ended; its training jobs stay."""
    tuning = find(api, request["HyperParameterTuningJobName"])
    if not tuning.status.is_final:
        raise validation(
            f"The hyperparameter tuning job {tuning.name} is in status {tuning_status(tuning)}: "
            "stop it before you delete it"
        )
    api.tunings.repository.delete(tuning.id)
    api.tags.remove(arn(api, tuning.name))
    return {}


def outputs(api: SageMaker, tuning: Tuning) -> dict[str, Any]:
    """What pipeline steps may refer to: the Describe response, and the best training jobs in their order."""
    trials = [trial for trial in api.tunings.repository.trials(tuning.id) if trial.succeeded]
    ranked = sorted(trials, key=lambda trial: (tuning.plan.loss(trial.objective or 0.0), trial.number))
    summaries = [summary(api, tuning, trial) for trial in ranked[:_STEP_JOBS]]
    return step_outputs({**render(api, tuning), "TrainingJobSummaries": summaries})


OPERATIONS = (
    Operation(
        "CreateHyperParameterTuningJob",
        create,
        "Grid, Random and Bayesian with one training job definition; no Hyperband, Autotune, early stopping "
        "of training jobs or convergence detection",
    ),
    Operation("DescribeHyperParameterTuningJob", describe),
    Operation("ListHyperParameterTuningJobs", list_),
    Operation("ListTrainingJobsForHyperParameterTuningJob", list_training_jobs),
    Operation("StopHyperParameterTuningJob", stop),
    Operation("DeleteHyperParameterTuningJob", delete),
)
