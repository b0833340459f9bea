"""What can be searched: how the records of each resource are read, and their shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker import (
    component_metrics,
    endpoint_views,
    endpoints,
    executions,
    experiments,
    model_package_groups,
    model_packages,
    models,
    pipelines,
    training_jobs,
    trial_components,
    trials,
)
from mlparity.apis.sagemaker.context import API, Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.lineage_entities import EXPERIMENT, MEMBER, TRIAL, TRIAL_COMPONENT
from mlparity.engine.job_repository import JobFilter
from mlparity.engine.lineage import Entity, EntityFilter
from mlparity.registry.repository import VersionFilter
from mlparity.state.documents import DocumentFilter
from mlparity.state.paging import Page, PageRequest

_CHUNK = 500
_NOBODY = Caller("", "")
Hints = Mapping[str, Any]


@dataclass(frozen=True)
class Searchable:
    """One resource: the member of SearchRecord and the shape of its records, their ARN's member, and their source.

    ``records`` reads them all; its hints are members of ``JobFilter`` that hold for every record wanted.
    """

    member: str
    shape: str
    arn: str
    records: Callable[[SageMaker, Hints], Iterator[Response]]


def _pages(fetch: Callable[[PageRequest], Page[Any]]) -> Iterator[Sequence[Any]]:
    token: str | None = None
    while True:
        page = fetch(PageRequest("created_at", descending=True, limit=_CHUNK, token=token))
        yield page.items
        token = page.next_token
        if token is None:
            return


def _training_jobs(api: SageMaker, hints: Hints) -> Iterator[Response]:
    wanted = JobFilter(API, training_jobs.KIND, **hints)
    for jobs in _pages(lambda page: api.jobs.repository.list(wanted, page)):
        for job in jobs:
            yield training_jobs.render(api, job)


def _experiments(api: SageMaker, _hints: Hints) -> Iterator[Response]:
    for chunk in _entities(api, EXPERIMENT):
        yield from (experiments.render(entity) for entity in chunk)


def _trials(api: SageMaker, _hints: Hints) -> Iterator[Response]:
    for chunk in _entities(api, TRIAL):
        edges = api.lineage.edges_of([entity.id for entity in chunk], [MEMBER], outgoing=True)
        components = api.lineage.get_all({edge.target for edge in edges})
        inside: dict[str, list[Response]] = {}
        for edge in edges:
            inside.setdefault(edge.source, []).append(_simple(components[edge.target]))
        for entity in chunk:
            yield {**trials.render(entity), "TrialComponentSummaries": inside.get(entity.id, [])}


def _simple(component: Entity) -> Response:
    summary: Response = {
        "TrialComponentName": component.name,
        "TrialComponentArn": component.id,
        "CreationTime": component.created_at,
        "CreatedBy": component.body.get("CreatedBy", {}),
    }
    if "Source" in component.body:
        summary["TrialComponentSource"] = component.body["Source"]
    return summary


def _trial_components(api: SageMaker, _hints: Hints) -> Iterator[Response]:
    summarised = component_metrics.all_summarised(api)
    for chunk in _entities(api, TRIAL_COMPONENT):
        edges = api.lineage.edges_of([entity.id for entity in chunk], [MEMBER], outgoing=False)
        around = api.lineage.get_all({edge.source for edge in edges})
        parents: dict[str, list[Response]] = {}
        for edge in edges:
            trial = around[edge.source]
            parents.setdefault(edge.target, []).append(
                {"TrialName": trial.name, "ExperimentName": trial.body["ExperimentName"]}
            )
        for entity in chunk:
            # Empty mappings are there, too: ``ExperimentAnalytics`` of SDK 2 fails without.
            empty: Response = {member: {} for member in trial_components.MAPPINGS}
            record = {**empty, **trial_components.render(entity), "Parents": parents.get(entity.id, [])}
            if metrics := summarised(entity):
                record["Metrics"] = metrics
            if "RunName" in entity.body:
                record["RunName"] = entity.body["RunName"]
            yield record


def _entities(api: SageMaker, family: str) -> Iterator[Sequence[Entity]]:
    return _pages(lambda page: api.lineage.list(EntityFilter(family), page))


def _model_packages(api: SageMaker, _hints: Hints) -> Iterator[Response]:
    for versions in _pages(lambda page: api.registry.list_versions(VersionFilter(), page)):
        yield from (model_packages.render(api, version) for version in versions)


def _model_package_groups(api: SageMaker, _hints: Hints) -> Iterator[Response]:
    for groups in _pages(api.registry.list_groups):
        for group in groups:
            yield model_package_groups.describe(api, {"ModelPackageGroupName": group.name}, _NOBODY)


def _pipelines(api: SageMaker, _hints: Hints) -> Iterator[Response]:
    for documents in _pages(lambda page: api.documents.list(pipelines.KIND, DocumentFilter(), page)):
        yield from (pipelines.describe(api, {"PipelineName": item.name}, _NOBODY) for item in documents)


def _executions(api: SageMaker, _hints: Hints) -> Iterator[Response]:
    for chunk in _pages(lambda page: api.documents.list(pipelines.KIND, DocumentFilter(), page)):
        for pipeline in chunk:
            yield from _executions_of(api, pipeline.name)


def _executions_of(api: SageMaker, name: str) -> Iterator[Response]:
    for runs in _pages(lambda page: api.runs.repository.list(API, pipelines.RUN_KIND, name, page)):
        for run in runs:
            request: Request = {"PipelineExecutionArn": api.arns.execution(run.parent, run.id)}
            values = [{"Name": key, "Value": str(value)} for key, value in run.plan.parameters.items()]
            yield {**executions.describe(api, request, _NOBODY), "PipelineParameters": values}


def _models(api: SageMaker, _hints: Hints) -> Iterator[Response]:
    shown = api.model.members("Model")
    for documents in _pages(lambda page: api.documents.list(models.KIND, DocumentFilter(), page)):
        for document in documents:
            described = models.describe(api, {"ModelName": document.name}, _NOBODY)
            yield {"Model": {name: value for name, value in described.items() if name in shown}}


def _endpoints(api: SageMaker, _hints: Hints) -> Iterator[Response]:
    yield from (endpoint_views.described(api, endpoint) for endpoint in endpoints.every(api))


SEARCHABLE: Mapping[str, Searchable] = {
    "TrainingJob": Searchable("TrainingJob", "TrainingJob", "TrainingJobArn", _training_jobs),
    "Experiment": Searchable("Experiment", "Experiment", "ExperimentArn", _experiments),
    "ExperimentTrial": Searchable("Trial", "Trial", "TrialArn", _trials),
    "ExperimentTrialComponent": Searchable("TrialComponent", "TrialComponent", "TrialComponentArn", _trial_components),
    "Endpoint": Searchable("Endpoint", "Endpoint", "EndpointArn", _endpoints),
    "ModelPackage": Searchable("ModelPackage", "ModelPackage", "ModelPackageArn", _model_packages),
    "ModelPackageGroup": Searchable(
        "ModelPackageGroup", "ModelPackageGroup", "ModelPackageGroupArn", _model_package_groups
    ),
    "Pipeline": Searchable("Pipeline", "Pipeline", "PipelineArn", _pipelines),
    "PipelineExecution": Searchable("PipelineExecution", "PipelineExecution", "PipelineExecutionArn", _executions),
    "Model": Searchable("Model", "ModelDashboardModel", "ModelArn", _models),
}
