from __future__ import annotations

import json
from typing import Any

import pytest

from mlparity.apis.aws.policy import Policy, Question, evaluate
from mlparity.apis.aws.policy_conditions import condition_holds

CONTEXT = {
    "aws:username": ["ann"],
    "aws:requestedregion": ["us-east-1"],
    "aws:sourceip": ["10.1.2.3"],
    "aws:currenttime": ["2026-05-01T00:00:00Z"],
    "aws:tagkeys": ["team", "cost"],
    "s3:max-keys": ["10"],
    "aws:securetransport": ["true"],
}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}}, True),
        ({"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}, False),
        ({"StringNotEquals": {"aws:absent": "x"}}, True),
        ({"StringLike": {"aws:username": "a*"}}, True),
        ({"StringLike": {"aws:username": "[a]nn"}}, False),
        ({"StringNotLike": {"aws:username": "b?"}}, True),
        ({"StringEqualsIgnoreCase": {"aws:username": "ANN"}}, True),
        ({"StringEquals": {"aws:absent": "x"}}, False),
        ({"StringEqualsIfExists": {"aws:absent": "x"}}, True),
        ({"Null": {"aws:absent": "true"}}, True),
        ({"Null": {"aws:username": "true"}}, False),
        ({"Bool": {"aws:SecureTransport": True}}, True),
        ({"NumericLessThanEquals": {"s3:max-keys": 10}}, True),
        ({"NumericGreaterThan": {"s3:max-keys": "ten"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": "2026-06-01"}}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.168.0.0/16"]}}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost", "x"]}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}, False),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["none"]}}, False),
        ({"SomethingNew": {"aws:username": "ann"}}, False),
        ({"StringEquals": {"aws:username": "ann"}, "Bool": {"aws:SecureTransport": "false"}}, False),
    ],
)
def test_conditions(block: dict[str, Any], expected: bool) -> None:
    assert condition_holds(block, CONTEXT)[0] is expected


def policy(**statement: Any) -> Policy:
    return Policy.read("p", json.dumps({"Statement": {"Effect": "Allow", **statement}}))


@pytest.mark.parametrize(
    ("statement", "action", "resource", "expected"),
    [
        ({"Action": "S3:GET*", "Resource": "*"}, "s3:GetObject", "arn:aws:s3:::b/k", "allowed"),
        ({"Action": "s3:Get?bject", "Resource": "arn:aws:s3:::b/*"}, "s3:GetObject", "arn:aws:s3:::b/a/b", "allowed"),
        ({"Action": "s3:*", "Resource": "arn:aws:s3:::b/*"}, "s3:GetObject", "arn:aws:s3:::B/k", "implicitDeny"),
        ({"Action": "s3:*", "Resource": "arn:aws:s3:::b/*"}, "s3:GetObject", "*", "implicitDeny"),
        ({"Action": "s3:*", "Resource": "arn:aws:s3:::b.c/k"}, "s3:GetObject", "arn:aws:s3:::bxc/k", "implicitDeny"),
        ({"NotAction": "iam:*", "Resource": "*"}, "s3:GetObject", "*", "allowed"),
        ({"NotAction": "iam:*", "Resource": "*"}, "iam:ListRoles", "*", "implicitDeny"),
        ({"Action": "*", "NotResource": "arn:aws:s3:::b/*"}, "s3:GetObject", "arn:aws:s3:::b/k", "implicitDeny"),
        ({"Action": "*", "Resource": "arn:${aws:username}"}, "x:Y", "arn:ann", "allowed"),
        ({"Action": "*", "Resource": "arn:${aws:absent, 'any'}"}, "x:Y", "arn:any", "allowed"),
        ({"Action": "*", "Resource": "arn:${aws:absent}"}, "x:Y", "arn:", "implicitDeny"),
        ({"Action": "*", "Resource": "arn:${*}"}, "x:Y", "arn:*", "allowed"),
        ({"Action": "*", "Resource": "arn:${*}"}, "x:Y", "arn:z", "implicitDeny"),
    ],
)
def test_statements(statement: dict[str, Any], action: str, resource: str, expected: str) -> None:
    assert evaluate([policy(**statement)], Question(action, resource, CONTEXT)).decision == expected


def test_deny_wins_in_any_order() -> None:
    allow, deny = policy(Action="*", Resource="*"), policy(Effect="Deny", Action="s3:*", Resource="*")
    for policies in ([allow, deny], [deny, allow]):
        answer = evaluate(policies, Question("s3:GetObject", "*", {}))
        assert (answer.decision, list(answer.matched)) == ("explicitDeny", [deny])


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": "1"}, True),
        ({"AWS": ["arn:aws:iam::2:root", "arn:aws:iam::1:root"]}, True),
        ({"AWS": "arn:aws:iam::1:role/R"}, True),
        ({"AWS": "arn:aws:iam::1:role/path/R"}, True),
        ({"AWS": "arn:aws:iam::1:role/Rx"}, False),
        ({"AWS": "arn:aws:sts::1:assumed-role/R/s"}, True),
        ({"Service": "sagemaker.amazonaws.com"}, False),
    ],
)
def test_principals_of_trust_policies(principal: Any, expected: bool) -> None:
    trust = policy(Action="sts:AssumeRole", Principal=principal)
    question = Question("sts:AssumeRole", "r", {}, "arn:aws:sts::1:assumed-role/R/s")
    assert (evaluate([trust], question).decision == "allowed") is expected


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Statement": 1}'])
def test_what_is_not_a_policy(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Policy.read("p", text)
