"""Steps whose work is somebody else's: callback steps over SQS, and Lambda steps with the function's own code."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.cloud import Cloud, unique
from tests.sdk.pipelines import Builder, ended, statuses, steps_of, until_stopped
from tests.sdk.refusals import refusal


@pytest.fixture
def builder(cloud: Cloud, tmp_path: Path) -> Builder:
    return Builder.make(cloud, tmp_path, "outside")


class Queue:
    """The user's queue and the consumer behind it."""

    def __init__(self, cloud: Cloud) -> None:
        self.client = cloud.client("sqs")
        self.url = self.client.create_queue(QueueName=unique("callbacks"))["QueueUrl"]

    def take(self) -> dict[str, Any]:
        """The next message's body."""
        for _ in range(10):
            for message in self.client.receive_message(QueueUrl=self.url, WaitTimeSeconds=5).get("Messages", ()):
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                body: dict[str, Any] = json.loads(message["Body"])
                return body
        raise AssertionError("no message came")


@pytest.fixture
def queue(cloud: Cloud) -> Queue:
    return Queue(cloud)


def callback(queue: Queue, *outputs: Any, inputs: Any = None) -> Any:
    from sagemaker.mlops.workflow.callback_step import CallbackStep

    return CallbackStep(name="Ask", sqs_queue_url=queue.url, inputs=inputs or {}, outputs=list(outputs))


def output(name: str, kind: str) -> Any:
    from sagemaker.mlops.workflow.callback_step import CallbackOutput, CallbackOutputTypeEnum

    return CallbackOutput(output_name=name, output_type=CallbackOutputTypeEnum[kind])


def test_a_callback_step_hands_over_a_token_and_takes_typed_outputs(
    cloud: Cloud, builder: Builder, queue: Queue
) -> None:
    from sagemaker.core.workflow.conditions import ConditionGreaterThan
    from sagemaker.core.workflow.parameters import ParameterString
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep

    question = ParameterString("Question", default_value="how many?")
    ask = callback(queue, output("count", "Integer"), output("who", "String"), inputs={"question": question, "n": 3})
    check = ConditionStep(
        name="Check",
        conditions=[ConditionGreaterThan(left=ask.properties.Outputs["count"], right=5)],
        if_steps=[FailStep(name="Many", error_message=ask.properties.Outputs["who"])],
        else_steps=[],
    )
    pipeline = builder.pipeline([ask, check], [question])
    pipeline.upsert(role_arn=cloud.role)
    execution = pipeline.start()
    message = queue.take()
    assert message["arguments"] == {"question": "how many?", "n": 3}
    assert (message["pipelineExecutionArn"], message["status"]) == (execution.arn, "Executing")
    shown = steps_of(execution)["Ask"]
    assert shown["StepStatus"] == "Executing"
    assert shown["Metadata"]["Callback"] == {"CallbackToken": message["token"], "SqsQueueUrl": queue.url}

    def send(**outputs: str) -> Any:
        given = [{"Name": name, "Value": value} for name, value in outputs.items()]
        return cloud.sagemaker.send_pipeline_execution_step_success(
            CallbackToken=message["token"], OutputParameters=given
        )

    assert "is not of type Integer" in refusal(lambda: send(count="many", who="me"))[1]
    assert "Output parameter other is not declared" in refusal(lambda: send(count="1", who="me", other="x"))[1]
    assert send(count="10", who="it was me")["PipelineExecutionArn"] == execution.arn
    assert ended(execution)["PipelineExecutionStatus"] == "Failed"
    steps = steps_of(execution)
    assert steps["Ask"]["Metadata"]["Callback"]["OutputParameters"] == [
        {"Name": "count", "Value": "10"},
        {"Name": "who", "Value": "it was me"},
    ]
    assert steps["Many"]["Metadata"]["Fail"]["ErrorMessage"] == "it was me"
    assert "is not waiting for an answer" in refusal(lambda: send(count="1", who="late"))[1]


def test_a_callback_step_fails_as_it_is_told(cloud: Cloud, builder: Builder, queue: Queue) -> None:
    pipeline = builder.pipeline([callback(queue)])
    pipeline.upsert(role_arn=cloud.role)
    execution = pipeline.start()
    token = queue.take()["token"]
    cloud.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="the disk is full")
    assert ended(execution)["PipelineExecutionStatus"] == "Failed"
    assert steps_of(execution)["Ask"]["FailureReason"] == "the disk is full"

    cloud.sagemaker.retry_pipeline_execution(PipelineExecutionArn=execution.arn)
    again = queue.take()["token"]
    assert again != token
    late = refusal(lambda: cloud.sagemaker.send_pipeline_execution_step_failure(CallbackToken=token))
    assert "is not waiting for an answer" in late[1]
    cloud.sagemaker.send_pipeline_execution_step_success(CallbackToken=again)
    assert ended(execution)["PipelineExecutionStatus"] == "Succeeded"


def test_stopping_asks_the_consumer_and_waits_for_it(cloud: Cloud, builder: Builder, queue: Queue) -> None:
    pipeline = builder.pipeline([callback(queue)])
    pipeline.upsert(role_arn=cloud.role)
    execution = pipeline.start()
    token = queue.take()["token"]
    execution.stop()
    asked = queue.take()
    assert (asked["token"], asked["status"]) == (token, "Stopping")
    assert execution.describe()["PipelineExecutionStatus"] == "Stopping"
    cloud.sagemaker.send_pipeline_execution_step_success(CallbackToken=token)
    assert until_stopped(execution)["PipelineExecutionStatus"] == "Stopped"


def test_a_callback_step_without_its_queue_fails(cloud: Cloud, builder: Builder, queue: Queue) -> None:
    queue.client.delete_queue(QueueUrl=queue.url)
    pipeline = builder.pipeline([callback(queue)])
    pipeline.upsert(role_arn=cloud.role)
    execution = pipeline.start()
    assert ended(execution)["PipelineExecutionStatus"] == "Failed"
    assert "Failed to invoke sqs:SendMessage" in steps_of(execution)["Ask"]["FailureReason"]


def test_a_token_that_nobody_gave(cloud: Cloud) -> None:
    code, message = refusal(lambda: cloud.sagemaker.send_pipeline_execution_step_success(CallbackToken="abcdefghij"))
    assert (code, message) == ("ResourceNotFound", "Callback token abcdefghij does not exist.")


# -- Lambda -----------------------------------------------------------------------------------------------------


def function(cloud: Cloud, folder: Path, body: str, **options: Any) -> Any:
    """A function as a user defines it beside his pipeline."""
    from sagemaker.core.lambda_helper import Lambda

    script = folder / "handler.py"
    script.write_text(textwrap.dedent(body))
    return Lambda(
        function_name=unique("function"),
        execution_role_arn=cloud.role,
        script=str(script),
        handler="handler.main",
        session=cloud.session,
        runtime="python3.12",
        **options,
    )


def lambda_step(func: Any, *outputs: tuple[str, str], inputs: Any = None) -> Any:
    from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep

    kinds = [LambdaOutput(output_name=name, output_type=LambdaOutputTypeEnum[kind]) for name, kind in outputs]
    return LambdaStep(name="Call", lambda_func=func, inputs=inputs or {}, outputs=kinds)


def run(cloud: Cloud, builder: Builder, *steps: Any) -> Any:
    pipeline = builder.pipeline(list(steps))
    pipeline.upsert(role_arn=cloud.role)
    execution = pipeline.start()
    ended(execution)
    return execution


def test_a_lambda_step_runs_the_code_that_the_sdk_sent(cloud: Cloud, builder: Builder, tmp_path: Path) -> None:
    from sagemaker.mlops.workflow.fail_step import FailStep

    func = function(
        cloud,
        tmp_path,
        """
        import os
        import boto3

        def main(event, context):
            print("called with", event)
            boto3.client("s3").put_object(Bucket=event["bucket"], Key=event["key"], Body=b"from lambda")
            return {
                "statusCode": 200,
                "total": sum(event["numbers"]),
                "text": f"{context.function_name} {os.environ['MODE']}",
                "share": 0.5,
                "ok": True,
            }
        """,
        environment={"Variables": {"MODE": "test"}},
    )
    key = f"{builder.name}/made"
    call = lambda_step(
        func,
        ("total", "Integer"),
        ("text", "String"),
        ("share", "Float"),
        ("ok", "Boolean"),
        inputs={"numbers": [1, 2, 3], "bucket": cloud.bucket, "key": key},
    )
    execution = run(cloud, builder, call, FailStep(name="Say", error_message=call.properties.Outputs["text"]))
    steps = steps_of(execution)
    assert steps["Call"]["StepStatus"] == "Succeeded", steps["Call"]
    metadata = steps["Call"]["Metadata"]["Lambda"]
    assert metadata["Arn"].endswith(f":function:{func.function_name}")
    assert {item["Name"]: item["Value"] for item in metadata["OutputParameters"]} == {
        "total": "6",
        "text": f"{func.function_name} test",
        "share": "0.5",
        "ok": "true",
    }
    assert steps["Say"]["Metadata"]["Fail"]["ErrorMessage"] == f"{func.function_name} test"
    assert cloud.get(cloud.uri(key)) == b"from lambda"
    streams = cloud.logs.describe_log_streams(logGroupName=f"/aws/lambda/{func.function_name}")["logStreams"]
    assert len(streams) == 1


def test_a_function_may_be_an_archive_that_the_sdk_uploads(cloud: Cloud, builder: Builder, tmp_path: Path) -> None:
    from sagemaker.core.lambda_helper import Lambda

    folder = tmp_path / "code"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "__init__.py").write_text("WORD = 'found'")
    (folder / "entry.py").write_text("import inner\ndef main(event, context):\n    return {'word': inner.WORD}")
    func = Lambda(
        function_name=unique("folder"),
        execution_role_arn=cloud.role,
        zipped_code_dir=shutil.make_archive(str(folder), "zip", folder),
        s3_bucket=cloud.bucket,
        handler="entry.main",
        session=cloud.session,
        runtime="python3.11",
    )
    execution = run(cloud, builder, lambda_step(func, ("word", "String")))
    shown = steps_of(execution)["Call"]
    assert shown["StepStatus"] == "Succeeded", shown
    assert shown["Metadata"]["Lambda"]["OutputParameters"] == [{"Name": "word", "Value": "found"}]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("def main(event, context):\n    raise ValueError('no such luck')", "ValueError: no such luck"),
        ("def main(event, context):\n    return {}", "returned no total"),
        ("def main(event, context):\n    return {'total': 'many'}", "'many' is not of type Integer"),
        ("def main(event, context):\n    return 3", "must return an object with total"),
    ],
)
def test_a_function_that_fails_fails_its_step(
    cloud: Cloud, builder: Builder, tmp_path: Path, body: str, reason: str
) -> None:
    execution = run(cloud, builder, lambda_step(function(cloud, tmp_path, body), ("total", "Integer")))
    assert statuses(execution) == {"Call": "Failed"}
    assert reason in steps_of(execution)["Call"]["FailureReason"]


def test_a_function_has_its_own_time_limit(cloud: Cloud, builder: Builder, tmp_path: Path) -> None:
    body = "import time\ndef main(event, context):\n    time.sleep(60)"
    execution = run(cloud, builder, lambda_step(function(cloud, tmp_path, body, timeout=1)))
    assert "timed out after 1 seconds" in steps_of(execution)["Call"]["FailureReason"]


def test_a_function_that_is_not_here_is_told_how_to_make_known(cloud: Cloud, builder: Builder) -> None:
    from sagemaker.core.lambda_helper import Lambda

    arn = "arn:aws:lambda:us-east-1:123456789012:function:elsewhere"
    with pytest.warns(UserWarning, match="Lambda function won't be updated"):
        execution = run(cloud, builder, lambda_step(Lambda(function_arn=arn, session=cloud.session)))
    reason = steps_of(execution)["Call"]["FailureReason"]
    assert f"there is no Lambda function {arn} here" in reason
    assert "aws lambda create-function --function-name elsewhere" in reason
