"""STS: who am I, and temporary credentials.

https://docs.aws.amazon.com/STS/latest/APIReference/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlparity.apis.aws.credentials import Credentials, KeyPair
from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.policy import Policy, Question, evaluate

_HOUR = 3600
_HALF_DAY = 43200
_FORBIDDEN = 403


class StsService:
    """Native STS. ``find_role`` gives (role id, trust policy text, longest session in seconds) of a role's ARN."""

    def __init__(
        self,
        account_id: str,
        credentials: Credentials,
        find_role: Callable[[str], tuple[str, str, int] | None],
    ) -> None:
        self._account_id = account_id
        self._credentials = credentials
        self._find_role = find_role

    def handle(self, operation: str, params: Mapping[str, Any], caller: KeyPair) -> dict[str, Any]:
        """The response of one operation. Raises ``AwsError``."""
        match operation:
            case "GetCallerIdentity":
                return {"UserId": caller.user_id, "Account": self._account_id, "Arn": caller.arn}
            case "AssumeRole":
                return self._assume_role(params, caller)
            case "GetSessionToken":
                return self._session_token(params, caller)
            case "GetFederationToken":
                return self._federation_token(params, caller)
            case "GetAccessKeyInfo":
                return {"Account": self._account_id}
        raise AwsError("InvalidAction", f"sts:{operation} is not served by mlparity")

    def _assume_role(self, params: Mapping[str, Any], caller: KeyPair) -> dict[str, Any]:
        arn = params["RoleArn"]
        found = self._find_role(arn)
        refusal = AwsError(
            "AccessDenied", f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}",
            _FORBIDDEN,
        )  # fmt: skip
        if found is None:
            raise refusal
        role_id, trust, longest = found
        context = {"sts:externalid": [params["ExternalId"]]} if "ExternalId" in params else {}
        question = Question("sts:AssumeRole", arn, context, caller.arn)
        if evaluate([Policy.read("trust", trust)], question).decision != "allowed":
            raise refusal
        seconds = params.get("DurationSeconds", _HOUR)
        if seconds > longest:
            raise AwsError(
                "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
        name = params["RoleSessionName"]
        session_arn = f"arn:aws:sts::{self._account_id}:assumed-role/{arn.rpartition('/')[2]}/{name}"
        pair = self._credentials.issue(session_arn, f"{role_id}:{name}", seconds)
        return {
            "Credentials": _rendered(pair),
            "AssumedRoleUser": {"AssumedRoleId": pair.user_id, "Arn": pair.arn},
        }

    def _session_token(self, params: Mapping[str, Any], caller: KeyPair) -> dict[str, Any]:
        if caller.session_token:
            raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", _FORBIDDEN)
        pair = self._credentials.issue(caller.arn, caller.user_id, params.get("DurationSeconds", _HALF_DAY))
        return {"Credentials": _rendered(pair)}

    def _federation_token(self, params: Mapping[str, Any], caller: KeyPair) -> dict[str, Any]:
        if caller.session_token:
            raise AwsError("AccessDenied", "Cannot call GetFederationToken with session credentials", _FORBIDDEN)
        name = params["Name"]
        arn = f"arn:aws:sts::{self._account_id}:federated-user/{name}"
        user_id = f"{self._account_id}:{name}"
        pair = self._credentials.issue(arn, user_id, params.get("DurationSeconds", _HALF_DAY))
        return {
            "Credentials": _rendered(pair),
            "FederatedUser": {"FederatedUserId": user_id, "Arn": arn},
        }


def _rendered(pair: KeyPair) -> dict[str, Any]:
    return {
        "AccessKeyId": pair.access_key,
        "SecretAccessKey": pair.secret,
        "SessionToken": pair.session_token,
        "Expiration": pair.expires_at,
    }
