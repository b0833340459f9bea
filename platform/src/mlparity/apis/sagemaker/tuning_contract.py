"""A CreateHyperParameterTuningJob request as a tuning plan, and a trial of it as a CreateTrainingJob request.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker.context import Request, SageMaker
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.apis.sagemaker.training_contract import shown_output
from mlparity.engine.tuning.space import Choice, Parameter, Range, Scale, Space, Value, checked_range
from mlparity.engine.tuning.strategies import combinations
from mlparity.engine.tuning.tunings import Method, TuningPlan
from mlparity.errors import InvalidRequestError

OBJECTIVE = "_tuning_objective_metric"  # the hyperparameter that tells a training job its objective
_QUOTA = 750  # training jobs of one tuning job
_LOGARITHMIC_FROM = 1000  # Auto: a positive range whose ends differ by this factor is searched logarithmically
_METHODS = {"Grid": Method.GRID, "Random": Method.RANDOM, "Bayesian": Method.BAYESIAN}
_COPIED = (
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "RetryStrategy",
    "Environment",
)


def definition(request: Request) -> Mapping[str, Any]:
    """The one training job definition. Raises ``ValidationException`` where there is none, or several."""
    one, several = request.get("TrainingJobDefinition"), request.get("TrainingJobDefinitions")
    if one is not None and several:
        raise validation("You cannot specify both TrainingJobDefinition and TrainingJobDefinitions")
    if several and len(several) > 1:
        raise not_served("TrainingJobDefinitions with more than one definition")
    chosen: Mapping[str, Any] | None = several[0] if several else one
    if chosen is None:
        raise validation("You must specify either TrainingJobDefinition or TrainingJobDefinitions")
    return chosen


def objective(request: Request) -> Mapping[str, Any]:
    """``{"Type", "MetricName"}``."""
    found: Mapping[str, Any] | None = definition(request).get("TuningObjective") or request[
        "HyperParameterTuningJobConfig"
    ].get("HyperParameterTuningJobObjective")
    if found is None:
        raise validation("A HyperParameterTuningJobObjective (or the definition's TuningObjective) is required")
    return found


def plan(
    api: SageMaker, request: Request, seed: int, earlier: Sequence[tuple[Mapping[str, Value], float]]
) -> TuningPlan:
    """The plan that a (validated) request asks for. Raises SageMaker's errors, and names what is not served.

    ``seed`` is what randomness comes from where the request gives no RandomSeed.
    """
    config = request["HyperParameterTuningJobConfig"]
    _refuse(request, config)
    wanted = objective(request)
    _require_metric(api, request, wanted["MetricName"])
    space = _space(request)
    method = _METHODS[config["Strategy"]]
    limits = config["ResourceLimits"]
    criteria = config.get("TuningJobCompletionCriteria", {})
    return TuningPlan(
        space=space,
        method=method,
        seed=config.get("RandomSeed", seed),
        metric=wanted["MetricName"],
        maximize=wanted["Type"] == "Maximize",
        max_trials=_max_trials(limits, method, space),
        max_parallel=limits["MaxParallelTrainingJobs"],
        max_seconds=limits.get("MaxRuntimeInSeconds"),
        target=criteria.get("TargetObjectiveMetricValue"),
        patience=criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving"),
        earlier=[(values, measured) for values, measured in earlier if space.holds(values)],
    )


def _refuse(request: Request, config: Mapping[str, Any]) -> None:
    criteria = config.get("TuningJobCompletionCriteria", {})
    convergence = criteria.get("ConvergenceDetected", {}).get("CompleteOnConvergence")
    ranges = config.get("ParameterRanges", {})
    refused = {
        "Strategy Hyperband": config["Strategy"] not in _METHODS,
        "StrategyConfig": "StrategyConfig" in config,
        "TrainingJobEarlyStoppingType Auto": config.get("TrainingJobEarlyStoppingType") == "Auto",
        "CompleteOnConvergence Enabled": convergence == "Enabled",
        "Autotune": "Autotune" in request,
        "ParameterRanges.AutoParameters": bool(ranges.get("AutoParameters")),
        f"WarmStartConfig with Strategy {config['Strategy']}": "WarmStartConfig" in request
        and config["Strategy"] != "Bayesian",
    }
    for feature, present in refused.items():
        if present:
            raise not_served(feature)


def _require_metric(api: SageMaker, request: Request, metric: str) -> None:
    algorithm = definition(request)["AlgorithmSpecification"]
    names = [item["Name"] for item in algorithm.get("MetricDefinitions", ())]
    if not names and "TrainingImage" in algorithm:
        names = list(api.image_metrics(algorithm["TrainingImage"]))
    if not names:
        raise validation(
            "A metric is required for this hyperparameter tuning job objective. "
            "Provide a metric in the metric definitions."
        )
    if metric not in names:
        raise validation(
            f"The objective metric [{metric}] is not among the metric definitions of the training job: "
            f"{', '.join(names)}"
        )


def _space(request: Request) -> Space:
    given = definition(request).get("HyperParameterRanges") or request["HyperParameterTuningJobConfig"].get(
        "ParameterRanges", {}
    )
    parameters: list[Parameter] = []
    try:
        for whole, member in ((True, "IntegerParameterRanges"), (False, "ContinuousParameterRanges")):
            parameters += [_range(item, whole=whole) for item in given.get(member, ())]
    except InvalidRequestError as error:
        raise validation(". ".join(error.lines())) from error
    parameters += [Choice(item["Name"], tuple(item["Values"])) for item in given.get("CategoricalParameterRanges", ())]
    if not parameters:
        raise validation("At least one hyperparameter range is required")
    names = [item.name for item in parameters]
    static = definition(request).get("StaticHyperParameters", {})
    for name in names:
        if names.count(name) > 1 or name in static:
            raise validation(f"The hyperparameter {name} is given more than once")
    return Space(tuple(parameters))


def _range(item: Mapping[str, str], *, whole: bool) -> Range:
    try:
        low, high = (int(item[end]) if whole else float(item[end]) for end in ("MinValue", "MaxValue"))
    except ValueError:
        kind = "integers" if whole else "numbers"
        raise validation(f"The range of {item['Name']} must have {kind} as its MinValue and MaxValue") from None
    return checked_range(Range(item["Name"], low, high, _scale(item.get("ScalingType", "Auto"), low, high), whole))


def _scale(scaling: str, low: float, high: float) -> Scale:
    if scaling == "Auto":
        wide = low > 0 and high / low >= _LOGARITHMIC_FROM
        return Scale.LOGARITHMIC if wide else Scale.LINEAR
    names = {"Linear": Scale.LINEAR, "Logarithmic": Scale.LOGARITHMIC, "ReverseLogarithmic": Scale.REVERSE_LOGARITHMIC}
    return names[scaling]


def _max_trials(limits: Mapping[str, Any], method: Method, space: Space) -> int:
    wanted: int | None = limits.get("MaxNumberOfTrainingJobs")
    if method is Method.GRID:
        try:
            number = combinations(space)
        except ValueError:
            raise validation("The Grid strategy only supports categorical hyperparameter ranges") from None
        if wanted is not None and wanted != number:
            raise validation(
                f"MaxNumberOfTrainingJobs ({wanted}) must be the number of combinations of a Grid: {number}. "
                "Leave it out, and it is computed"
            )
        wanted = number
    if wanted is not None and wanted > _QUOTA:
        raise validation(f"A hyperparameter tuning job has at most {_QUOTA} training jobs, not {wanted}")
    if wanted is not None and limits["MaxParallelTrainingJobs"] > wanted:
        raise validation("MaxParallelTrainingJobs cannot be greater than MaxNumberOfTrainingJobs")
    return wanted or _QUOTA


def training_request(request: Request, name: str, values: Mapping[str, Value], arn: str) -> dict[str, Any]:
    """The CreateTrainingJob request of a trial; ``TuningJobArn`` is beside it, for Describe."""
    chosen = definition(request)
    algorithm = dict(chosen["AlgorithmSpecification"])
    parameters = {key: _text(value) for key, value in values.items()}
    training = {member: chosen[member] for member in _COPIED if member in chosen} | {
        "TrainingJobName": name,
        "AlgorithmSpecification": algorithm,
        "HyperParameters": {
            **chosen.get("StaticHyperParameters", {}),
            **parameters,
            OBJECTIVE: objective(request)["MetricName"],
        },
        "ResourceConfig": _resources(chosen),
        "TuningJobArn": arn,
    }
    if "Tags" in request:
        training["Tags"] = request["Tags"]
    checkpoint = chosen.get("CheckpointConfig")
    if checkpoint:  # each job its own, or the second would go on where the first ended
        training["CheckpointConfig"] = {**checkpoint, "S3Uri": f"{checkpoint['S3Uri'].rstrip('/')}/{name}"}
    return training


def shown_definition(request: Request) -> dict[str, Any]:
    """The training job's definition as Describe shows it; ``HyperparameterTuner.attach`` of SDK 2 needs all of it."""
    chosen = definition(request)
    static = {**chosen.get("StaticHyperParameters", {}), OBJECTIVE: objective(request)["MetricName"]}
    shown = {**chosen, "StaticHyperParameters": static, "OutputDataConfig": shown_output(chosen["OutputDataConfig"])}
    if not chosen.get("HyperParameterTuningResourceConfig", {}).get("InstanceConfigs"):
        shown["ResourceConfig"] = _resources(chosen)
    return shown


def _text(value: Value) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _resources(chosen: Mapping[str, Any]) -> Mapping[str, Any]:
    if "ResourceConfig" in chosen:
        given: Mapping[str, Any] = chosen["ResourceConfig"]
        return given
    tuning = chosen.get("HyperParameterTuningResourceConfig")
    if tuning is None:
        raise validation("Either ResourceConfig or HyperParameterTuningResourceConfig is required")
    first = (tuning.get("InstanceConfigs") or [tuning])[0]
    shown = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
    return {member: first.get(member, tuning.get(member)) for member in shown if member in {*first, *tuning}}
