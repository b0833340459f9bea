"""Model package groups: create, describe, list, delete."""

from __future__ import annotations

from mlparity.apis.sagemaker import tags
from mlparity.apis.sagemaker.arns import name_of
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import conflict, not_served, validation
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import ConflictError, NotFoundError
from mlparity.registry import ModelGroup

POLICY = "ModelPackageGroupPolicy"
_SORT = {"Name": "name", "CreationTime": "created_at"}


def create(api: SageMaker, request: Request, caller: Caller) -> Response:
    """CreateModelPackageGroup."""
    if "ManagedConfiguration" in request:
        raise not_served("ManagedConfiguration")
    name = request["ModelPackageGroupName"]
    arn = api.arns.model_package_group(name)
    try:
        with api.transaction():
            api.registry.create_group(
                name, request.get("ModelPackageGroupDescription", ""), {"CreatedBy": caller.user_context()}
            )
            tags.set_on_create(api, arn, request)
    except ConflictError:
        raise validation(f"Model Package Group already exists: {arn}") from None
    return {"ModelPackageGroupArn": arn}


def ensure(api: SageMaker, name_or_arn: str, caller: Caller) -> None:
    """Make the group unless it exists, as a RegisterModel step does."""
    name = name_of("model-package-group", name_or_arn)
    try:
        api.registry.group(name)
    except NotFoundError:
        create(api, {"ModelPackageGroupName": name}, caller)


def find(api: SageMaker, name_or_arn: str) -> ModelGroup:
    """The group, or SageMaker's error for its absence."""
    name = name_of("model-package-group", name_or_arn)
    try:
        return api.registry.group(name)
    except NotFoundError:
        raise validation(f"ModelPackageGroup {api.arns.model_package_group(name)} does not exist.") from None


def describe(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DescribeModelPackageGroup."""
    group = find(api, request["ModelPackageGroupName"])
    response = {**_summary(api, group), "CreatedBy": group.request["CreatedBy"]}
    if group.description:
        response["ModelPackageGroupDescription"] = group.description
    return response


def list_(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """ListModelPackageGroups."""
    if request.get("CrossAccountFilterOption") == "CrossAccount":
        return {"ModelPackageGroupSummaryList": []}  # nobody shares groups here
    page = api.registry.list_groups(
        page_request(request, _SORT, default_sort="CreationTime", default_order="Descending"),
        name_contains=request.get("NameContains"),
        **times(request),
    )
    return with_token({"ModelPackageGroupSummaryList": [_summary(api, item) for item in page.items]}, page)


def _summary(api: SageMaker, group: ModelGroup) -> Response:
    summary: Response = {
        "ModelPackageGroupName": group.name,
        "ModelPackageGroupArn": api.arns.model_package_group(group.name),
        "CreationTime": group.created_at,
        "ModelPackageGroupStatus": "Completed",
    }
    if group.description:
        summary["ModelPackageGroupDescription"] = group.description
    return summary


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteModelPackageGroup: only an empty one."""
    group = find(api, request["ModelPackageGroupName"])
    arn = api.arns.model_package_group(group.name)
    try:
        with api.transaction():
            api.registry.delete_group(group.name)
            api.tags.remove(arn)
            remove_policy(api, group.name)
    except ConflictError:
        raise conflict(
            f"Model Package Group cannot be deleted because it still contains Model Packages: {arn}"
        ) from None
    return {}


def remove_policy(api: SageMaker, group: str) -> bool:
    """Forget a group's resource policy; whether it had one."""
    try:
        api.documents.delete(POLICY, group)
    except NotFoundError:
        return False
    return True


OPERATIONS = (
    Operation("CreateModelPackageGroup", create),
    Operation("DescribeModelPackageGroup", describe),
    Operation("ListModelPackageGroups", list_),
    Operation("DeleteModelPackageGroup", delete),
)
