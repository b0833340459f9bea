"""The scenario kubeflow_training, whole, on a small sample; and the rule by which it chooses."""

from __future__ import annotations

import pytest

from mlparity.errors import ConfigurationError
from mlparity.testing.stack import RunningStack
from scenarios.kubeflow_training.checks import the_better
from scenarios.kubeflow_training.settings import MODELS, case_of
from tests.scenarios.running import told


def test_it_runs_and_everything_holds(stack: RunningStack) -> None:
    said = told(stack, "kubeflow_training", "--sample", "40")
    assert "keep-model" in said
    assert "<- split-flights <- fetch-flights" in said
    assert "the very same model" in said
    versioning = stack.client("s3").get_bucket_versioning(Bucket=stack.config.pipelines_bucket)
    assert versioning["Status"] == "Enabled"


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        ((0.70, 0.80), (0.71, 0.70), MODELS[1]),  # ROC AUC comes first
        ((0.70001, 0.80), (0.70004, 0.79), MODELS[0]),  # equal to four digits: accuracy
        ((0.70, 0.80), (0.70, 0.80), MODELS[0]),  # equal in both: the one named first
    ],
)
def test_the_rule_leaves_no_tie(first: tuple[float, float], second: tuple[float, float], chosen: str) -> None:
    assert the_better(dict(zip(MODELS, (first, second), strict=True))) == chosen


@pytest.mark.parametrize("wrong", [["--sample", "0"], ["--on", "argo"], ["--seed", "x"]])
def test_wrong_arguments_are_refused(wrong: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="kubeflow_training"):
        case_of(wrong)
