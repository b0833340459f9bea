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


@step(name="celebrate", **USUAL)
def celebrate(value):
    return f"it is {value}"


count = ParameterInteger("Count", default_value=4)
added = total(prepare(count))
gate = ConditionStep(
    "enough",
    conditions=[ConditionGreaterThan(left=added, right=5)],
    if_steps=[celebrate(added)],
    else_steps=[FailStep("too-little", error_message="too little")],
)
pipeline = Pipeline("twin-functions", parameters=[count], steps=[gate], sagemaker_session=SESSION)
pipeline.upsert(role_arn=ROLE)
execution = pipeline.start()

answers = {}


def call():
    answers["direct"] = summed([1, 2, 3], scale=2)


def several():
    with RemoteExecutor(max_parallel_jobs=2, sagemaker_session=SESSION, **USUAL) as executor:
        futures = [executor.submit(pow, base, 2) for base in (3, 4)]
        answers["squares"] = [future.result() for future in futures]


refused = together(call=call, broken=broken, several=several)
execution.wait(delay=1, max_attempts=100)
report(
    answers=answers,
    refused=refused,
    total=execution.result("total"),
    celebrated=execution.result("celebrate"),
    steps={item["StepName"]: item["StepStatus"] for item in execution.list_steps()},
)
pipeline.delete()
