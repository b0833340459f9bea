"""Model packages, versioned and unversioned: create, describe, list, update (approval), delete."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker import idempotency, lineage_packages, state_events, tags
from mlparity.apis.sagemaker import model_package_checks as checks
from mlparity.apis.sagemaker.arns import model_package_of, name_of, role_of
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError, conflict, validation
from mlparity.apis.sagemaker.hosted_containers import expect_package
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.model_package_groups import find as find_group
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import ConflictError, NotFoundError
from mlparity.registry import ModelVersion
from mlparity.registry.repository import VersionFilter
from mlparity.wire.json_values import jsonable

_SORT = {"Name": "name", "CreationTime": "created_at"}
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


_CARD_STATUS = "ModelCardStatus"
_BATCHED = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "InferenceSpecification",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
)


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreateModelPackage."""
    return idempotency.once(
        api, "CreateModelPackage", request.get("ClientToken"), lambda: _create(api, request, caller)
    )


def _create(api: SageMaker, request: Request, caller: Caller) -> Response:
    checks.require_one_name(request)
    request = checks.from_source(api, request)
    checks.check(api, request)
    members = {name: request[name] for name in _ECHOED if name in request}
    with api.transaction():
        version = _store(api, request, jsonable({**members, "CreatedBy": caller.user_context()}))
        arn = api.arns.model_package(version.group_name, version.version)
        tags.set_on_create(api, arn, request)
        lineage_packages.created(api, version)
        state_events.model_package(api, version, render(api, version))
    _expect(api, version)
    return {"ModelPackageArn": arn}


def _store(api: SageMaker, request: Request, stored: Response) -> ModelVersion:
    if "ModelPackageGroupName" in request:
        group = find_group(api, request["ModelPackageGroupName"])
        return api.registry.create_version(group.name, request.get("ModelApprovalStatus", _DEFAULT_APPROVAL), stored)
    name = request["ModelPackageName"]
    try:
        return api.registry.create_unversioned(name, stored)
    except ConflictError:
        raise validation(f"Model Package already exists: {api.arns.model_package(name, 0)}") from None


def find(api: SageMaker, name_or_arn: str) -> ModelVersion:
    """The version, or SageMaker's error for its absence."""
    group, number = model_package_of(name_or_arn)
    try:
        return api.registry.version(group, number)
    except NotFoundError:
        raise validation(f"ModelPackage {api.arns.model_package(group, number)} does not exist.") from None


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeModelPackage."""
    response = render(api, find(api, request["ModelPackageName"]))
    if request.get("IncludedData") == "MetadataOnly" and "ModelCard" in response:
        response["ModelCard"] = {name: value for name, value in response["ModelCard"].items() if name == _CARD_STATUS}
    return response


def render(api: SageMaker, version: ModelVersion) -> Response:
    """A package as DescribeModelPackage shows it.

    Versions come without a ModelPackageName, which the model requires: the service gives versions none (see its
    developer guide, "View the Details of a Model Version"), and the SDK falls back to the ARN only then.
    """
    request = version.request
    response: Response = {name: request[name] for name in _ECHOED if name in request}
    response |= {
        "ModelPackageArn": api.arns.model_package(version.group_name, version.version),
        "CreationTime": version.created_at,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CreatedBy": request["CreatedBy"],
        "CertifyForMarketplace": request.get("CertifyForMarketplace", False),
    }
    if version.version:
        response |= {
            "ModelPackageGroupName": version.group_name,
            "ModelPackageVersion": version.version,
            "ModelApprovalStatus": version.approval,
        }
    else:
        response["ModelPackageName"] = version.group_name
    if version.approval_description:
        response["ApprovalDescription"] = version.approval_description
    if "LastModifiedBy" in request:
        response |= {"LastModifiedTime": version.modified_at, "LastModifiedBy": request["LastModifiedBy"]}
    return response


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListModelPackages: of a group, or of all groups where ``ModelPackageType`` asks for versioned ones."""
    usual = "Versioned" if "ModelPackageGroupName" in request else "Unversioned"  # the vendor's default
    kind = request.get("ModelPackageType", usual)
    group = None
    if "ModelPackageGroupName" in request:
        group = find_group(api, name_of("model-package-group", request["ModelPackageGroupName"])).name
        if kind == "Unversioned":
            return {"ModelPackageSummaryList": []}  # they are in no group
    wanted = VersionFilter(
        versioned=True if group is not None else {"Versioned": True, "Unversioned": False}.get(kind),
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
        "ModelPackageName",
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


def batch(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """BatchDescribeModelPackage: what can be described, and why the rest cannot."""
    found: dict[str, Any] = {}
    failed: dict[str, Any] = {}
    for arn in request["ModelPackageArnList"]:
        try:
            found[arn] = _batched(api, find(api, arn))
        except SageMakerError as error:
            failed[arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": failed}


def _batched(api: SageMaker, version: ModelVersion) -> Response:
    described = render(api, version)
    if not version.version or "InferenceSpecification" not in described:  # the answer has no place for them
        raise validation(f"ModelPackage {described['ModelPackageArn']} is not a version with an InferenceSpecification")
    return {name: described[name] for name in _BATCHED if name in described}


def update(api: SageMaker, request: Request, caller: Caller) -> Response:
    """UpdateModelPackage: the approval, and the members that may change."""
    with api.transaction():
        return _update(api, request, caller)


def _update(api: SageMaker, request: Request, caller: Caller) -> Response:
    version = find(api, request["ModelPackageArn"])
    if not version.version and "ModelApprovalStatus" in request:
        raise validation("ModelApprovalStatus cannot be specified for an unversioned model package")
    _refuse_own_approval(api, version, request, caller)
    changes = _changes(api, version, request)
    changes["LastModifiedBy"] = caller.user_context()
    version = api.registry.update_version(version.group_name, version.version, jsonable(changes))
    if _decides(version, request):
        version, _ = api.registry.set_approval(
            version.group_name,
            version.version,
            request.get("ModelApprovalStatus", version.approval),
            actor=caller.arn,
            comment=request.get("ApprovalDescription"),
        )
        lineage_packages.decided(api, version)
        _expect(api, version)
    state_events.model_package(api, version, render(api, version))
    return {"ModelPackageArn": api.arns.model_package(version.group_name, version.version)}


def _expect(api: SageMaker, version: ModelVersion) -> None:
    """A version that may be deployed by now is made ready for it."""
    if version.approval == "Approved":
        expect_package(api, version.request.get("InferenceSpecification", {}))


def _refuse_own_approval(api: SageMaker, version: ModelVersion, request: Request, caller: Caller) -> None:
    """What an IAM policy with an explicit deny says on AWS: here, for the groups that a retraining loop looks after."""
    maker = version.request["CreatedBy"]["IamIdentity"]["Arn"]
    if (
        request.get("ModelApprovalStatus") == "Approved"
        and role_of(caller.arn) == role_of(maker)
        and api.needs_other_approver(version.group_name)
    ):
        raise SageMakerError(
            "AccessDeniedException",
            f"User: {caller.arn} is not authorized to perform: sagemaker:UpdateModelPackage on resource: "
            f"{api.arns.model_package(version.group_name, version.version)} with an explicit deny: the role "
            f"{role_of(maker)} made this model package, and another one has to approve it",
        )


def _decides(version: ModelVersion, request: Request) -> bool:
    """Whether a request changes the approval; the same status again, with the same words, is no decision."""
    status = request.get("ModelApprovalStatus", version.approval)
    words = request.get("ApprovalDescription", version.approval_description)
    return bool((status, words) != (version.approval, version.approval_description))


def _changes(api: SageMaker, version: ModelVersion, request: Request) -> dict[str, Any]:
    if "InferenceSpecification" in request:
        checks.check_specification(api, request["InferenceSpecification"])
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
        checks.check_additional(api, changes["AdditionalInferenceSpecifications"])
    return changes


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteModelPackage: one that no model is made from."""
    version = find(api, request["ModelPackageName"])
    arn = api.arns.model_package(version.group_name, version.version)
    if models := checks.models_of(api, arn):
        raise conflict(f"ModelPackage {arn} cannot be deleted: model {models[0]} is made from it.")
    with api.transaction():
        api.registry.delete_version(version.group_name, version.version)
        api.tags.remove(arn)
    return {}


OPERATIONS = (
    Operation("CreateModelPackage", create, "no validation jobs, no algorithm resources"),
    Operation("BatchDescribeModelPackage", batch),
    Operation("DescribeModelPackage", describe, omits=("modelPackageName",)),
    Operation("ListModelPackages", list_),
    Operation("UpdateModelPackage", update),
    Operation("DeleteModelPackage", delete),
)
