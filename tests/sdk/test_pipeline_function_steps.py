"""`@step` functions: pickled here, run there, their results handed from step to step and back to the caller."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.cloud import TRAINING_LOGS, Cloud
from tests.sdk.pipelines import Builder, ended, statuses, steps_of

# The SDK knows default images for two versions of Python only; everybody else names one.
IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def builder(cloud: Cloud, tmp_path: Path) -> Builder:
    return Builder.make(cloud, tmp_path, "functions")


def options(cloud: Cloud, **more: Any) -> dict[str, Any]:
    return {"image_uri": IMAGE, "instance_type": "ml.m5.large", "role": cloud.role, **more}


def test_results_go_from_function_to_function_and_to_conditions(cloud: Cloud, builder: Builder) -> None:
    import numpy as np
    from sagemaker.core.workflow.conditions import ConditionGreaterThan
    from sagemaker.core.workflow.parameters import ParameterInteger
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep
    from sagemaker.mlops.workflow.function_step import step

    rows = ParameterInteger("Rows", default_value=4)

    @step(name="Make", **options(cloud))
    def make(count: int) -> tuple:  # type: ignore[type-arg]
        import os

        print("made in", os.environ["TRAINING_JOB_NAME"])
        return np.arange(count, dtype=float), {"count": count}

    @step(name="Sum", **options(cloud, environment_variables={"FACTOR": "10"}))
    def total(values: Any, info: dict[str, int]) -> dict[str, float]:
        import os

        return {"total": float(values.sum()) * float(os.environ["FACTOR"]), "count": info["count"]}

    made = make(rows)
    summed = total(made[0], made[1])
    check = ConditionStep(
        name="Check",
        conditions=[ConditionGreaterThan(left=summed["total"], right=59.5)],
        if_steps=[FailStep(name="Large", error_message="large")],
        else_steps=[],
    )
    pipeline = builder.pipeline([check], [rows])
    pipeline.upsert(role_arn=cloud.role)
    execution = pipeline.start()
    ended(execution)
    steps = steps_of(execution)
    assert {name: step_["StepStatus"] for name, step_ in steps.items()} == {
        "Make": "Succeeded",
        "Sum": "Succeeded",
        "Check": "Succeeded",
        "Large": "Failed",
    }, steps
    values, info = execution.result("Make")
    assert (values.tolist(), info) == ([0.0, 1.0, 2.0, 3.0], {"count": 4})
    assert execution.result("Sum") == {"total": 60.0, "count": 4}
    job = steps["Make"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    assert f"made in {job}" in cloud.log(TRAINING_LOGS, job)

    small = pipeline.start(parameters={"Rows": 3})
    assert ended(small)["PipelineExecutionStatus"] == "Succeeded"
    assert steps_of(small)["Check"]["Metadata"]["Condition"]["Outcome"] == "False"
    assert small.result("Sum") == {"total": 30.0, "count": 3}


def test_a_function_after_a_job_and_a_job_after_a_function(cloud: Cloud, builder: Builder) -> None:
    from sagemaker.mlops.workflow.function_step import step

    script = "import json; open('/opt/ml/processing/out/n.json', 'w').write(json.dumps({'n': 41}))"
    first = builder.process("Write", script, outputs=["out"])

    @step(name="Read", **options(cloud))
    def read(uri: str) -> str:
        import json

        import boto3

        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body = boto3.client("s3").get_object(Bucket=bucket, Key=f"{key}/n.json")["Body"].read()
        return str(json.loads(body)["n"] + 1)

    answer = read(first.properties.ProcessingOutputConfig.Outputs["out"].S3Output.S3Uri)
    last = builder.process("Say", "import sys; assert sys.argv[1] == '42', sys.argv", arguments=[answer])
    pipeline = builder.pipeline([answer, last])
    pipeline.upsert(role_arn=cloud.role)
    execution = pipeline.start()
    assert ended(execution)["PipelineExecutionStatus"] == "Succeeded", steps_of(execution)
    assert execution.result("Read") == "42"


def test_an_exception_fails_the_step_with_its_words(cloud: Cloud, builder: Builder) -> None:
    from sagemaker.core.remote_function.errors import RemoteFunctionError
    from sagemaker.mlops.workflow.function_step import step

    @step(name="Break", **options(cloud))
    def broken() -> int:
        raise ValueError("the well is dry")

    pipeline = builder.pipeline([broken()])
    pipeline.upsert(role_arn=cloud.role)
    execution = pipeline.start()
    assert ended(execution)["PipelineExecutionStatus"] == "Failed"
    assert statuses(execution) == {"Break": "Failed"}
    assert "ValueError('the well is dry')" in steps_of(execution)["Break"]["FailureReason"]
    with pytest.raises(RemoteFunctionError):
        execution.result("Break")
