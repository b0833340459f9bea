"""Pipelines from creation to deletion: upsert, parameters, failing and stopped executions, refusals."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.cloud import PROCESSING_LOGS, Cloud, unique
from tests.sdk.pipelines import Builder, ended, statuses, steps_of, until_stopped
from tests.sdk.refusals import refusal

SLEEPS = """
import time
print("sleeping", flush=True)
time.sleep(300)
"""
SHORT = "print('done')"
ABSENT = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/{}/execution/abcdefghijkl"


def fails_only(message: Any = "no") -> dict[str, Any]:
    """The shortest definition that runs: one Fail step."""
    return definition({"Name": "Fail", "Type": "Fail", "Arguments": {"ErrorMessage": message}})


def definition(*steps: dict[str, Any], parameters: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A definition by hand: the SDK takes a second to compile a step, and its compiling is tested elsewhere."""
    return {"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)}


def job(cloud: Cloud, name: str, script: str, **members: Any) -> dict[str, Any]:
    """A Processing step that runs Python text."""
    changes = members.pop("arguments", {})
    arguments = cloud.processing_request(f"{name}-{uuid.uuid4().hex}", script, **changes)
    del arguments["ProcessingJobName"]
    return {"Name": name, "Type": "Processing", "Arguments": arguments, **members}


def run(cloud: Cloud, name: str, document: dict[str, Any], **members: Any) -> Any:
    """Create a pipeline and start it once."""
    create(cloud, name, document, **members)
    return execution(cloud, cloud.sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"])


def create(cloud: Cloud, name: str, document: dict[str, Any], **members: Any) -> dict[str, Any]:
    request = {
        "PipelineName": name,
        "PipelineDefinition": json.dumps(document),
        "RoleArn": cloud.role,
        "ClientRequestToken": uuid.uuid4().hex,
        **members,
    }
    answer: dict[str, Any] = cloud.sagemaker.create_pipeline(**request)
    return answer


def execution(cloud: Cloud, arn: str) -> Any:
    from sagemaker.mlops.workflow.pipeline import PipelineExecution

    return PipelineExecution(arn=arn, sagemaker_session=cloud.session)


def test_upsert_creates_and_then_updates(cloud: Cloud) -> None:
    from sagemaker.mlops.workflow.fail_step import FailStep
    from sagemaker.mlops.workflow.pipeline import Pipeline

    name = unique("upsert")
    one, two = (
        Pipeline(name=name, steps=[FailStep(name=step) for step in names], sagemaker_session=cloud.pipelines)
        for names in (["One"], ["One", "Two"])
    )
    tags = [{"Key": "team", "Value": "a"}, {"Key": "stage", "Value": "x"}]
    created = one.upsert(role_arn=cloud.role, description="first", tags=tags)
    first = one.describe()
    updated = two.upsert(role_arn=cloud.role, description="second", tags=[{"Key": "stage", "Value": "y"}])
    assert updated["PipelineArn"] == created["PipelineArn"]
    second = two.describe()
    assert (first["PipelineDescription"], second["PipelineDescription"]) == ("first", "second")
    assert [step["Name"] for step in json.loads(second["PipelineDefinition"])["Steps"]] == ["One", "Two"]
    assert second["CreationTime"] == first["CreationTime"]
    assert second["LastModifiedTime"] > first["LastModifiedTime"]
    found = cloud.sagemaker.list_tags(ResourceArn=created["PipelineArn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in found} == {"team": "a", "stage": "y"}


def test_create_again_names_the_pipeline_that_is_there(cloud: Cloud) -> None:
    name = unique("twice")
    create(cloud, name, fails_only())
    kind, text = refusal(lambda: create(cloud, name, fails_only()))
    assert kind == "ValidationException"
    assert "Pipeline names must be unique within an AWS account and region" in text
    assert name in text


def test_the_same_token_creates_and_starts_once(cloud: Cloud) -> None:
    name, token = unique("token"), uuid.uuid4().hex
    first = create(cloud, name, fails_only(), ClientRequestToken=token)
    assert create(cloud, name, fails_only(), ClientRequestToken=token)["PipelineArn"] == first["PipelineArn"]
    token = uuid.uuid4().hex
    runs = {
        cloud.sagemaker.start_pipeline_execution(PipelineName=name, ClientRequestToken=token)["PipelineExecutionArn"]
        for _ in range(3)
    }
    assert len(runs) == 1
    listed = cloud.sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    assert {item["PipelineExecutionArn"] for item in listed} == runs


def test_a_definition_may_come_from_s3(cloud: Cloud) -> None:
    name = unique("from-s3")
    cloud.put(f"{name}/definition.json", json.dumps(fails_only("from S3")))
    cloud.sagemaker.create_pipeline(
        PipelineName=name,
        PipelineDefinitionS3Location={"Bucket": cloud.bucket, "ObjectKey": f"{name}/definition.json"},
        RoleArn=cloud.role,
        ClientRequestToken=uuid.uuid4().hex,
    )
    started = execution(cloud, cloud.sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"])
    assert ended(started)["PipelineExecutionStatus"] == "Failed"
    assert steps_of(started)["Fail"]["FailureReason"] == "from S3"


def test_a_failing_job_fails_its_step_and_nothing_follows(cloud: Cloud) -> None:
    bad = job(cloud, "Bad", 'import sys; print("giving up"); sys.exit(5)')
    after = job(cloud, "After", SHORT, DependsOn=["Bad"])
    failed = run(cloud, unique("fails"), definition(bad, after, job(cloud, "Beside", SHORT)))
    described = ended(failed)
    assert described["PipelineExecutionStatus"] == "Failed"
    assert described["FailureReason"] == "Step failure: One or multiple steps failed."
    assert statuses(failed) == {"Bad": "Failed", "Beside": "Succeeded"}
    step = steps_of(failed)["Bad"]
    assert "AlgorithmError: " in step["FailureReason"]
    assert step["FailureReason"].endswith("exit code: 5")
    assert "giving up" in cloud.log(PROCESSING_LOGS, step["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[-1])


def test_a_value_that_does_not_exist_fails_the_step_that_needs_it(cloud: Cloud) -> None:
    name = unique("absent")
    output = cloud.processing_output("report", cloud.uri(name))
    make = job(
        cloud,
        "Make",
        'open("/opt/ml/processing/report/report.json", "w").write(\'{"a": 1}\')',
        arguments={"ProcessingOutputConfig": {"Outputs": [output]}},
        PropertyFiles=[{"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report.json"}],
    )
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Make.PropertyFiles.Report"}, "Path": "b.c"}}
    condition = {"Type": "GreaterThan", "LeftValue": value, "RightValue": 0}
    branches = {"Conditions": [condition], "IfSteps": [job(cloud, "Then", SHORT)], "ElseSteps": []}
    failed = run(
        cloud,
        name,
        definition(make, {"Name": "Check", "Type": "Condition", "Arguments": branches, "DependsOn": ["Make"]}),
    )
    assert ended(failed)["PipelineExecutionStatus"] == "Failed"
    assert statuses(failed) == {"Make": "Succeeded", "Check": "Failed"}
    assert "b.c" in steps_of(failed)["Check"]["FailureReason"]


def test_a_request_that_the_service_refuses_fails_the_step_with_its_words(cloud: Cloud) -> None:
    cluster = {"InstanceType": {"Get": "Parameters.Instance"}, "InstanceCount": 1, "VolumeSizeInGB": 10}
    step = job(cloud, "One", SHORT, arguments={"ProcessingResources": {"ClusterConfig": cluster}})
    parameter = {"Name": "Instance", "Type": "String", "DefaultValue": "ml.none.such"}
    failed = run(cloud, unique("refused"), definition(step, parameters=[parameter]))
    assert ended(failed)["PipelineExecutionStatus"] == "Failed"
    reason = steps_of(failed)["One"]["FailureReason"]
    assert "ml.none.such" in reason
    assert "instanceType" in reason


def test_stop_stops_the_jobs_and_starts_no_more(cloud: Cloud) -> None:
    name = unique("stop")
    long, after = job(cloud, "Long", SLEEPS), job(cloud, "Next", SHORT, DependsOn=["Long"])
    stopped = run(cloud, name, definition(long, after))
    kind, text = refusal(lambda: cloud.sagemaker.delete_pipeline(PipelineName=name))
    assert kind in {"ConflictException", "ValidationException"}
    assert name in text
    stopped.stop()
    assert until_stopped(stopped)["PipelineExecutionStatus"] == "Stopped"
    assert statuses(stopped) in ({"Long": "Stopped"}, {})
    for step in steps_of(stopped).values():
        name_of_job = step["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[-1]
        assert cloud.processed(name_of_job)["ProcessingJobStatus"] == "Stopped"
    assert refusal(stopped.stop)[0] in {"ConflictException", "ValidationException"}
    cloud.sagemaker.delete_pipeline(PipelineName=name)
    assert refusal(lambda: cloud.sagemaker.describe_pipeline(PipelineName=name))[0] == "ResourceNotFound"


PARAMETERS = [
    {"Name": "Count", "Type": "Integer", "DefaultValue": 3},
    {"Name": "Share", "Type": "Float", "DefaultValue": 0.5},
    {"Name": "Flag", "Type": "Boolean", "DefaultValue": True},
    {"Name": "Kind", "Type": "String", "EnumValues": ["a", "b"], "DefaultValue": "a"},
    {"Name": "Needed", "Type": "String"},
]


@pytest.fixture(scope="module")
def parameterised(cloud: Cloud, stack: Any) -> str:
    with stack.environment_applied():
        name = unique("parameters")
        message = {"Std:Join": {"On": ",", "Values": [{"Get": f"Parameters.{item['Name']}"} for item in PARAMETERS]}}
        create(cloud, name, {**fails_only(message), "Parameters": PARAMETERS})
        return name


def start(cloud: Cloud, name: str, **values: str) -> str:
    given = [{"Name": key, "Value": value} for key, value in values.items()]
    answer = cloud.sagemaker.start_pipeline_execution(PipelineName=name, PipelineParameters=given)
    return str(answer["PipelineExecutionArn"])


def test_parameters_keep_their_types(cloud: Cloud, parameterised: str) -> None:
    run = execution(cloud, start(cloud, parameterised, Needed="x", Count="-4", Share="2.5e-1", Flag="false", Kind="b"))
    ended(run)
    assert steps_of(run)["Fail"]["FailureReason"] == "-4,0.25,false,b,x"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "Needed"),
        ({"Needed": "x", "Other": "1"}, "Other"),
        ({"Needed": "x", "Count": "many"}, "Count"),
        ({"Needed": "x", "Count": "1.5"}, "Count"),
        ({"Needed": "x", "Share": "half"}, "Share"),
        ({"Needed": "x", "Flag": "perhaps"}, "Flag"),
        ({"Needed": "x", "Kind": "c"}, "Kind"),
    ],
    ids=["missing", "unknown", "not an integer", "a fraction", "not a float", "not a boolean", "not in the enum"],
)
def test_a_start_with_wrong_parameters_is_refused(
    cloud: Cloud, parameterised: str, values: dict[str, str], named: str
) -> None:
    before = len(cloud.sagemaker.list_pipeline_executions(PipelineName=parameterised)["PipelineExecutionSummaries"])
    kind, text = refusal(lambda: start(cloud, parameterised, **values))
    assert kind == "ValidationException"
    assert named in text
    after = len(cloud.sagemaker.list_pipeline_executions(PipelineName=parameterised)["PipelineExecutionSummaries"])
    assert after == before


WRONG = {
    "not JSON": ("{", "Unable to parse pipeline definition"),
    "no steps": (json.dumps({"Version": "2020-12-01", "Steps": []}), "at least one step"),
    "unknown type": (
        json.dumps({"Version": "2020-12-01", "Steps": [{"Name": "A", "Type": "Magic", "Arguments": {}}]}),
        "Magic",
    ),
    "unknown step": (
        json.dumps({**fails_only(), "Steps": [{**fails_only()["Steps"][0], "DependsOn": ["Nobody"]}]}),
        "Nobody",
    ),
    "unknown parameter": (json.dumps(fails_only({"Get": "Parameters.Nothing"})), "Parameters.Nothing"),
    "cycle": (
        json.dumps(
            {
                **fails_only(),
                "Steps": [
                    {**fails_only()["Steps"][0], "Name": "A", "DependsOn": ["B"]},
                    {**fails_only()["Steps"][0], "Name": "B", "DependsOn": ["A"]},
                ],
            }
        ),
        "ycle",
    ),
    "same name twice": (
        json.dumps({**fails_only(), "Steps": fails_only()["Steps"] * 2}),
        "unique",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_definition_is_refused_at_creation(cloud: Cloud, case: str) -> None:
    document, named = WRONG[case]
    name = unique("wrong")
    kind, text = refusal(lambda: create(cloud, name, {}, PipelineDefinition=document))
    assert kind == "ValidationException"
    assert named in text
    assert refusal(lambda: cloud.sagemaker.describe_pipeline(PipelineName=name))[0] == "ResourceNotFound"


def test_what_is_not_there_is_not_found(cloud: Cloud) -> None:
    name = unique("nobody")
    client, arn = cloud.sagemaker, ABSENT.format(name)
    calls = {
        "describe": lambda: client.describe_pipeline(PipelineName=name),
        "update": lambda: client.update_pipeline(PipelineName=name, PipelineDescription="x"),
        "delete": lambda: client.delete_pipeline(PipelineName=name),
        "start": lambda: client.start_pipeline_execution(PipelineName=name),
        "list": lambda: client.list_pipeline_executions(PipelineName=name),
        "execution": lambda: client.describe_pipeline_execution(PipelineExecutionArn=arn),
        "definition": lambda: client.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn),
        "steps": lambda: client.list_pipeline_execution_steps(PipelineExecutionArn=arn),
        "parameters": lambda: client.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn),
        "stop": lambda: client.stop_pipeline_execution(PipelineExecutionArn=arn),
    }
    found = {case: refusal(call)[0] for case, call in calls.items()}
    assert found == dict.fromkeys(calls, "ResourceNotFound")
    with pytest.raises(client.exceptions.ResourceNotFound, match=f"Pipeline '.*{name}' does not exist"):
        client.describe_pipeline(PipelineName=name)


def test_parallelism_bounds_the_steps_that_run_at_once(cloud: Cloud) -> None:
    steps = definition(*(job(cloud, f"S{index}", SHORT) for index in range(3)))
    bounded = run(cloud, unique("bounded"), steps, ParallelismConfiguration={"MaxParallelExecutionSteps": 1})
    assert ended(bounded)["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 1}
    spans = sorted((step["StartTime"], step["EndTime"]) for step in steps_of(bounded).values())
    assert len(spans) == 3
    assert all(spans[index][1] <= spans[index + 1][0] for index in range(2))


def test_function_steps_return_their_results(cloud: Cloud, tmp_path: Path) -> None:
    from sagemaker.mlops.workflow.function_step import step

    builder = Builder.make(cloud, tmp_path, "functions")
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-base-python-310:1.0"
    common = {"image_uri": image, "instance_type": "ml.m5.large", "role": cloud.role}

    @step(name="Numbers", **common)
    def numbers(count: int) -> list[int]:
        return list(range(count))

    @step(name="Sum", **common)
    def total(values: list[int]) -> int:
        return sum(values)

    pipeline = builder.pipeline([total(numbers(5))])
    pipeline.create(role_arn=cloud.role)
    run = pipeline.start()
    described = ended(run)
    assert described["PipelineExecutionStatus"] == "Succeeded", {
        k: v.get("FailureReason") for k, v in steps_of(run).items()
    }
    assert run.result("Sum") == 10
