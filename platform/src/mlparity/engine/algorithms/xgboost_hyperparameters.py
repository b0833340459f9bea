"""The hyperparameters of SageMaker's XGBoost (algorithm mode), with the container's checks and messages.

https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost_hyperparameters.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.engine.algorithms.errors import UserError
from mlparity.engine.algorithms.parameters import Interval, Parameter, at_least, literal, validate, words
from mlparity.engine.algorithms.xgboost_metrics import MAXIMIZED, METRIC_DEFINITIONS, MINIMIZED

_OBJECTIVES = [
    "binary:hinge",
    "binary:logistic",
    "binary:logitraw",
    "count:poisson",
    "multi:softmax",
    "multi:softprob",
    "rank:map",
    "rank:ndcg",
    "rank:pairwise",
    "reg:absoluteerror",
    "reg:gamma",
    "reg:linear",
    "reg:logistic",
    "reg:pseudohubererror",
    "reg:squarederror",
    "reg:squaredlogerror",
    "reg:tweedie",
    "survival:aft",
    "survival:cox",
]
_TREE_GROWERS = ["grow_colmaker", "distcol", "grow_histmaker", "grow_local_histmaker", "grow_quantile_histmaker"]
_TREE_UPDATERS = [*_TREE_GROWERS, "grow_skmaker", "sync", "refresh", "prune"]
_LINEAR_UPDATERS = ["shotgun", "coord_descent"]
_WITH_THRESHOLD = ("error", "ndcg", "map")
_FRACTION = Interval(0, 1)
_POSITIVE_FRACTION = Interval(0, 1, low_open=True)
_FLAG = Interval(0, 1)
_TRUTH = ["true", "false"]


class _EvalMetrics:
    """The metrics by name, and some with a threshold: "error@0.7"."""

    def __contains__(self, value: object) -> bool:
        metric = str(value)
        name, at, threshold = metric.partition("@")
        if not at:
            return metric in MAXIMIZED or metric in MINIMIZED
        if name.strip() not in _WITH_THRESHOLD:
            raise UserError(
                f"Metric '{metric}' is not supported. Parameter 'eval_metric' with customized threshold should "
                "be one of these options: 'error', 'ndcg', 'map'."
            )
        try:
            float(threshold)
        except ValueError:
            raise UserError(f"Threshold value 't' in '{name.strip()}@t' expects float input.") from None
        return True

    def __str__(self) -> str:
        return str([*MAXIMIZED, *MINIMIZED])


def _check_objective(value: str, others: Mapping[str, Any]) -> None:
    if value in {"multi:softmax", "multi:softprob"} and "num_class" not in others:
        raise UserError("Require input for parameter 'num_class' for multi-classification")


def _check_eval_metric(value: list[str], others: Mapping[str, Any]) -> None:
    objective = str(others.get("objective", "reg:squarederror"))
    if "auc" in value and not objective.startswith(("binary:", "rank:")):
        raise UserError("Metric 'auc' can only be applied for classification and ranking problems.")
    if "aft-nloglik" in value and objective != "survival:aft":
        raise UserError("Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.")


def _check_updater(value: list[str], others: Mapping[str, Any]) -> None:
    if others.get("booster") == "gblinear":
        if len(value) != 1 or value[0] not in _LINEAR_UPDATERS:
            raise UserError("Linear updater should be one of these options: 'shotgun', 'coord_descent'.")
    elif others.get("process_type") == "update":
        if any(updater not in {"refresh", "prune"} for updater in value):
            raise UserError("process_type 'update' can only be used with updater 'refresh' and 'prune'")
    elif any(updater not in _TREE_UPDATERS for updater in value):
        names = ", ".join(f"'{name}'" for name in (*_TREE_UPDATERS, *_LINEAR_UPDATERS))
        raise UserError(f"Tree updater should be selected from these options: {names}.")
    elif sum(updater in _TREE_GROWERS for updater in value) > 1:
        names = ", ".join(f"'{name}'" for name in _TREE_GROWERS)
        raise UserError(f"Only one tree grow plugin can be selected. Choose one from the following: {names}")


def _check_monotone(_: Any, others: Mapping[str, Any]) -> None:
    if others.get("tree_method") not in {"exact", "hist"}:
        raise UserError(
            "monotone_constraints can be used only when the tree_method parameter is set to either 'exact' or 'hist'."
        )


def _check_interaction(_: Any, others: Mapping[str, Any]) -> None:
    if others.get("tree_method") not in {"exact", "hist", "approx"}:
        raise UserError(
            "interaction_constraints can be used only when the tree_method parameter is set to "
            "either 'exact', 'hist' or 'approx'."
        )


DECLARED: Mapping[str, Parameter] = {
    "num_round": Parameter(int, at_least(1), required=True),
    "csv_weights": Parameter(int, _FLAG),
    "early_stopping_rounds": Parameter(int, at_least(1)),
    "booster": Parameter(str, ["gbtree", "gblinear", "dart"]),
    "verbosity": Parameter(int, Interval(0, 3)),
    "nthread": Parameter(int, at_least(1)),
    "eta": Parameter(float, _FRACTION, aliases=["learning_rate"]),
    "gamma": Parameter(float, at_least(0), aliases=["min_split_loss"]),
    "max_depth": Parameter(int, at_least(0)),
    "min_child_weight": Parameter(float, at_least(0)),
    "max_delta_step": Parameter(float, at_least(0)),
    "subsample": Parameter(float, _POSITIVE_FRACTION),
    "colsample_bytree": Parameter(float, _POSITIVE_FRACTION),
    "colsample_bylevel": Parameter(float, _POSITIVE_FRACTION),
    "colsample_bynode": Parameter(float, _POSITIVE_FRACTION),
    "lambda": Parameter(float, at_least(0), aliases=["reg_lambda"]),
    "alpha": Parameter(float, at_least(0), aliases=["reg_alpha"]),
    "tree_method": Parameter(str, ["auto", "exact", "approx", "hist", "gpu_hist"]),
    "sketch_eps": Parameter(float, Interval(0, 1, low_open=True, high_open=True)),
    "scale_pos_weight": Parameter(float, Interval(0, low_open=True)),
    "updater": Parameter(words, [*_TREE_UPDATERS, *_LINEAR_UPDATERS], each=True, check=_check_updater),
    "dsplit": Parameter(str, ["row", "col"]),
    "refresh_leaf": Parameter(int, _FLAG),
    "process_type": Parameter(str, ["default", "update"]),
    "grow_policy": Parameter(str, ["depthwise", "lossguide"]),
    "max_leaves": Parameter(int, at_least(0)),
    "max_bin": Parameter(int, at_least(0)),
    "predictor": Parameter(str, ["auto", "cpu_predictor", "gpu_predictor"]),
    "monotone_constraints": Parameter(literal, [-1, 0, 1], each=True, check=_check_monotone),
    "interaction_constraints": Parameter(literal, at_least(1), each=True, check=_check_interaction),
    "sample_type": Parameter(str, ["uniform", "weighted"]),
    "normalize_type": Parameter(str, ["tree", "forest"]),
    "rate_drop": Parameter(float, _FRACTION),
    "one_drop": Parameter(int, _FLAG),
    "skip_drop": Parameter(float, _FRACTION),
    "lambda_bias": Parameter(float, _FRACTION),
    "tweedie_variance_power": Parameter(float, Interval(1, 2, low_open=True, high_open=True)),
    "objective": Parameter(str, _OBJECTIVES, check=_check_objective),
    "num_class": Parameter(int, at_least(2)),
    "base_score": Parameter(float, at_least(0)),
    "_kfold": Parameter(int, at_least(2)),
    "_num_cv_round": Parameter(int, at_least(1)),
    "_tuning_objective_metric": Parameter(str, [n for n in METRIC_DEFINITIONS if n.startswith("validation:")]),
    "eval_metric": Parameter(words, _EvalMetrics(), each=True, check=_check_eval_metric),
    "seed": Parameter(int, Interval(-(2**31), 2**31 - 1, low_open=True, high_open=True)),
    "num_parallel_tree": Parameter(int, at_least(1)),
    "save_model_on_termination": Parameter(str, _TRUTH),
    "aft_loss_distribution": Parameter(str, ["normal", "logistic", "extreme"]),
    "aft_loss_distribution_scale": Parameter(float, at_least(0)),
    "single_precision_histogram": Parameter(str, _TRUTH),
    "deterministic_histogram": Parameter(str, _TRUTH),
    "sampling_method": Parameter(str, ["uniform", "gradient_based"]),
    "prob_buffer_row": Parameter(float, Interval(1.0, low_open=True)),
}


def parse(given: Mapping[str, str]) -> dict[str, Any]:
    """The values of a job's hyperparameters, typed. Raises ``UserError`` with the container's message."""
    return validate(DECLARED, given)
