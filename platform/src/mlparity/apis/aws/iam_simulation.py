"""IAM's policy simulator, which moto lacks, over the principals and policies that moto holds.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.policy import Answer, Policy, Question, evaluate

_DEFAULT_PAGE = 100
_PRINCIPAL_PARTS = 6  # arn:aws:iam::account:role/name


@dataclass(frozen=True)
class Principal:
    """A role, user or group: its own policies and the boundary that limits them."""

    policies: Sequence[Policy]
    boundary: Policy | None
    context: Mapping[str, Sequence[str]]  # condition keys that follow from who it is


def simulate(request: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
    """One page of results: one for each action on each resource. Raises ``AwsError`` (InvalidInput)."""
    policies = [*principal.policies, *_documents(request.get("PolicyInputList", ()), "PolicyInputList")]
    boundaries = _documents(request.get("PermissionsBoundaryPolicyInputList", ()), "PermissionsBoundaryPolicyInputList")
    boundary = boundaries or ([principal.boundary] if principal.boundary else [])
    resource_policy = _documents(
        [request["ResourcePolicy"]] if "ResourcePolicy" in request else (), "ResourcePolicy", "resource"
    )
    context = {**principal.context, **_context(request.get("ContextEntries", ()))}
    caller = request.get("CallerArn", request.get("PolicySourceArn", ""))
    pairs = [
        (action, resource) for action in request["ActionNames"] for resource in request.get("ResourceArns") or ["*"]
    ]
    start = _marker(request.get("Marker"))
    page = pairs[start : start + request.get("MaxItems", _DEFAULT_PAGE)]
    end = start + len(page)
    results = [
        _result(policies, boundary, resource_policy, Question(action, resource, context, caller))
        for action, resource in page
    ]
    answer: dict[str, Any] = {"EvaluationResults": results, "IsTruncated": end < len(pairs)}
    if end < len(pairs):
        answer["Marker"] = base64.urlsafe_b64encode(str(end).encode()).decode()
    return answer


def _result(
    policies: Sequence[Policy], boundary: Sequence[Policy], resource_policy: Sequence[Policy], question: Question
) -> dict[str, Any]:
    if ":" not in question.action:
        raise AwsError("InvalidInput", f"Invalid Action: {question.action}")
    answer = evaluate([*policies, *resource_policy], question)
    result: dict[str, Any] = {"EvalActionName": question.action, "EvalResourceName": question.resource}
    if boundary:
        limit = evaluate(boundary, question)
        within = limit.decision == "allowed"
        result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": within}
        if limit.decision == "explicitDeny":
            answer = Answer("explicitDeny", limit.matched, answer.missing)
        elif answer.decision == "allowed" and not within:
            answer = Answer("implicitDeny", (), answer.missing)
    result["EvalDecision"] = answer.decision
    result["MatchedStatements"] = [
        {"SourcePolicyId": policy.name, "SourcePolicyType": policy.kind} for policy in answer.matched
    ]
    result["MissingContextValues"] = list(answer.missing)
    return result


def find_principal(iam: Any, arn: str) -> Principal:
    """The principal of ``arn`` as moto's IAM backend holds it. Raises ``AwsError`` (NoSuchEntity, InvalidInput)."""
    parts = arn.split(":", 5)
    if len(parts) != _PRINCIPAL_PARTS or parts[2] != "iam":
        raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    kind, _, path = parts[5].partition("/")
    name = path.rpartition("/")[2]
    if kind == "role":
        return _role(iam, arn, name)
    if kind == "user" and name in iam.users and iam.users[name].arn == arn:
        user = iam.users[name]
        groups = [policy for group in iam.get_groups_for_user(name) for policy in _attached(group, "group")]
        context = {"aws:username": [name], "aws:userid": [user.id], "aws:principalarn": [arn]}
        return Principal([*_attached(user, "user"), *groups], None, context)
    if kind == "group" and name in iam.groups and iam.groups[name].arn == arn:
        return Principal(_attached(iam.groups[name], "group"), None, {})
    if kind not in {"role", "user", "group"}:
        raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    raise AwsError("NoSuchEntity", f"The {kind} with name {name} cannot be found.", 404)


def _role(iam: Any, arn: str, name: str) -> Principal:
    role = next((each for each in iam.roles.values() if each.name == name and each.arn == arn), None)
    if role is None:
        raise AwsError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
    limit = iam.managed_policies.get(role.permissions_boundary_arn) if role.permissions_boundary_arn else None
    context = {"aws:userid": [f"{role.id}:"], "aws:principalarn": [arn]}
    return Principal(_attached(role, "role"), _managed(limit) if limit else None, context)


def _attached(holder: Any, kind: str) -> list[Policy]:
    inline = [Policy.read(name, document, kind) for name, document in holder.policies.items()]
    return [*inline, *(_managed(policy) for policy in holder.managed_policies.values())]


def _managed(policy: Any) -> Policy:
    version = next(each for each in policy.versions if each.is_default)
    kind = "aws-managed" if policy.arn.startswith("arn:aws:iam::aws:") else "user-managed"
    return Policy.read(policy.name, version.document, kind)


def _documents(texts: Sequence[str], where: str, kind: str = "none") -> list[Policy]:
    try:
        return [Policy.read(f"{where}.{number}", text, kind) for number, text in enumerate(texts, 1)]
    except ValueError as error:
        raise AwsError("InvalidInput", f"Invalid policy in {where}: {error}") from error


def _context(entries: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[str]]:
    return {entry["ContextKeyName"].lower(): entry.get("ContextKeyValues", []) for entry in entries}


def _marker(marker: str | None) -> int:
    if marker is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(marker.encode()))
    except (ValueError, binascii.Error):
        raise AwsError("InvalidInput", "Invalid Marker") from None
