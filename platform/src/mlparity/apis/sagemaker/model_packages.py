"""Versioned model packages: create, describe, list, update (approval), delete."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker import idempotency, lineage_packages, state_events, tags
from mlparity.apis.sagemaker.arns import model_package_of, name_of
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.model_package_groups import find as find_group
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.workspace import parse_uri
from mlparity.errors import InvalidRequestError, NotFoundError, StorageError
from mlparity.registry import ModelVersion
from mlparity.registry.repository import VersionFilter
from mlparity.wire.json_values import jsonable

_SORT = {"Name": "version", "CreationTime": "created_at"}
_DEFAULT_APPROVAL = "PendingManualApproval"
# Members of the request that Describe gives back as they came.
_ECHOED = (
    "ModelPackageDescription",
    "ModelPackageRegistrationType",
    "InferenceSpecification",
    "SourceAlgorithmSpecification",
    "CertifyForMarketplace",
    "MetadataProperties",
    "ModelMetrics",
    "Domain",
    "Task",
    "SamplePayloadUrl",
    "CustomerMetadataProperties",
    "DriftCheckBaselines",
    "AdditionalInferenceSpecifications",
    "SkipModelValidation",
    "SourceUri",
    "SecurityConfig",
    "ModelCard",
    "ModelLifeCycle",
)


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreateModelPackage."""
    return idempotency.once(
        api, "CreateModelPackage", request.get("ClientToken"), lambda: _create(api, request, caller)
    )


def _create(api: SageMaker, request: Request, caller: Caller) -> Response:
    if "ModelPackageGroupName" not in request:
        if "ModelPackageName" not in request:
            raise validation("Missing ARN.")  # the vendor says no more than this
        raise not_served("an unversioned model package (ModelPackageName)")
    if "ModelPackageName" in request:
        raise validation(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
            "Cannot determine which one to use."
        )
    for feature in ("ValidationSpecification", "ManagedStorageType"):
        if feature in request:
            raise not_served(feature)
    group = find_group(api, request["ModelPackageGroupName"])
    _require_artifacts(api, request)
    stored = {
        **{name: request[name] for name in _ECHOED if name in request},
        "CreatedBy": caller.user_context(),
    }
    approval = request.get("ModelApprovalStatus", _DEFAULT_APPROVAL)
    version = api.registry.create_version(group.name, approval, jsonable(stored))
    arn = api.arns.model_package(group.name, version.version)
    tags.set_on_create(api, arn, request)
    lineage_packages.created(api, version)
    state_events.model_package(api, version, render(api, version))
    return {"ModelPackageArn": arn}


def _require_artifacts(api: SageMaker, request: Request) -> None:
    """Refuse a package whose model data is not there, as SageMaker does."""
    for container in request.get("InferenceSpecification", {}).get("Containers", ()):
        url = container.get("ModelDataUrl")
        if not url:
            continue
        try:
            bucket, key = parse_uri(url)
            found = bool(api.store.list(bucket, key, limit=1).objects)
        except (InvalidRequestError, StorageError):
            found = False
        if not found:
            raise validation(f"Could not access model data at {url}. Please ensure that the object exists.")


def find(api: SageMaker, name_or_arn: str) -> ModelVersion:
    """The version, or SageMaker's error for its absence."""
    group, number = model_package_of(name_or_arn)
    try:
        return api.registry.version(group, number)
    except NotFoundError:
        raise validation(f"ModelPackage {api.arns.model_package(group, number)} does not exist.") from None


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeModelPackage."""
    return render(api, find(api, request["ModelPackageName"]))


def render(api: SageMaker, version: ModelVersion) -> Response:
    """A version as DescribeModelPackage shows it.

    Without a ModelPackageName, which the model requires: the service gives versions none (see its developer guide,
    "View the Details of a Model Version"), and the SDK falls back to the ARN only then.
    """
    request = version.request
    response: Response = {name: request[name] for name in _ECHOED if name in request}
    response |= {
        "ModelPackageGroupName": version.group_name,
        "ModelPackageVersion": version.version,
        "ModelPackageArn": api.arns.model_package(version.group_name, version.version),
        "CreationTime": version.created_at,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "ModelApprovalStatus": version.approval,
        "CreatedBy": request["CreatedBy"],
        "CertifyForMarketplace": request.get("CertifyForMarketplace", False),
    }
    if version.approval_description:
        response["ApprovalDescription"] = version.approval_description
    if "LastModifiedBy" in request:
        response |= {"LastModifiedTime": version.modified_at, "LastModifiedBy": request["LastModifiedBy"]}
    return response


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListModelPackages: of a group, or of all groups where ``ModelPackageType`` asks for versioned ones."""
    usual = "Versioned" if "ModelPackageGroupName" in request else "Unversioned"  # the vendor's default
    if request.get("ModelPackageType", usual) == "Unversioned":
        return {"ModelPackageSummaryList": []}  # they are refused at creation
    group = None
    if "ModelPackageGroupName" in request:
        group = find_group(api, name_of("model-package-group", request["ModelPackageGroupName"])).name
    wanted = VersionFilter(
        group=group,
        approval=request.get("ModelApprovalStatus"),
        name_contains=request.get("NameContains"),
        **times(request),
    )
    page = api.registry.list_versions(
        wanted, page_request(request, _SORT, default_sort="CreationTime", default_order="Descending")
    )
    return with_token({"ModelPackageSummaryList": [_summary(api, item) for item in page.items]}, page)


def _summary(api: SageMaker, version: ModelVersion) -> Response:
    shown = (
        "ModelPackageGroupName",
        "ModelPackageVersion",
        "ModelPackageArn",
        "ModelPackageDescription",
        "CreationTime",
        "ModelPackageStatus",
        "ModelApprovalStatus",
        "ModelLifeCycle",
        "ModelPackageRegistrationType",
    )
    described = render(api, version)
    return {name: described[name] for name in shown if name in described}


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdateModelPackage: the approval, and the members that may change."""
    with api.transaction():
        return _update(api, request, caller)


def _update(api: SageMaker, request: Request, caller: Caller) -> Response:
    version = find(api, request["ModelPackageArn"])
    changes = _changes(version, request)
    changes["LastModifiedBy"] = caller.user_context()
    version = api.registry.update_version(version.group_name, version.version, jsonable(changes))
    if "ModelApprovalStatus" in request or "ApprovalDescription" in request:
        version, _ = api.registry.set_approval(
            version.group_name,
            version.version,
            request.get("ModelApprovalStatus", version.approval),
            actor=caller.arn,
            comment=request.get("ApprovalDescription"),
        )
        lineage_packages.decided(api, version)
    state_events.model_package(api, version, render(api, version))
    return {"ModelPackageArn": api.arns.model_package(version.group_name, version.version)}


def _changes(version: ModelVersion, request: Request) -> dict[str, Any]:
    replaced = ("ModelPackageRegistrationType", "InferenceSpecification", "SourceUri", "ModelCard", "ModelLifeCycle")
    changes: dict[str, Any] = {name: request[name] for name in replaced if name in request}
    added = request.get("CustomerMetadataProperties", {})
    removed = request.get("CustomerMetadataPropertiesToRemove", [])
    if added or removed:
        merged = {**version.request.get("CustomerMetadataProperties", {}), **added}
        changes["CustomerMetadataProperties"] = {key: value for key, value in merged.items() if key not in removed}
    if "AdditionalInferenceSpecificationsToAdd" in request:
        present = version.request.get("AdditionalInferenceSpecifications", [])
        changes["AdditionalInferenceSpecifications"] = [
            *present,
            *request["AdditionalInferenceSpecificationsToAdd"],
        ]
    return changes


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteModelPackage."""
    version = find(api, request["ModelPackageName"])
    with api.transaction():
        api.registry.delete_version(version.group_name, version.version)
        api.tags.remove(api.arns.model_package(version.group_name, version.version))
    return {}


OPERATIONS = (
    Operation("CreateModelPackage", create, "versioned packages; no validation jobs"),
    Operation("DescribeModelPackage", describe, omits=("modelPackageName",)),
    Operation("ListModelPackages", list_),
    Operation("UpdateModelPackage", update),
    Operation("DeleteModelPackage", delete),
)
