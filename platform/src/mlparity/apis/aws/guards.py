"""Requests that moto would take and could not honour: refused before they reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.apis.aws import webhooks
from mlparity.apis.aws.message import AwsError

_LOCAL_PROTOCOLS = {"sqs"}


def check(service: str, operation: str, params: Mapping[str, Any]) -> None:
    """Raise ``AwsError`` where the call must not go on to moto."""
    match (service, operation):
        case ("sns", "Subscribe") if params.get("Protocol") not in _LOCAL_PROTOCOLS:
            raise AwsError(
                "InvalidParameter",
                f"Invalid parameter: Protocol {params.get('Protocol')} is not served by mlparity, which sends nothing "
                "off this machine; subscribe an SQS queue",
            )
        case ("sns", "Publish") if "TopicArn" not in params and ":sns:" not in str(params.get("TargetArn")):
            raise AwsError(
                "InvalidParameter",
                "Invalid parameter: only topics can be published to; mlparity sends nothing off this machine",
            )
        case ("sns", "CreatePlatformApplication" | "CreatePlatformEndpoint"):
            raise AwsError("InvalidAction", f"sns:{operation} is not served by mlparity: there is no push service")
        case ("events", "CreateApiDestination" | "UpdateApiDestination") if "InvocationEndpoint" in params:
            webhooks.check_endpoint(params["InvocationEndpoint"])
        case ("events", "CreateConnection" | "UpdateConnection"):
            webhooks.check_connection(params)
        case ("kms", "CreateKey") if params.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
            raise AwsError(
                "UnsupportedOperationException",
                f"KeySpec {params['KeySpec']} is not served by mlparity: only symmetric keys survive a restart",
            )
        case ("secretsmanager", "RotateSecret") if "RotationLambdaARN" in params:
            raise AwsError(
                "InvalidRequestException", "Rotation by a Lambda function is not served by mlparity: there is no Lambda"
            )
