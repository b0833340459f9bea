"""What must hold, worked out again in this process."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from mlparity.scenarios import Platform
from scenarios.vertex_training.runs import Ended

_SAME = 1e-9


def check_accepted(platform: Platform, ended: Ended) -> Any:
    """The states of a run whose model was registered; the registered version's resource name and verdict."""
    platform.check(ended.state == "SUCCEEDED", f"the run ended {ended.state}: {ended.error}")
    states = ended.states()
    platform.check(states.get("register") == "SUCCEEDED", f"the model was not registered: {states}")
    platform.check(states.get("reject", "NOT_TRIGGERED") in {"NOT_TRIGGERED", "SKIPPED"}, f"nor rejected: {states}")
    return dict(ended.output("register", "registered").metadata)


def check_rejected(platform: Platform, ended: Ended) -> dict[str, Any]:
    """The states of a run whose model was not good enough; the record that it left."""
    platform.check(ended.state == "SUCCEEDED", f"the run ended {ended.state}: {ended.error}")
    states = ended.states()
    # SKIPPED: what an earlier run of the scenario left is used again, as Vertex tells a cache hit.
    platform.check(states.get("reject") in {"SUCCEEDED", "SKIPPED"}, f"there is no record of the rejection: {states}")
    platform.check(
        states.get("register", "NOT_TRIGGERED") in {"NOT_TRIGGERED", "SKIPPED"}, f"it was registered: {states}"
    )
    record = dict(ended.output("reject", "record").metadata)
    platform.check("is below" in record["reason"], f"the record names no reason: {record}")
    return record


def check_scores(platform: Platform, ended: Ended) -> tuple[float, float]:
    """Predict the test part again with the run's model; accuracy and ROC AUC, which are those that it logged."""
    import joblib
    import pandas as pd
    from sklearn.metrics import accuracy_score, roc_auc_score

    rows = pd.read_csv(io.BytesIO(_bytes(platform, ended.output("prepare", "test").uri)))
    folder = ended.output("train-model", "model").uri
    model: Any = joblib.load(io.BytesIO(_bytes(platform, f"{folder}/model.joblib")))
    probability = model.predict_proba(rows.drop(columns="late").to_numpy(float))[:, 1]
    accuracy = float(accuracy_score(rows["late"], probability >= 0.5))
    roc_auc = float(roc_auc_score(rows["late"], probability))
    logged = ended.output("evaluate", "metrics").metadata
    off = max(abs(logged["accuracy"] - accuracy), abs(logged["roc_auc"] - roc_auc))
    platform.check(off < _SAME, f"the run logged {dict(logged)}; its model has {accuracy}, {roc_auc}")
    return accuracy, roc_auc


def default_version(platform: Platform, versions: Sequence[Any]) -> str:
    """The one version that has the alias ``default``."""
    named = [version.version_id for version in versions if "default" in version.version_aliases]
    platform.check(len(named) == 1, f"{len(named)} versions are the default one")
    return str(named[0])


def check_lineage(platform: Platform, resource_name: str) -> list[str]:
    """From the registered version back to the data, by the Metadata API; the artifacts on the way."""
    from google.cloud import aiplatform
    from google.cloud.aiplatform import utils

    # The registry has an artifact of its own for the version; the pipeline's is the one that leads back.
    wanted = f'schema_title="system.Artifact" AND metadata.resourceName.string_value="{resource_name}"'
    found = aiplatform.Artifact.list(filter=wanted)
    platform.check(len(found) == 1, f"{len(found)} artifacts stand for {resource_name}")
    client: Any = aiplatform.initializer.global_config.create_client(client_class=utils.MetadataClientWithOverride)
    graph = client.query_artifact_lineage_subgraph(request={"artifact": found[0].resource_name, "max_hops": 20})
    names = {artifact.name: artifact for artifact in graph.artifacts}
    makers = {event.artifact: event.execution for event in graph.events if event.type_.name == "OUTPUT"}
    inputs: dict[str, list[str]] = {}
    for event in graph.events:
        if event.type_.name == "INPUT":
            inputs.setdefault(event.execution, []).append(event.artifact)
    way, waiting, seen = [], [found[0].resource_name], set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        way.append(names[name].display_name)
        waiting += inputs.get(makers.get(name, ""), [])
    roots = [names[name] for name in seen if "source_sha256" in names[name].metadata]
    platform.check(len(roots) == 1, f"the lineage {way} does not end at the data")
    platform.check({"model", "train", "flights"} <= set(way), f"the lineage is {way}")
    return way


def _bytes(platform: Platform, uri: str) -> bytes:
    from google.cloud.storage import Blob

    data: bytes = Blob.from_uri(uri, client=platform.on_google.storage()).download_as_bytes()
    return data
