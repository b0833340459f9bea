"""Callback steps: a message to an SQS queue with a token; whoever has the token ends the step.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps-types.html#step-type-callback
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mlparity.apis.sagemaker import callback_tokens
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.steps.resolution import resolver
from mlparity.engine.jobs import Job
from mlparity.engine.runs import TIMEOUT, StepContext, StepStatus, StepUpdate
from mlparity.errors import InvalidRequestError, MlparityError

TIME_LIMIT = timedelta(days=7)


@dataclass(frozen=True)
class CallbackStep:
    """Sends its message and waits, for seven days at most."""

    api: Callable[[], SageMaker]

    def start(self, context: StepContext) -> StepUpdate:
        """Send the message. After a crash it may be sent twice, with the same token, as SQS may do, too."""
        api = self.api()
        began = context.step.started_at or api.clock.now()
        token = callback_tokens.token_of(api, context.run.id, context.plan.name, began)
        url = self._queue(context)
        self._send(context, url, token, "Executing")
        return StepUpdate(
            StepStatus.EXECUTING,
            details={"Callback": {"CallbackToken": token, "SqsQueueUrl": url}},
            due_at=api.clock.now() + TIME_LIMIT,
        )

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:  # noqa: ARG002
        """Never: it has no job."""
        return StepUpdate(context.step.status)

    def expire(self, context: StepContext) -> StepUpdate:  # noqa: ARG002
        """Nobody has answered."""
        reason = f"ClientError: The callback step timed out after {TIME_LIMIT.days} days"
        return StepUpdate(StepStatus.FAILED, failure_reason=reason, fault=TIMEOUT)

    def stop(self, context: StepContext) -> None:
        """Tell the other side; the step ends when it answers."""
        shown: Mapping[str, Any] = context.step.details.get("Callback") or {}
        if shown:
            self._send(context, shown["SqsQueueUrl"], shown["CallbackToken"], "Stopping")

    def cache_inputs(self, context: StepContext) -> Mapping[str, Any]:
        """The queue, the arguments and the declared outputs."""
        return {
            "SqsQueueUrl": self._queue(context),
            "Arguments": self._arguments(context),
            "OutputParameters": context.plan.body.get("OutputParameters") or [],
        }

    def _queue(self, context: StepContext) -> str:
        return str(resolver(self.api(), context).resolve(context.plan.body["SqsQueueUrl"]))

    def _arguments(self, context: StepContext) -> dict[str, Any]:
        resolved: dict[str, Any] = resolver(self.api(), context).resolve(context.plan.body["Arguments"])
        return resolved

    def _send(self, context: StepContext, url: str, token: str, status: str) -> None:
        body = {
            "token": token,
            "pipelineExecutionArn": context.run.plan.context["PipelineExecutionArn"],
            "stepName": context.plan.name,
            "arguments": self._arguments(context),
            "status": status,
        }
        try:
            self.api().send_message(url, json.dumps(body))
        except MlparityError as error:
            raise InvalidRequestError(
                f"ClientError: Failed to invoke sqs:SendMessage. Error Details: {error}", url
            ) from error
