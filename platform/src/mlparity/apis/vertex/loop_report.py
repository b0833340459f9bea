"""The evaluation of a model's version: what was imported to the registry, else what its pipeline run has logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlparity.monitoring.loop.actions import LoopActionError

_METRICS = {"system.Metrics", "system.ClassificationMetrics"}
_HOPS = 6
Call = Callable[[str, Mapping[str, Any]], dict[str, Any]]


def report(call: Call, package: str, store: str) -> dict[str, Any]:
    """``package`` is MODEL@VERSION, ``store`` the metadata store's name. {} where nothing is known.

    Of evaluations: their metrics. Of a pipeline run: the metrics artifacts of what has evaluated the model, by its
    lineage, and under "registered" what the artifact that stands for the version says.
    """
    listed = call("ModelService.ListModelEvaluations", {"parent": package}).get("modelEvaluations", [])
    found: dict[str, Any] = {}
    for one in listed:
        metrics = one.get("metrics")
        found |= metrics if isinstance(metrics, dict) else {}
    return found or _of_lineage(call, package, store)


def _of_lineage(call: Call, package: str, store: str) -> dict[str, Any]:
    asked = {"parent": store, "filter": f'metadata.resourceName.string_value="{package}"'}
    try:
        listed = call("MetadataService.ListArtifacts", asked).get("artifacts", [])
    except LoopActionError as error:
        if error.transient:
            raise
        return {}  # there is no metadata store before the first run
    # The registry has an artifact of its own for the version, and a deleted model's name may be used again: what the
    # newest run says counts.
    for registered in sorted(listed, key=lambda one: one["createTime"], reverse=True):
        found = _of_run(call, registered)
        if found:
            return found
    return {}


def _of_run(call: Call, registered: Mapping[str, Any]) -> dict[str, Any]:
    """What the run that made the artifact has logged; {} where no run made it."""
    graph = call("MetadataService.QueryArtifactLineageSubgraph", {"artifact": registered["name"], "maxHops": _HOPS})
    artifacts = {one["name"]: one for one in graph.get("artifacts", [])}
    events = graph.get("events", [])
    makers = {one["execution"] for one in events if one["artifact"] == registered["name"] and one["type"] == "OUTPUT"}
    if not makers:
        return {}
    read = {(one["execution"], one["artifact"]) for one in events if one["type"] == "INPUT"}
    models = {
        artifact
        for execution, artifact in read
        if execution in makers and artifacts[artifact].get("schemaTitle", "").endswith("Model")
    }
    evaluators = {execution for execution, artifact in read if artifact in models}
    found: dict[str, Any] = {}
    for one in events:
        artifact = artifacts.get(one["artifact"], {})
        if one["type"] == "OUTPUT" and one["execution"] in evaluators and artifact.get("schemaTitle") in _METRICS:
            found |= artifact.get("metadata", {})
    return {**found, "registered": registered.get("metadata", {})}
