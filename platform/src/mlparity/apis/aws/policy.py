"""Evaluation of IAM policy documents: explicit deny, then allow, then the implicit deny.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from mlparity.apis.aws.policy_conditions import Context, condition_holds

Decision = Literal["allowed", "explicitDeny", "implicitDeny"]

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Policy:
    """A policy document and what it is called where it matches."""

    name: str
    document: Mapping[str, Any]
    kind: str = "none"  # the simulator's SourcePolicyType: "role", "user-managed", ...

    @classmethod
    def read(cls, name: str, text: str, kind: str = "none") -> Policy:
        """From JSON text. Raises ``ValueError`` for text that is not a policy document."""
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("Statement"), list | dict):
            raise ValueError("a policy document is a JSON object with a Statement")  # noqa: TRY004 - of any text
        return cls(name, document, kind)

    def statements(self) -> Iterator[Mapping[str, Any]]:
        """Its statements; a single one may stand without a list."""
        yield from _listed(self.document["Statement"])


@dataclass(frozen=True)
class Question:
    """May ``principal`` do ``action`` on ``resource``? ``context`` are the condition keys (lower case) with values."""

    action: str
    resource: str
    context: Context
    principal: str = ""  # only for policies that name principals


@dataclass(frozen=True)
class Answer:
    """The decision, the policies whose statements made it, and condition keys that were asked for but not given."""

    decision: Decision
    matched: Sequence[Policy]
    missing: Sequence[str]


def evaluate(policies: Sequence[Policy], question: Question) -> Answer:
    """Decide over all ``policies`` together."""
    allowing: list[Policy] = []
    denying: list[Policy] = []
    missing: dict[str, None] = {}
    for policy in policies:
        for statement in policy.statements():
            if not _concerns(statement, question):
                continue
            holds, absent = condition_holds(statement.get("Condition", {}), question.context)
            missing.update(dict.fromkeys(absent))
            if holds:
                (denying if statement.get("Effect") == "Deny" else allowing).append(policy)
    decision: Decision = "explicitDeny" if denying else "allowed" if allowing else "implicitDeny"
    return Answer(decision, denying or allowing, list(missing))


def _concerns(statement: Mapping[str, Any], question: Question) -> bool:
    return (
        _names_principal(statement, question)
        and _names_action(statement, question)
        and _names_resource(statement, question)
    )


def _names_principal(statement: Mapping[str, Any], question: Question) -> bool:
    if "NotPrincipal" in statement:
        return not _principal_matches(statement["NotPrincipal"], question.principal)
    return "Principal" not in statement or _principal_matches(statement["Principal"], question.principal)


def _names_action(statement: Mapping[str, Any], question: Question) -> bool:
    patterns = _listed(statement.get("NotAction", statement.get("Action", [])))
    found = any(_like(pattern.lower(), question.action.lower()) for pattern in patterns)
    return found != ("NotAction" in statement)


def _names_resource(statement: Mapping[str, Any], question: Question) -> bool:
    if "Resource" not in statement and "NotResource" not in statement:
        return True  # a trust policy names none: it is the resource's own
    patterns = _substituted(statement.get("NotResource", statement.get("Resource")), question.context)
    found = any(_like(pattern, question.resource) for pattern in patterns)
    return found != ("NotResource" in statement)


def _principal_matches(element: Any, principal: str) -> bool:
    if element == "*":
        return True
    if not isinstance(element, dict):
        return False
    return any(_one_principal(name, principal) for names in element.values() for name in _listed(names))


def _one_principal(name: str, principal: str) -> bool:
    if name in {"*", principal}:
        return True
    account = _account(principal)
    if account and name in {account, f"arn:aws:iam::{account}:root"}:
        return True
    # A session acts for its role: trusting the role trusts its sessions.
    session = re.fullmatch(r"arn:aws:sts::(\d+):assumed-role/([^/]+)/.+", principal)
    return (
        session is not None
        and re.fullmatch(rf"arn:aws:iam::{session[1]}:role/(.+/)?{re.escape(session[2])}", name) is not None
    )


def _account(principal: str) -> str:
    parts = principal.split(":")
    return parts[4] if principal.startswith("arn:") and len(parts) > 4 else ""  # noqa: PLR2004 - an ARN's account


def _substituted(element: Any, context: Context) -> Iterator[str]:
    """Resource patterns with policy variables (``${aws:username}``) put in; unknown ones match nothing."""
    for pattern in _listed(element):
        try:
            yield _VARIABLE.sub(lambda match: _variable(match[1], context), pattern)
        except KeyError:
            continue


def _variable(name: str, context: Context) -> str:
    if name in {"*", "?", "$"}:
        return f"[{name}]"  # a literal character
    key, _, default = name.partition(",")
    values = context.get(key.strip().lower())
    if values:
        return values[0]
    if default:
        return default.strip().strip("'")
    raise KeyError(key)


def _like(pattern: str, value: str) -> bool:
    """IAM's wildcards: ``*`` and ``?``. A simulated resource of ``*`` is matched by ``*`` only."""
    return _compiled(pattern).fullmatch(value) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"(\[[*?$]\]|\*|\?)", pattern)
    special = {"*": ".*", "?": ".", "[*]": r"\*", "[?]": r"\?", "[$]": r"\$"}
    return re.compile("".join(special.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
