"""What EventBridge rules and schedules do when they fire: one delivery to one target.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.policy import Policy, Question, evaluate
from mlparity.errors import MlparityError

EVENTS = "events.amazonaws.com"
SCHEDULER = "scheduler.amazonaws.com"
START_PIPELINE = "arn:aws:scheduler:::aws-sdk:sagemaker:startPipelineExecution"
_UNIVERSAL = "arn:aws:scheduler:::aws-sdk:"
_ARN_PARTS = 6
_SERVER_FAULT = 500


@dataclass(frozen=True)
class Delivery:
    """``text`` for ``target`` (a Target of EventBridge or of the Scheduler), because of ``event``."""

    target: Mapping[str, Any]
    text: str
    event: Mapping[str, Any]
    source: str  # the ARN of the rule or schedule
    principal: str  # the service that acts: EVENTS or SCHEDULER

    @property
    def service(self) -> str:
        """Which service the target is of ("sqs", "sagemaker", …)."""
        arn = str(self.target["Arn"])
        if ":api-destination/" in arn:
            return "api-destination"
        return "sagemaker" if arn == START_PIPELINE else service_of(arn)

    @property
    def token(self) -> str:
        """The same for a repeated delivery, and for nothing else: 64 characters."""
        parts = (self.source, str(self.event["id"]), str(self.target.get("Id", "")))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Principal:
    """A session of a role, as STS would name it."""

    arn: str
    user_id: str


class PipelineStarter(Protocol):
    """Starts executions of SageMaker pipelines; the control plane hands it in."""

    def __call__(self, request: Mapping[str, Any], token: str, caller: Principal) -> str:
        """Start one by the members of StartPipelineExecution; its ARN.

        The same token starts only once. Raises ``AwsError`` with SageMaker's code.
        """
        ...


class FunctionInvoker(Protocol):
    """Calls Lambda functions without waiting for them; the control plane hands it in."""

    def __call__(self, arn: str, event: str, token: str) -> None:
        """Call the function with a JSON text, once a token. Raises ``MlparityError``."""
        ...


# Makes a session of a role for a service: (role ARN, service principal, ARN of what asks). Raises ``AwsError``.
Assume = Callable[[str, str, str], Principal]
# ARN of a role -> its id, trust policy and longest session; None where there is no such role.
FindRole = Callable[[str], tuple[str, str, int] | None]


def assume(find: FindRole, account_id: str, role_arn: str, principal: str, source: str) -> Principal:
    """The session in which a service acts as a role. Raises ``AwsError`` where the role's trust policy forbids it."""
    found = find(role_arn)
    if found is None:
        raise AwsError("AccessDenied", f"The role {role_arn} does not exist")
    role_id, trust, _ = found
    context = {"aws:sourceaccount": [account_id], "aws:sourcearn": [source]}
    question = Question("sts:AssumeRole", role_arn, context, principal)
    if evaluate([Policy.read("trust", trust)], question).decision != "allowed":
        raise AwsError("AccessDenied", f"The role {role_arn} cannot be assumed by principal '{principal}'")
    session = hashlib.sha256(source.encode()).hexdigest()[:32]
    name = role_arn.rpartition("/")[2]
    return Principal(f"arn:aws:sts::{account_id}:assumed-role/{name}/{session}", f"{role_id}:{session}")


def is_transient(error: MlparityError) -> bool:
    """Whether another attempt may succeed. A target that refuses will refuse again."""
    return not isinstance(error, AwsError) or error.status >= _SERVER_FAULT


def service_of(arn: str) -> str:
    """The service in an ARN; "" for what is no ARN."""
    parts = arn.split(":", _ARN_PARTS - 1)
    return parts[2] if len(parts) == _ARN_PARTS and parts[0] == "arn" else ""


def is_pipeline(arn: str) -> bool:
    """Whether the ARN is a SageMaker pipeline's."""
    return service_of(arn) == "sagemaker" and arn.split(":", _ARN_PARTS - 1)[5].startswith("pipeline/")


def is_universal(arn: str) -> bool:
    """Whether the Scheduler is to call an operation by its name."""
    return arn.startswith(_UNIVERSAL)


def check_rule_target(target: Mapping[str, Any], rule_arn: str, assumed: Assume) -> None:
    """What PutTargets refuses of a pipeline target. Raises ``AwsError``."""
    arn = str(target["Arn"])
    if not is_pipeline(arn):
        if "SageMakerPipelineParameters" in target:
            raise AwsError(
                "ValidationException",
                f"Parameter(s) SageMakerPipelineParameters not valid for target: {target['Id']}.",
            )
        return
    if not target.get("RoleArn"):
        raise AwsError("ValidationException", f"RoleArn is required for target {arn}.")
    try:
        assumed(target["RoleArn"], EVENTS, rule_arn)
    except AwsError:
        raise AwsError(
            "ValidationException", f"Provided role '{target['RoleArn']}' cannot be assumed by principal '{EVENTS}'."
        ) from None
