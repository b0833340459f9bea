"""The pipeline: data, training, evaluation, the gate, and what becomes of the model."""

# Annotations are not postponed: the KFP compiler reads them.
from pathlib import Path

from kfp import compiler, dsl

from scenarios.vertex_training.components import evaluate, fetch_flights, gate, prepare, register, reject, train_model
from scenarios.vertex_training.settings import (
    MIN_ACCURACY,
    MIN_ROC_AUC,
    MODEL,
    PIPELINE,
    SAMPLE,
    SEED,
    SERVING_IMAGE,
)


@dsl.pipeline(name=PIPELINE, description="Which flights will be over 15 minutes late: trained, gated, registered.")
def flights_delay_training(  # noqa: PLR0913 - a pipeline has its parameters
    project: str,
    location: str,
    model_id: str = MODEL,
    every: int = SAMPLE,
    months: list = [],  # type: ignore[type-arg] # noqa: B006 - as KFP has it; none: the whole year
    seed: int = SEED,
    iterations: int = 100,
    min_accuracy: float = MIN_ACCURACY,
    min_roc_auc: float = MIN_ROC_AUC,
    serving_image: str = SERVING_IMAGE,
) -> None:
    """Train a version, and register it where the gate lets it."""
    fetched = fetch_flights(every=every, months=months)
    prepared = prepare(flights=fetched.outputs["flights"])
    trained = train_model(seed=seed, iterations=iterations, train=prepared.outputs["train"])
    scores = evaluate(model=trained.outputs["model"], test=prepared.outputs["test"])
    accuracy, roc_auc = scores.outputs["accuracy"], scores.outputs["roc_auc"]
    verdict = gate(accuracy=accuracy, roc_auc=roc_auc, min_accuracy=min_accuracy, min_roc_auc=min_roc_auc)
    with dsl.If(verdict.outputs["accepted"] == True, name="accepted"):  # noqa: E712 - what KFP compiles
        uploaded = register(
            project=project,
            location=location,
            model_id=model_id,
            serving_image=serving_image,
            roc_auc=roc_auc,
            reason=verdict.outputs["reason"],
            model=trained.outputs["model"],
            test=prepared.outputs["test"],
        )
        uploaded.set_caching_options(False)  # what the registry holds is no input of the step
    with dsl.Else(name="rejected"):
        reject(reason=verdict.outputs["reason"], accuracy=accuracy, roc_auc=roc_auc, model=trained.outputs["model"])


def compile_to(path: Path) -> Path:
    """Write the compiled pipeline."""
    compiler.Compiler().compile(flights_delay_training, str(path))
    return path
