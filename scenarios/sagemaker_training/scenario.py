"""SageMaker Pipelines on the flights of 2013: the story, and the parts that `--parts` and `--all` ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlparity.scenarios import Platform, Report
from scenarios.sagemaker_common.quiet import quiet
from scenarios.sagemaker_training.accepted import Accepted, accepted_run
from scenarios.sagemaker_training.parts import cached, schedule, selective, transform, tuning
from scenarios.sagemaker_training.settings import case_of
from scenarios.sagemaker_training.story import Told, tell_story
from scenarios.sagemaker_training.work import Work, prepare

# What a part did, as (label, value) pairs for the report.
Part = Callable[[Work, Accepted], list[tuple[str, str]]]
PARTS: Mapping[str, tuple[str, Part]] = {
    "cached": ("The pipeline again, with step caching", cached.run),
    "tuning": ("A hyperparameter search", tuning.run),
    "transform": ("Batch predictions of the registered model", transform.run),
    "schedule": ("A schedule that starts the pipeline", schedule.run),
    "selective": ("Only the evaluation and the gate again", selective.run),
}


def run(platform: Platform) -> Report:
    """The story, the parts, or both. Every result is checked; the first that does not hold ends the scenario."""
    case = case_of(platform.arguments, story=platform.story)
    with quiet():
        work = prepare(platform, case)
        told, accepted = begin(work)
        facts = told.facts(work.strict) if told else [("accepted run", f"{accepted.ended.seconds:.1f} s")]
        for number, name in enumerate(platform.parts, start=6 if told else 4):
            title, part = PARTS[name]
            platform.say(f"{number}. {title} ({name})")
            facts += part(work, accepted)
    return Report("SageMaker training: everything was checked and held", facts, where_to_look(work, accepted))


def begin(work: Work) -> tuple[Told | None, Accepted]:
    """The story, or the one accepted run that the parts build on."""
    if work.platform.story:
        told = tell_story(work)
        return told, told.accepted
    work.platform.say(f"3. A run for the parts to build on (MSE <= {work.threshold:.0f} min2)")
    return None, accepted_run(work)


def where_to_look(work: Work, accepted: Accepted) -> list[str]:
    """Where a person finds what the accepted run left."""
    platform = work.platform
    look = [
        f"the execution's objects: {work.runs}/{accepted.ended.id}/",
        f"its files on this machine: {platform.workdir / accepted.ended.id}",
        f"the model: {accepted.model_uri}",
    ]
    if platform.local:
        look.append(f"the training job's log: mlparity logs {accepted.job}")
    if accepted.run:
        look.append(f"the training run in MLflow: {platform.tracking_uri}/#/runs/{accepted.run}")
    return look
