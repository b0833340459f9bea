"""Two roles, so that nobody approves what he has made: the pipeline's, and the approver's."""

from __future__ import annotations

import json
from typing import Any

from mlparity.scenarios import Platform
from scenarios.sagemaker_deployment.names import APPROVER_ROLE, PIPELINE_ROLE

_POLICY = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"


def pipeline_role(platform: Platform) -> str:
    """The role of the pipeline and its jobs; its ARN. People may assume it, too: to see what it may not do."""
    services = ["sagemaker.amazonaws.com", "events.amazonaws.com"]
    return _role(platform, PIPELINE_ROLE, {"Service": services, "AWS": _account_root(platform)})


def as_role(platform: Platform, arn: str, session: str) -> Any:
    """A SageMaker client that acts as the role."""
    import boto3

    credentials = platform.client("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
    made = boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name=platform.region,
    )
    return made.client("sagemaker")


def approver(platform: Platform, person: str) -> Any:
    """A SageMaker client of somebody who may approve."""
    arn = _role(platform, APPROVER_ROLE, {"AWS": _account_root(platform)})
    return as_role(platform, arn, person)


def _account_root(platform: Platform) -> str:
    return f"arn:aws:iam::{platform.client('sts').get_caller_identity()['Account']}:root"


def _role(platform: Platform, name: str, principal: dict[str, Any]) -> str:
    iam = platform.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    }
    try:
        arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"])
    except iam.exceptions.EntityAlreadyExistsException:
        arn = str(iam.get_role(RoleName=name)["Role"]["Arn"])
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    iam.attach_role_policy(RoleName=name, PolicyArn=_POLICY)
    return arn
