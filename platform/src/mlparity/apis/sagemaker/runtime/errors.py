"""The runtime's errors on the wire: code in ``x-amzn-ErrorType``, message in a JSON body.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlparity.serving.routing.invocation import Failure

_SERVER_ERROR = 500
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)


@dataclass(frozen=True)
class Refusal:
    """One error answer; ``code`` "" where the front door itself answers and names none."""

    status: int
    code: str
    message: str
    members: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The JSON body."""
        return {**self.members, "Message": self.message}


@dataclass(frozen=True)
class Errors:
    """Errors of one account's endpoints in one region."""

    region: str
    account_id: str

    def of_model(self, endpoint: str, status: int, body: str) -> Refusal:
        """``ModelError``: the container answered ``status`` (0: it did not)."""
        server = status >= _SERVER_ERROR or not status
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        message = (
            f'Received {"server" if server else "client"} error ({status}) from primary with message "{body}". '
            f"See https://{self.region}.console.aws.amazon.com/cloudwatch/home?region={self.region}"
            f"#logEventViewer:group={group} in account {self.account_id} for more information."
        )
        members = {
            "ErrorCode": "INTERNAL_FAILURE_FROM_MODEL" if server else "CLIENT_ERROR_FROM_MODEL",
            "LogStreamArn": f"arn:aws:logs:{self.region}:{self.account_id}:log-group:{group}",
            "OriginalMessage": body,
            "OriginalStatusCode": status,
        }
        return Refusal(424, "ModelError", message, members)

    def of_failure(self, failure: Failure, endpoint: str, variant: str) -> Refusal:
        """What the router could not do."""
        if failure is Failure.NOT_FOUND:
            return validation(f"Endpoint {endpoint} of account {self.account_id} not found.")
        if failure is Failure.NO_VARIANT:
            return validation(f"Variant {variant} of endpoint {endpoint} of account {self.account_id} not found.")
        if failure is Failure.NO_WEIGHT:
            return validation(f"Endpoint {endpoint} of account {self.account_id} has no variant with a weight above 0.")
        if failure is Failure.TIMED_OUT:
            return self.of_model(endpoint, 0, _TIMED_OUT)
        if failure is Failure.BROKEN:
            return Refusal(500, "InternalFailure", "The model container ended while it answered the request.")
        return Refusal(503, "ServiceUnavailable", "The service is unavailable. Try your call again.")


def validation(message: str) -> Refusal:
    """``ValidationError``."""
    return Refusal(400, "ValidationError", message)


def too_large(limit: int) -> Refusal:
    """The front door's own answer, which has no code."""
    return Refusal(413, "", f"Request payload exceeds the limit of {limit} bytes.")
