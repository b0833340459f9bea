"""Resource policies of model package groups: stored, and read back. Nothing here asks for another account's rights."""

from __future__ import annotations

import json

from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import validation
from mlparity.apis.sagemaker.model_package_groups import POLICY, find, remove_policy
from mlparity.apis.sagemaker.operation import Operation
from mlparity.errors import NotFoundError

_PARTIAL = "stored and shown; there is no other account that it could let in"


def put(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """PutModelPackageGroupPolicy: a JSON policy document."""
    group = find(api, request["ModelPackageGroupName"])
    policy = request["ResourcePolicy"]
    try:
        document = json.loads(policy)
    except ValueError as error:
        raise validation(f"The resource policy is not valid JSON: {error}") from None
    if not isinstance(document, dict) or not document.get("Statement"):
        raise validation("The resource policy must be a policy document with a Statement")
    with api.transaction():
        remove_policy(api, group.name)
        api.documents.create(POLICY, group.name, {"ResourcePolicy": policy})
    return {"ModelPackageGroupArn": api.arns.model_package_group(group.name)}


def get(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """GetModelPackageGroupPolicy."""
    group = find(api, request["ModelPackageGroupName"])
    try:
        return {"ResourcePolicy": api.documents.get(POLICY, group.name).body["ResourcePolicy"]}
    except NotFoundError:
        arn = api.arns.model_package_group(group.name)
        raise validation(f"Cannot find resource policy for : {arn}") from None


def delete(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """DeleteModelPackageGroupPolicy."""
    group = find(api, request["ModelPackageGroupName"])
    if not remove_policy(api, group.name):
        raise validation(f"Cannot find resource policy for : {api.arns.model_package_group(group.name)}")
    return {}


OPERATIONS = (
    Operation("PutModelPackageGroupPolicy", put, _PARTIAL),
    Operation("GetModelPackageGroupPolicy", get),
    Operation("DeleteModelPackageGroupPolicy", delete),
)
