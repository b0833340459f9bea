"""Vertex AI Pipelines: a model trained, gated and registered; the champion defends its place; one is rejected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mlparity.scenarios import Platform, Report
from scenarios.vertex_training.checks import (
    check_accepted,
    check_lineage,
    check_rejected,
    check_scores,
    default_version,
)
from scenarios.vertex_training.pipeline import compile_to
from scenarios.vertex_training.runs import Ended
from scenarios.vertex_training.runs import run as run_pipeline
from scenarios.vertex_training.settings import OUT_OF_REACH, PIPELINE, case_of

_WEAK, _STRONG = 5, 100  # rounds of boosting


def run(platform: Platform) -> Report:
    """Every result is checked; the first that does not hold ends the scenario."""
    case = case_of(platform.arguments)
    aiplatform = platform.on_google.init()
    model_id = f"{case.model}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    package = compile_to(platform.workdir / f"{PIPELINE}.yaml")
    platform.say(f"1. The pipeline is compiled: {package}")
    shared = {"model_id": model_id, "every": case.sample, "seed": case.seed}

    def trained(title: str, **parameters: Any) -> Ended:
        ended = run_pipeline(platform, package, f"{PIPELINE}-{title}", {**shared, **parameters})
        platform.say(f"   {title}: {ended.state} after {ended.seconds:.1f} s ({ended.job.resource_name})")
        return ended

    def versions() -> list[Any]:
        return list(aiplatform.Model(model_id).versioning_registry.list_versions())

    platform.say(f"2. A first model ({_WEAK} rounds of boosting) passes the gate and becomes the champion")
    first = trained("first", iterations=_WEAK)
    verdict = check_accepted(platform, first)
    accuracy, roc_auc = check_scores(platform, first)
    platform.check(default_version(platform, versions()) == "1", "the first version is not the default one")
    platform.say(
        f"   version 1: accuracy {accuracy:.4f}, ROC AUC {roc_auc:.4f}, computed again here; {verdict['verdict']}"
    )

    platform.say(f"3. A better one ({_STRONG} rounds) takes its place: the alias `default` moves")
    second = trained("better", iterations=_STRONG)
    verdict = check_accepted(platform, second)
    better = check_scores(platform, second)[1]
    platform.check(better > roc_auc, f"{_STRONG} rounds are no better than {_WEAK}: {better}, {roc_auc}")
    platform.check(default_version(platform, versions()) == "2", "the better version is not the default one")
    platform.say(f"   version 2: {verdict['verdict']}")

    platform.say("4. A weaker one passes the gate, and does not: the champion stays")
    third = trained("weaker", iterations=_WEAK, seed=case.seed + 1)
    verdict = check_accepted(platform, third)
    platform.check(default_version(platform, versions()) == "2", "the weaker version became the default one")
    aliases = {version.version_id: set(version.version_aliases) for version in versions()}
    platform.check("challenger" in aliases["3"], f"the aliases are {aliases}")
    platform.say(f"   version 3: {verdict['verdict']}")

    platform.say(
        f"5. A gate that no model passes (ROC AUC {OUT_OF_REACH}): nothing is registered, and the reason is kept"
    )
    fourth = trained("rejected", iterations=_STRONG, min_roc_auc=OUT_OF_REACH)
    record = check_rejected(platform, fourth)
    platform.check(len(versions()) == 3, "a rejected model was registered")
    platform.say(f"   {record['reason']}; the record: {fourth.output('reject', 'record').uri}")

    platform.say("6. Lineage of the champion, by the Metadata API")
    name = str(second.output("register", "registered").metadata["resourceName"])
    way = check_lineage(platform, name)
    platform.say(f"   {' <- '.join(way)}")
    facts = [
        ("champion", f"{name}"),
        ("its ROC AUC", f"{better:.4f} (the first version's: {roc_auc:.4f})"),
        ("rejected", record["reason"]),
        ("runs", ", ".join(f"{ended.seconds:.1f} s" for ended in (first, second, third, fourth))),
    ]
    look = [
        f"the model: {aiplatform.Model(model_id).resource_name}",
        f"the champion's run: {second.job.resource_name}",
        f"the compiled pipeline: {package}",
    ]
    return Report("Vertex training: everything was checked and held", facts, look)
