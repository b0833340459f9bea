"""``@remote`` and ``@step`` of SDK 2.x: functions that run as jobs and as steps, and give back what they return."""

from __future__ import annotations

from flow import MACHINE, ROLE, SESSION, report, together
from sagemaker.remote_function import RemoteExecutor, remote
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionGreaterThan
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.function_step import step
from sagemaker.workflow.parameters import ParameterInteger
from sagemaker.workflow.pipeline import Pipeline

USUAL = {"instance_type": MACHINE, "role": ROLE, "image_uri": "twin/python:2"}


@remote(sagemaker_session=SESSION, **USUAL)
def summed(values, scale=1):
    import os

    print(f"summing {len(values)} values")
    return {"sum": sum(values) * scale, "job": os.environ["TRAINING_JOB_NAME"]}


@remote(sagemaker_session=SESSION, **USUAL)
def broken():
    raise KeyError("mine")


@step(name="prepare", **USUAL)
def prepare(count):
    return list(range(count))


@step(name="total", **USUAL)
def total(values):
    return sum(values)


count = ParameterInteger("Count", default_value=4)
numbers = prepare(count)
gate = ConditionStep(
    "enough",
    conditions=[ConditionGreaterThan(left=numbers[3], right=2)],
    if_steps=[total(numbers)],
    else_steps=[FailStep("too-little", error_message="too little")],
)
pipeline = Pipeline("twin-functions", parameters=[count], steps=[gate], sagemaker_session=SESSION)
pipeline.upsert(role_arn=ROLE)
execution = pipeline.start()

answers = {}


def call():
    answers["direct"] = summed([1, 2, 3], scale=2)


def later():
    with RemoteExecutor(sagemaker_session=SESSION, **USUAL) as executor:
        answers["square"] = executor.submit(pow, 3, 2).result()


# First the steps: a job that has ended after five seconds is waited for no longer, another one for 45.
execution.wait(delay=1, max_attempts=100)
refused = together(call=call, broken=broken, later=later)
report(
    answers=answers,
    refused=refused,
    total=execution.result("total"),
    steps={item["StepName"]: item["StepStatus"] for item in execution.list_steps()},
)
pipeline.delete()
