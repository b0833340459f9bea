"""Lineage entities that are made for model packages: an artifact each, its parts, its group and its approvals.

https://docs.aws.amazon.com/sagemaker/latest/dg/lineage-tracking-auto-creation.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.lineage_entities import ACTION, ARTIFACT, CONTEXT, arn_of, artifact_arn
from mlparity.apis.sagemaker.lineage_job_facts import IMAGE, MODEL
from mlparity.engine.lineage import NewEdge, NewEntity
from mlparity.registry import ModelVersion

PACKAGE, GROUP, APPROVAL = "ModelPackage", "ModelGroup", "Approval"
_STATUS = {"PendingManualApproval": "InProgress"}  # until somebody decides


def created(api: SageMaker, version: ModelVersion) -> None:
    """Record a new version: what it is made of, the group it is in, and the decision that is to be made on it."""
    arn = api.arns.model_package(version.group_name, version.version)
    package = _artifact(api, arn, PACKAGE)
    parts = [_artifact(api, uri, kind) for uri, kind in _parts(version.request)]
    groups = [_group(api, version)] if version.version else []
    source_uri = version.request.get("SourceUri", "")
    origin = api.lineage.of_source(source_uri) if source_uri and source_uri != arn else ()
    api.lineage.record(
        [package, *parts, *groups],
        [
            *(NewEdge(part.id, package.id, "ContributedTo") for part in parts),
            *(NewEdge(entity.id, package.id, "DerivedFrom") for entity in origin if entity.family == ARTIFACT),
            *(NewEdge(package.id, group.id, "AssociatedWith") for group in groups),
        ],
    )
    if version.version:
        decided(api, version)


def decided(api: SageMaker, version: ModelVersion) -> None:
    """Record the approval status that a version has now, as an action on it."""
    arn = api.arns.model_package(version.group_name, version.version)
    package = _artifact(api, arn, PACKAGE)
    moment = int(version.modified_at.timestamp() * 1000)
    name = f"{version.group_name}-{version.version}-{version.approval}-{moment}-aws-model-package"[-120:].lstrip("-")
    body: dict[str, Any] = {
        "Source": {"SourceUri": arn, "SourceType": "ARN"},
        "Status": _STATUS.get(version.approval, "Completed"),
        "Properties": {"ModelApprovalStatus": version.approval},
    }
    if version.approval_description:
        body["Description"] = version.approval_description
    action = NewEntity(arn_of(api, ACTION, name), ACTION, APPROVAL, name, arn, body)
    api.lineage.record([package, action], [NewEdge(action.id, package.id, "ContributedTo")])


def _group(api: SageMaker, version: ModelVersion) -> NewEntity:
    arn = api.arns.model_package_group(version.group_name)
    name = f"{version.group_name}-aws-model-package-group"
    body: dict[str, Any] = {"Source": {"SourceUri": arn, "SourceType": "ARN"}}
    generated_by = version.request.get("MetadataProperties", {}).get("GeneratedBy", "")
    if "/execution/" in generated_by:
        body["Properties"] = {"PipelineExecutionArn": generated_by}
    return NewEntity(arn_of(api, CONTEXT, name), CONTEXT, GROUP, name, arn, body)


def _parts(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The images and model data of a package's containers and algorithms."""
    for container in request.get("InferenceSpecification", {}).get("Containers", ()):
        if image := container.get("Image"):
            yield image, IMAGE
        if uri := model_data(container):
            yield uri, MODEL
    for algorithm in request.get("SourceAlgorithmSpecification", {}).get("SourceAlgorithms", ()):
        yield algorithm["AlgorithmName"], "Algorithm"
        if uri := model_data(algorithm):
            yield uri, MODEL


def model_data(container: Mapping[str, Any]) -> str:
    """Where a container's model is: an S3 URI, or ""."""
    source: str = container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri", "")
    return str(container.get("ModelDataUrl") or source)


def _artifact(api: SageMaker, uri: str, kind: str) -> NewEntity:
    body = {"Source": {"SourceUri": uri, "SourceTypes": []}}
    return NewEntity(artifact_arn(api, uri), ARTIFACT, kind, "", uri, body)
