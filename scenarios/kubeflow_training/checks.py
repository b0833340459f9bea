"""What must hold, worked out again in this process from the run's own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform
from scenarios.kubeflow_training.finished import Finished
from scenarios.kubeflow_training.settings import FOLDS, MODELS, Case

_SAME = 1e-9


@dataclass(frozen=True)
class Files:
    """The run's files on this machine."""

    train: Path
    test: Path
    selected: Path
    models: Mapping[str, Path]


def the_better(scores: Mapping[str, tuple[float, float]]) -> str:
    """The pipeline's rule once more: ROC AUC, then accuracy, to four digits; then the order of the names."""
    return max(MODELS, key=lambda kind: (round(scores[kind][0], 4), round(scores[kind][1], 4), -MODELS.index(kind)))


def check_run(platform: Platform, run: Finished) -> str:
    """The states of all tasks, and the one branch that was taken; the name of the model that was kept."""
    platform.check(run.state == "SUCCEEDED", f"the run ended {run.state}: {run.error}")
    kept = [task for task in run.tasks if task.name in {"keep-model", "keep-model-2"} and "selected" in task.outputs]
    platform.check(len(kept) == 1, f"one branch was to keep a model, not {len(kept)}")
    train, tested = (run.named(f"train-{kind}") for kind in MODELS), (run.named(f"evaluate-{kind}") for kind in MODELS)
    inputs = {task.inputs["train"][0].id for task in train}
    platform.check(len(inputs) == 1, "the models were not trained on the same artifact")
    platform.check(len({task.inputs["test"][0].id for task in tested}) == 1, "nor evaluated on the same one")
    return MODELS[0] if kept[0].name == "keep-model" else MODELS[1]


def check_lineage(platform: Platform, run: Finished, chosen: str) -> list[str]:
    """From the selected model back to the data, by the ids of artifacts alone."""
    kept = next(task for task in run.tasks if task.name.startswith("keep-model") and "selected" in task.outputs)
    way = run.lineage(kept.output("selected").id)
    expected = [kept.name, f"train-{chosen}", "split-flights", "fetch-flights"]
    platform.check(way == expected, f"the selected model's lineage is {way}, not {expected}")
    return way


def check_files(platform: Platform, files: Files, case: Case, chosen: str) -> dict[str, tuple[float, float]]:
    """Cross-validate both kinds again and choose again; the models on the test part; the (AUC, accuracy) of each."""
    import joblib
    import pandas as pd
    from sklearn.base import clone
    from sklearn.metrics import accuracy_score, roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_validate

    train, test = pd.read_csv(files.train), pd.read_csv(files.test)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=case.seed)
    again: dict[str, tuple[float, float]] = {}
    on_test: dict[str, tuple[float, float]] = {}
    for kind, path in files.models.items():
        model: Any = joblib.load(path)
        found = cross_validate(
            clone(model), train.drop(columns="late"), train["late"], cv=splits, scoring=["roc_auc", "accuracy"]
        )
        again[kind] = (float(found["test_roc_auc"].mean()), float(found["test_accuracy"].mean()))
        probability = model.predict_proba(test.drop(columns="late"))[:, 1]
        on_test[kind] = (
            float(roc_auc_score(test["late"], probability)),
            float(accuracy_score(test["late"], probability >= 0.5)),
        )
    platform.check(set(again) == set(MODELS), f"the run left models of {sorted(again)}")
    better = the_better(again)
    platform.check(better == chosen, f"{chosen} was kept, and {better} is better: {again}")
    same = files.selected.read_bytes() == files.models[chosen].read_bytes()
    platform.check(same, "the selected model is not the one that was trained")
    trivial = max(test["late"].mean(), 1 - test["late"].mean())
    auc = on_test[chosen][0]
    platform.check(auc > 0.6, f"the model hardly knows more than nothing: ROC AUC {auc:.3f}")
    platform.say(f"   always saying 'not late' is right {trivial:.1%} of the time; what the models add is the ranking")
    return on_test


def check_metrics(
    platform: Platform, metrics: Mapping[str, Mapping[str, Any]], on_test: Mapping[str, tuple[float, float]]
) -> None:
    """The metrics that the run logged are those of its models."""
    for kind, (auc, accuracy) in on_test.items():
        logged = metrics[kind]
        off = max(abs(logged["test_roc_auc"] - auc), abs(logged["test_accuracy"] - accuracy))
        platform.check(off < _SAME, f"{kind}: the run logged {dict(logged)}, and it is {auc}, {accuracy}")
