"""The pipeline: one split, two models side by side, and the better one kept."""

# Annotations are not postponed: the KFP compiler reads them.
from pathlib import Path

from kfp import compiler, dsl
from kfp.dsl import Model

from scenarios.kubeflow_training.components import (
    choose_model,
    evaluate_model,
    fetch_flights,
    keep_model,
    split_flights,
    train_model,
)
from scenarios.kubeflow_training.settings import FOLDS, MODELS, PIPELINE, SAMPLE, SEED

_FIRST, _SECOND = MODELS
_REASON = "larger cross-validated ROC AUC, then accuracy (four digits each), then the order of the names"


@dsl.pipeline(name=PIPELINE, description="Which flights will be over 15 minutes late: two models, the better is kept.")
def flights_delay_selection(every: int = SAMPLE, label: str = "", seed: int = SEED, folds: int = FOLDS) -> Model:
    """Train both on the same split and seed, evaluate both, keep the one with the better cross-validation."""
    fetched = fetch_flights(every=every, label=label)
    split = split_flights(seed=seed, flights=fetched.outputs["flights"])
    trained = {}
    for kind in MODELS:
        step = train_model(kind=kind, seed=seed, folds=folds, train=split.outputs["train"])
        step.set_display_name(f"train-{kind}")
        tested = evaluate_model(model=step.outputs["model"], test=split.outputs["test"])
        tested.set_display_name(f"evaluate-{kind}")
        trained[kind] = step
    choice = choose_model(
        names=list(MODELS),
        roc_aucs=[trained[kind].outputs["roc_auc"] for kind in MODELS],
        accuracies=[trained[kind].outputs["accuracy"] for kind in MODELS],
    )
    with dsl.If(choice.output == _FIRST, name="first-is-better"):
        first = keep_model(name=_FIRST, reason=_REASON, candidate=trained[_FIRST].outputs["model"])
    with dsl.Else(name="second-is-better"):
        second = keep_model(name=_SECOND, reason=_REASON, candidate=trained[_SECOND].outputs["model"])
    return dsl.OneOf(first.outputs["selected"], second.outputs["selected"])


def compile_to(path: Path) -> Path:
    """Write the compiled pipeline: the one file that every endpoint gets."""
    compiler.Compiler().compile(flights_delay_selection, str(path))
    return path
