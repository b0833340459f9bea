"""The run's files, brought to this machine from the object store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform
from scenarios.kubeflow_training.checks import Files
from scenarios.kubeflow_training.finished import Finished
from scenarios.kubeflow_training.settings import MODELS, PIPELINE


def from_pipelines_store(platform: Platform, run: Finished) -> tuple[Files, Mapping[str, Mapping[str, Any]]]:
    """The files of a run on Kubeflow Pipelines, and the metrics of each evaluation.

    KFP's API tells artifacts by their ids alone; where they lie follows from its layout:
    ``<root>/<pipeline>/<run>/<task>/<id>/<output>``.
    """
    import joblib

    bucket, prefix = platform.on_pipelines.root.removeprefix("s3://").split("/", 1)
    s3 = platform.client("s3")
    folder = platform.workdir / run.id
    folder.mkdir(parents=True, exist_ok=True)
    start = f"{prefix}/{PIPELINE}/{run.id}/"
    by_output: dict[tuple[str, str], Path] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start):
        for item in page.get("Contents", ()):
            task, _, output = item["Key"].removeprefix(start).split("/", 2)
            path = folder / task / output
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, item["Key"], str(path))
            by_output[task, output] = path
    steps = {"LogisticRegression": MODELS[0], "DecisionTreeClassifier": MODELS[1]}
    models: dict[str, Path] = {}
    metrics: dict[str, Mapping[str, Any]] = {}
    for suffix in ("", "-2"):  # the tasks' keys: the second use of a component gets a number
        path = by_output[f"train-model{suffix}", "model"]
        kind = steps[type(joblib.load(path).steps[-1][1]).__name__]
        models[kind] = path
        written = json.loads(by_output[f"evaluate-model{suffix}", "executor_output.json"].read_text("utf-8"))
        metrics[kind] = written["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    kept = next(path for (task, output), path in by_output.items() if output == "selected")
    split = "split-flights"
    return Files(by_output[split, "train"], by_output[split, "test"], kept, models), metrics


def from_vertex(platform: Platform, run: Finished) -> tuple[Files, Mapping[str, Mapping[str, Any]]]:
    """The files of a run on Vertex, by the URIs of its artifacts, and the metrics of each evaluation."""
    from google.cloud.storage import Blob

    client = platform.on_google.storage()
    folder = platform.workdir / run.id
    folder.mkdir(parents=True, exist_ok=True)

    def fetched(task: str, output: str) -> Path:
        path = folder / f"{task}-{output}"
        Blob.from_uri(run.named(task).output(output).uri, client=client).download_to_filename(str(path))
        return path

    kept = next(task for task in run.tasks if "selected" in task.outputs)
    files = Files(
        fetched("split-flights", "train"),
        fetched("split-flights", "test"),
        fetched(kept.name, "selected"),
        {kind: fetched(f"train-{kind}", "model") for kind in MODELS},
    )
    metrics = {kind: run.named(f"evaluate-{kind}").output("metrics").metadata for kind in MODELS}
    return files, metrics
