"""Lineage entities that are made for jobs: a trial component each, and artifacts for what it took and made.

Everything is idempotent, so that each phase can tell the whole story again: what a crash left out is there afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlparity.apis.sagemaker import experiments, trials
from mlparity.apis.sagemaker.context import API, Response, SageMaker
from mlparity.apis.sagemaker.job_status import job_status
from mlparity.apis.sagemaker.lineage_entities import ARTIFACT, MEMBER, TRIAL, TRIAL_COMPONENT, arn_of, artifact_arn
from mlparity.apis.sagemaker.lineage_job_facts import IMAGE, TRACKED, JobFacts, TrackedKind
from mlparity.engine.jobs import Job, Phase
from mlparity.engine.lineage import NewEdge, NewEntity
from mlparity.engine.runs import Run, RunStatus
from mlparity.errors import NotFoundError
from mlparity.wire.json_values import jsonable

# SageMaker tags the jobs of a pipeline with this; its SDKs read it.
EXECUTION_TAG = "sagemaker:pipeline-execution-arn"


def job(api: SageMaker, changed: Job) -> None:
    """Record a job as it is now; a JobService listener. Phases in between tell nothing new."""
    tracked = TRACKED.get(changed.kind)
    if changed.api != API or tracked is None:
        return
    told = changed.phase in {Phase.PENDING, Phase.RUNNING} or changed.phase.is_final
    if told or changed.stop_requested_at is not None:
        with api.transaction():
            _record(api, tracked, changed)


def recover(api: SageMaker) -> None:
    """After a crash: bring components up to date whose jobs ended unnoticed."""
    for entity in api.lineage.open():
        kind, _, name = entity.source_uri.rpartition(":")[2].partition("/")
        tracked = next((item for item in TRACKED.values() if item.arn_kind == kind), None)
        if tracked is None:
            continue
        try:
            found = api.jobs.repository.find(API, tracked.kind, name)
        except NotFoundError:
            continue
        if found.phase.is_final:
            job(api, found)


def run(api: SageMaker, changed: Run, before: RunStatus | None) -> None:
    """The experiment and the trial of a pipeline execution that begins; a RunEngine listener."""
    if changed.api == API and before is None:
        with api.transaction():
            _ensure_trial(api, changed.plan.context, changed)


def _ensure_trial(api: SageMaker, names: Any, of: Run) -> None:
    experiment = names.get("ExperimentName")
    if not experiment:
        return
    pipeline = api.arns.pipeline(of.parent)
    entities = [experiments.new(api, experiment, {}, pipeline)]
    if trial := names.get("TrialName"):
        source = {"SourceArn": api.arns.execution(of.parent, of.id), "SourceType": "SageMakerPipelineExecution"}
        entities.append(trials.new(api, trial, experiment, {}, source))
    api.lineage.record(entities, ())


def _record(api: SageMaker, tracked: TrackedKind, of: Job) -> None:
    arn = api.arns.of(tracked.arn_kind, of.name)
    facts = tracked.facts(of)
    name = f"{of.name}{tracked.suffix}"
    component = arn_of(api, TRIAL_COMPONENT, name)
    body = _body(tracked, of, facts, arn, name)
    is_open = not of.phase.is_final
    image = NewEntity(artifact_arn(api, facts.image), ARTIFACT, IMAGE, "", facts.image, _source(facts.image))
    used = [image, *_artifacts(api, facts.inputs)] if facts.image else _artifacts(api, facts.inputs)
    made = _artifacts(api, facts.outputs)
    members = _trial(api, of)
    api.lineage.record(
        [
            *members,
            NewEntity(component, TRIAL_COMPONENT, tracked.kind, name, arn, jsonable(body), is_open),
            *used,
            *made,
        ],
        [
            *(NewEdge(entity.id, component, "ContributedTo") for entity in used),
            *(NewEdge(component, entity.id, "Produced") for entity in made),
            *(NewEdge(entity.id, component, MEMBER) for entity in members if entity.family == TRIAL),
        ],
        refresh={component},
    )
    if of.run_id is not None and of.phase is Phase.PENDING:
        execution = api.runs.repository.get(of.run_id)
        api.tags.add(arn, {EXECUTION_TAG: api.arns.execution(execution.parent, execution.id)})


def _body(tracked: TrackedKind, of: Job, facts: JobFacts, arn: str, name: str) -> Response:
    config = of.request.get("ExperimentConfig") or {}
    body: Response = {
        "DisplayName": config.get("TrialComponentDisplayName", name),
        "Source": {"SourceArn": arn, "SourceType": tracked.source_type},
        "Status": {"PrimaryStatus": job_status(of), "Message": facts.message},
        "Parameters": facts.parameters,
        "InputArtifacts": {item.name: item.described() for item in facts.inputs},
        "OutputArtifacts": {item.name: item.described() for item in facts.outputs},
    }
    if tracked.kind != "TrainingJob":  # a training job's image is among its parameters
        body["InputArtifacts"]["SageMaker.ImageUri"] = {"Value": facts.image}
    if "RunName" in config:
        body["RunName"] = config["RunName"]
    if of.started_at is not None:
        body["StartTime"] = of.started_at
    if of.ended_at is not None:
        body["EndTime"] = of.ended_at
    if metrics := of.results.get("metrics"):
        # Only the last values are kept of what was read from the log: no extremes and no count.
        body["Metrics"] = [
            {"MetricName": metric, "SourceArn": arn, "TimeStamp": of.ended_at or of.modified_at, "Last": value}
            for metric, value in metrics.items()
        ]
    return body


def _trial(api: SageMaker, of: Job) -> list[NewEntity]:
    """The experiment and the trial that the job's ExperimentConfig names; they exist, or the pipeline makes them."""
    config = of.request.get("ExperimentConfig") or {}
    experiment, trial = config.get("ExperimentName"), config.get("TrialName")
    if not experiment:
        return []
    # Without a name the trial is made for the job, as SageMaker does.
    name = trial or f"Default-Run-Group-{experiment}"[:120]
    return [experiments.new(api, experiment, {}), trials.new(api, name, experiment, {})]


def _artifacts(api: SageMaker, tracked: Sequence[Any]) -> list[NewEntity]:
    return [
        NewEntity(artifact_arn(api, item.uri), ARTIFACT, item.kind, "", item.uri, _source(item.uri)) for item in tracked
    ]


def _source(uri: str) -> dict[str, Any]:
    return {"Source": {"SourceUri": uri, "SourceTypes": []}}
