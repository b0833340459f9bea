"""Waiting for pipeline executions that were started without the SDK."""

from __future__ import annotations

from tests.sdk.cloud import OFTEN, Cloud


def execution_ended(cloud: Cloud, arn: str) -> None:
    """Wait with the vendor's own waiter machinery until the execution has succeeded."""
    from botocore.waiter import WaiterModel, create_waiter_with_client

    states = {"Succeeded": "success", "Failed": "failure", "Stopped": "failure"}
    acceptors = [
        {"matcher": "path", "argument": "PipelineExecutionStatus", "expected": word, "state": state}
        for word, state in states.items()
    ]
    waiter = {
        "operation": "DescribePipelineExecution",
        "delay": OFTEN["Delay"],
        "maxAttempts": OFTEN["MaxAttempts"],
        "acceptors": acceptors,
    }
    model = WaiterModel({"version": 2, "waiters": {"Ended": waiter}})
    create_waiter_with_client("Ended", model, cloud.sagemaker).wait(PipelineExecutionArn=arn)
