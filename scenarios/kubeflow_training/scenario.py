"""Kubeflow Pipelines: two models on one split, and the better one kept; run twice, the second time from the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform, Report
from scenarios.kubeflow_training import files, on_kubeflow, on_vertex
from scenarios.kubeflow_training.checks import check_files, check_lineage, check_metrics, check_run
from scenarios.kubeflow_training.finished import Finished
from scenarios.kubeflow_training.pipeline import compile_to
from scenarios.kubeflow_training.settings import PIPELINE, Case, case_of


def run(platform: Platform) -> Report:
    """Every result is checked; the first that does not hold ends the scenario."""
    case = case_of(platform.arguments, vertex=platform.pipelines is None)
    platform.say("1. The pipeline is compiled: one file, the same for every endpoint")
    package = compile_to(platform.workdir / f"{PIPELINE}.yaml")
    platform.say(f"   {package}")
    # The label makes the first run's data new, and so every step behind it; the second run has the same.
    parameters = {"every": case.sample, "seed": case.seed, "label": f"run at {datetime.now(UTC).isoformat()}"}
    where = "Kubeflow Pipelines" if case.on == "kubeflow" else "Vertex AI Pipelines"
    platform.say(f"2. A run on {where}: one flight in {case.sample}, seed {case.seed}")
    start = _starter(platform, case, package, parameters)
    first = start("first")
    platform.say(f"   {first.state} after {first.seconds:.1f} s: {first.page}")
    chosen = check_run(platform, first)
    way = check_lineage(platform, first, chosen)
    platform.say(f"   kept: {chosen}; made by {' <- '.join(way)}")
    facts = [("endpoint", where), ("kept", chosen), ("run", f"{first.id}, {first.seconds:.1f} s")]
    if platform.local or case.on == "vertex":  # a cluster's object store is its own: its API hands no files out
        platform.say("3. Its files, checked in this process: cross-validated again, predicted again")
        fetch = files.from_pipelines_store if case.on == "kubeflow" else files.from_vertex
        brought, metrics = fetch(platform, first)
        on_test = check_files(platform, brought, case, chosen)
        check_metrics(platform, metrics, on_test)
        for kind, (auc, accuracy) in on_test.items():
            platform.say(f"   {kind}: ROC AUC {auc:.4f}, accuracy {accuracy:.4f} on flights not seen")
            facts.append((kind, f"ROC AUC {auc:.4f}, accuracy {accuracy:.4f} on the test part"))
    platform.say("4. The same again: nothing has changed, so nothing is computed")
    second = start("second")
    again = check_run(platform, second)
    platform.check(again == chosen, f"the second run kept {again}")
    done = sorted({task.state for task in second.tasks if task.outputs and not task.name.startswith(_GROUPS)})
    platform.check(done == ["SKIPPED"], f"the second run's steps are {done}, not taken from the cache")
    platform.check(_artifact(second) == _artifact(first), "the second run's model is another artifact")
    platform.say(f"   {second.state} after {second.seconds:.1f} s, the very same model")
    facts.append(("from the cache", f"{second.seconds:.1f} s"))
    look = [f"the run: {first.page}", f"the compiled pipeline: {package}", f"the files: {platform.workdir / first.id}"]
    return Report("Kubeflow training: everything was checked and held", facts, look)


# What the pipeline groups: their outputs are those of the tasks inside.
_GROUPS = ("condition", "first-is", "second-is", PIPELINE)


def _starter(platform: Platform, case: Case, package: Path, parameters: Mapping[str, Any]) -> Callable[[str], Finished]:
    if case.on == "vertex":
        return lambda name: on_vertex.run(platform, package, f"{PIPELINE}-{name}", parameters)
    ids = on_kubeflow.upload(platform, package)
    return lambda name: on_kubeflow.run(platform, ids, f"{PIPELINE}-{name}", parameters)


def _artifact(run: Finished) -> str:
    kept = next(task for task in run.tasks if task.name.startswith("keep-model") and "selected" in task.outputs)
    return kept.output("selected").id
