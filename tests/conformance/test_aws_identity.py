"""STS and IAM as boto3 and the SageMaker SDK see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.aws_fixtures import Stack, stack

ACCOUNT = "200000000001"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("identity"), ACCOUNT) as found:
        yield found


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: dict[str, Any] | str, condition: dict[str, Any] | None = None) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return policy(statement | ({"Condition": condition} if condition else {}))


def decisions(running: Stack, source: str, actions: list[str], **params: Any) -> list[str]:
    pages = running.client("iam").get_paginator("simulate_principal_policy")
    found = pages.paginate(PolicySourceArn=source, ActionNames=actions, **params).build_full_result()
    return [result["EvalDecision"] for result in found["EvaluationResults"]]


def test_the_local_pair_is_a_session_of_the_execution_role(running: Stack) -> None:
    me = running.client("sts").get_caller_identity()
    role = running.client("iam").get_role(RoleName=running.config.role_name)["Role"]
    assert me["Account"] == ACCOUNT
    assert me["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{running.config.role_name}/mlparity"
    assert me["UserId"] == f"{role['RoleId']}:mlparity"
    assert role["Arn"] == running.config.role_arn
    trusted = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
    assert {"sagemaker.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com"} == set(trusted)
    assert running.services.identity(running.config.access_key_id) == (me["Arn"], me["UserId"])


def test_assumed_credentials_are_accepted_until_they_expire(running: Stack) -> None:
    iam = running.client("iam")
    arn = iam.create_role(
        RoleName="Deployer",
        Path="/team/",
        AssumeRolePolicyDocument=trust({"AWS": running.config.role_arn}, {"StringEquals": {"sts:ExternalId": "42"}}),
    )["Role"]["Arn"]
    with pytest.raises(ClientError, match="AccessDenied"):
        running.client("sts").assume_role(RoleArn=arn, RoleSessionName="ci")
    got = running.client("sts").assume_role(RoleArn=arn, RoleSessionName="ci", ExternalId="42")
    pair = got["Credentials"]
    assert got["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/Deployer/ci"
    as_role = running.client("sts", key=pair["AccessKeyId"], secret=pair["SecretAccessKey"], token=pair["SessionToken"])
    assert as_role.get_caller_identity()["Arn"] == got["AssumedRoleUser"]["Arn"]
    assert running.services.credentials()[pair["AccessKeyId"]] == pair["SecretAccessKey"]
    assert pair["AccessKeyId"] in set(running.services.credentials())


def test_whether_a_service_may_act_as_a_role(running: Stack) -> None:
    iam, principal = running.client("iam"), "sagemaker.amazonaws.com"
    job, other = (f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/{name}" for name in ("a", "b"))
    only_for = {"ArnEquals": {"aws:SourceArn": job}}
    documents = {
        "ForAll": trust({"Service": principal}),
        "ForOne": trust({"Service": principal}, only_for),
        "ForOthers": trust({"Service": "lambda.amazonaws.com"}),
    }
    arns = {
        name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=text)["Role"]["Arn"]
        for name, text in documents.items()
    }
    arns |= {"Execution": running.config.role_arn, "None": f"arn:aws:iam::{ACCOUNT}:role/None"}
    may = {
        name: [running.services.may_assume(arn, principal, each) for each in (job, other)] for name, arn in arns.items()
    }
    yes, no = [True, True], [False, False]
    assert may == {"ForAll": yes, "ForOne": [True, False], "ForOthers": no, "Execution": yes, "None": no}


def test_sessions_survive_a_restart(tmp_path: Path) -> None:
    with stack(tmp_path, "200000000002") as before:
        pair = before.client("sts").get_session_token()["Credentials"]
    with stack(tmp_path, "200000000002") as after:
        client = after.client(
            "sts", key=pair["AccessKeyId"], secret=pair["SecretAccessKey"], token=pair["SessionToken"]
        )
        assert client.get_caller_identity()["Arn"].endswith("/mlparity")
        with pytest.raises(ClientError, match="AccessDenied"):
            client.get_session_token()


def test_nobody_may_assume_what_does_not_trust_them(running: Stack) -> None:
    for arn in (running.config.role_arn, f"arn:aws:iam::{ACCOUNT}:role/NoSuchRole"):
        with pytest.raises(ClientError, match=r"AccessDenied.*not authorized to perform: sts:AssumeRole"):
            running.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")


@pytest.mark.parametrize(
    ("service", "key", "secret", "code"),
    [
        ("sts", "AKIANOBODY0000000000", "x", "InvalidClientTokenId"),
        ("sts", "mlparity", "wrong", "SignatureDoesNotMatch"),
        ("events", "AKIANOBODY0000000000", "x", "UnrecognizedClientException"),
        ("events", "mlparity", "wrong", "InvalidSignatureException"),
    ],
)
def test_wrong_credentials_are_refused(running: Stack, service: str, key: str, secret: str, code: str) -> None:
    client = running.client(service, key=key, secret=secret)
    with pytest.raises(ClientError, match=code):
        client.get_caller_identity() if service == "sts" else client.list_rules()
    running.clients.pop((service, key)).close()


def test_a_temporary_key_without_its_token_is_refused(running: Stack) -> None:
    pair = running.client("sts").get_session_token()["Credentials"]
    client = running.client("sts", key=pair["AccessKeyId"], secret=pair["SecretAccessKey"])
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client.get_caller_identity()


def test_iam_users_sign_with_their_own_keys(running: Stack) -> None:
    iam = running.client("iam")
    iam.create_user(UserName="bob")
    key = iam.create_access_key(UserName="bob")["AccessKey"]
    bob = running.client("sts", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    assert bob.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/bob"
    iam.update_access_key(UserName="bob", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        bob.get_caller_identity()


@pytest.mark.sdk
@pytest.mark.filterwarnings("ignore")  # the SDK warns in many ways when it is imported
def test_the_execution_role_may_do_what_the_sdk_asks_about(running: Stack) -> None:
    from sagemaker.core.helper.iam_role_resolver import _get_smoke_test_actions

    # The SDK's own list, so that a new release cannot drift away from the role unseen.
    actions = sorted(_get_smoke_test_actions("training"))
    assert actions
    assert set(decisions(running, running.config.role_arn, actions)) == {"allowed"}
    staging = [f"arn:aws:s3:::{running.config.default_bucket}/*"]
    assert decisions(running, running.config.role_arn, ["s3:PutObject"], ResourceArns=staging) == ["allowed"]
    assert decisions(running, running.config.role_arn, ["iam:CreateUser"]) == ["implicitDeny"]


def test_inline_and_managed_policies_with_explicit_deny(running: Stack) -> None:
    iam = running.client("iam")
    arn = iam.create_role(RoleName="R1", AssumeRolePolicyDocument=trust({"Service": "sagemaker.amazonaws.com"}))[
        "Role"
    ]["Arn"]
    managed = iam.create_policy(
        PolicyName="P1", PolicyDocument=policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    )["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="R1", PolicyArn=managed)
    deny = {"Effect": "Deny", "Action": ["s3:Delete*"], "Resource": "arn:aws:s3:::prod/*"}
    iam.put_role_policy(RoleName="R1", PolicyName="no", PolicyDocument=policy(deny))
    resources = {"ResourceArns": ["arn:aws:s3:::prod/a", "arn:aws:s3:::dev/a"]}
    found = iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["s3:DeleteObject", "ec2:RunInstances"], **resources
    )
    results = [
        (each["EvalActionName"], each["EvalResourceName"][13:], each["EvalDecision"])
        for each in found["EvaluationResults"]
    ]
    assert results == [
        ("s3:DeleteObject", "prod/a", "explicitDeny"),
        ("s3:DeleteObject", "dev/a", "allowed"),
        ("ec2:RunInstances", "prod/a", "implicitDeny"),
        ("ec2:RunInstances", "dev/a", "implicitDeny"),
    ]
    sources = [each["SourcePolicyId"] for result in found["EvaluationResults"] for each in result["MatchedStatements"]]
    assert sources == ["no", "P1"]


def test_group_policies_and_variables_reach_the_user(running: Stack) -> None:
    iam = running.client("iam")
    arn = iam.create_user(UserName="eve")["User"]["Arn"]
    iam.create_group(GroupName="devs")
    iam.add_user_to_group(GroupName="devs", UserName="eve")
    own = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::home/${aws:username}/*"}
    iam.put_group_policy(GroupName="devs", PolicyName="own", PolicyDocument=policy(own))
    resources = ["arn:aws:s3:::home/eve/x", "arn:aws:s3:::home/bob/x"]
    assert decisions(running, arn, ["s3:GetObject"], ResourceArns=resources) == ["allowed", "implicitDeny"]


def test_conditions_use_the_context_and_report_what_is_missing(running: Stack) -> None:
    iam = running.client("iam")
    arn = iam.create_role(RoleName="R2", AssumeRolePolicyDocument=trust({"Service": "sagemaker.amazonaws.com"}))[
        "Role"
    ]["Arn"]
    pass_role = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": "*",
        "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    }
    iam.put_role_policy(RoleName="R2", PolicyName="pass", PolicyDocument=policy(pass_role))
    bare = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["iam:PassRole"])["EvaluationResults"][0]
    assert (bare["EvalDecision"], bare["MissingContextValues"]) == ("implicitDeny", ["iam:PassedToService"])
    entry = {
        "ContextKeyName": "iam:PassedToService",
        "ContextKeyValues": ["sagemaker.amazonaws.com"],
        "ContextKeyType": "string",
    }
    assert decisions(running, arn, ["iam:PassRole"], ContextEntries=[entry]) == ["allowed"]


def test_pages_errors_and_custom_policies(running: Stack) -> None:
    iam = running.client("iam")
    actions = [f"s3:Action{number}" for number in range(7)]
    assert (
        decisions(running, running.config.role_arn, actions, PaginationConfig={"PageSize": 3}) == ["implicitDeny"] * 7
    )
    for arn in (f"arn:aws:iam::{ACCOUNT}:role/Nobody", f"arn:aws:iam::{ACCOUNT}:user/Nobody"):
        with pytest.raises(iam.exceptions.NoSuchEntityException):
            decisions(running, arn, ["s3:GetObject"])
    with pytest.raises(iam.exceptions.InvalidInputException):
        decisions(running, "arn:aws:iam::1:root-of-nothing", ["s3:GetObject"])
    with pytest.raises(ClientError, match="ValidationError"):
        iam.simulate_principal_policy(
            PolicySourceArn=running.config.role_arn,
            ActionNames=["s3:GetObject"],
            ContextEntries=[{"ContextKeyName": "aws:x", "ContextKeyType": "text"}],
        )
    allow = policy({"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::secret/*"})
    found = iam.simulate_custom_policy(
        PolicyInputList=[allow], ActionNames=["s3:GetObject", "iam:ListRoles"], ResourceArns=["arn:aws:s3:::a/b"]
    )
    assert [each["EvalDecision"] for each in found["EvaluationResults"]] == ["allowed", "implicitDeny"]


def test_a_permissions_boundary_limits(running: Stack) -> None:
    iam = running.client("iam")
    limit = iam.create_policy(
        PolicyName="B1", PolicyDocument=policy({"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"})
    )["Policy"]["Arn"]
    arn = iam.create_role(
        RoleName="R3",
        AssumeRolePolicyDocument=trust({"Service": "sagemaker.amazonaws.com"}),
        PermissionsBoundary=limit,
    )["Role"]["Arn"]
    iam.put_role_policy(
        RoleName="R3", PolicyName="all", PolicyDocument=policy({"Effect": "Allow", "Action": "*", "Resource": "*"})
    )
    found = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["s3:GetObject", "s3:PutObject"])
    detail = [
        each["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for each in found["EvaluationResults"]
    ]
    assert [each["EvalDecision"] for each in found["EvaluationResults"]] == ["allowed", "implicitDeny"]
    assert detail == [True, False]
