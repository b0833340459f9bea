"""Lineage entities that are made for endpoints: a context each, and an action for every model deployment.

https://docs.aws.amazon.com/sagemaker/latest/dg/lineage-tracking-auto-creation.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlparity.apis.sagemaker import model_packages, models
from mlparity.apis.sagemaker.context import API, SageMaker
from mlparity.apis.sagemaker.endpoint_views import arn
from mlparity.apis.sagemaker.lineage_entities import ACTION, ARTIFACT, CONTEXT, arn_of, artifact_arn
from mlparity.apis.sagemaker.lineage_job_facts import IMAGE, MODEL
from mlparity.apis.sagemaker.lineage_packages import PACKAGE
from mlparity.engine.lineage import NewEdge, NewEntity
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase

ENDPOINT, DEPLOYMENT = "Endpoint", "ModelDeployment"
PACKAGES = "ModelPackageArns"  # of an endpoint's own record: which model packages a configuration's models are of
_NAME_LIMIT = 120


def package_arns(api: SageMaker, config: Mapping[str, Any]) -> list[str]:
    """The model packages that the models of an endpoint configuration were made of."""
    found: dict[str, None] = {}
    for variant in (*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())):
        body = models.find(api, variant["ModelName"]).body
        for container in body.get("Containers") or [body["PrimaryContainer"]]:
            if "ModelPackageName" in container:
                version = model_packages.find(api, container["ModelPackageName"])
                found[api.arns.model_package(version.group_name, version.version)] = None
    return list(found)


def endpoint(api: SageMaker, changed: Endpoint, before: Endpoint | None) -> None:
    """Record what an endpoint serves since now; an ``Endpoints`` listener, within the change's transaction."""
    if changed.api != API or changed.phase is not EndpointPhase.IN_SERVICE:
        return
    if changed.failure_reason or (before is not None and before.phase is EndpointPhase.IN_SERVICE):
        return
    created = int(changed.created_at.timestamp() * 1000)
    number = changed.rollout.number if changed.rollout is not None else 0
    source = {"Source": {"SourceUri": arn(api, changed.name), "SourceType": "ARN"}}
    context = _named(api, CONTEXT, ENDPOINT, f"{changed.name}-{created}-aws-endpoint", source)
    body = {**source, "Status": "Completed", "Properties": {"EndpointConfigName": changed.revision.name}}
    action = _named(api, ACTION, DEPLOYMENT, f"{changed.name}-{created}-{number}-aws-model-deployment", body)
    parts = [_artifact(api, uri, kind) for uri, kind in _parts(changed)]
    api.lineage.record(
        [context, action, *parts],
        [
            *(NewEdge(part.id, action.id, "ContributedTo") for part in parts),
            NewEdge(action.id, context.id, "AssociatedWith"),
        ],
    )


def _parts(of: Endpoint) -> Iterator[tuple[str, str]]:
    for variant in of.revision.variants:
        for container in variant.containers:
            yield container.image, IMAGE
            if container.model_uri:
                yield container.model_uri, MODEL
    request = of.update_request or of.request
    yield from ((package, PACKAGE) for package in request.get(PACKAGES, ()))


def _named(api: SageMaker, family: str, kind: str, name: str, body: Mapping[str, Any]) -> NewEntity:
    short = name[-_NAME_LIMIT:].lstrip("-")
    return NewEntity(arn_of(api, family, short), family, kind, short, body["Source"]["SourceUri"], body)


def _artifact(api: SageMaker, uri: str, kind: str) -> NewEntity:
    return NewEntity(artifact_arn(api, uri), ARTIFACT, kind, "", uri, {"Source": {"SourceUri": uri, "SourceTypes": []}})
