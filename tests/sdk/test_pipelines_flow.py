"""One pipeline with everything in it, run to three different ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xgboost

from tests.sdk.cloud import Cloud, loads
from tests.sdk.pipelines import Builder, ended, statuses, steps_of

DEFAULTS = {"Mode": "register", "Rows": 12, "Offset": 1.5, "Limit": 1000.0, "Flag": False}


@dataclass(frozen=True)
class Flow:
    """The pipeline and its executions, all ended."""

    builder: Builder
    pipeline: Any
    registered: Any
    tail: Any
    refused: Any

    @property
    def all(self) -> dict[str, Any]:
        return {"registered": self.registered, "tail": self.tail, "refused": self.refused}


def build(builder: Builder) -> Any:
    from sagemaker.core.workflow.conditions import (
        ConditionEquals,
        ConditionIn,
        ConditionLessThanOrEqualTo,
        ConditionNot,
        ConditionOr,
    )
    from sagemaker.core.workflow.execution_variables import ExecutionVariables
    from sagemaker.core.workflow.functions import Join, JsonGet
    from sagemaker.core.workflow.parameters import (
        Parameter,
        ParameterFloat,
        ParameterInteger,
        ParameterString,
        ParameterTypeEnum,
    )
    from sagemaker.core.workflow.properties import PropertyFile
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep

    mode = ParameterString("Mode", default_value="register", enum_values=["register", "tail"])
    rows = ParameterInteger("Rows", default_value=12)
    offset = ParameterFloat("Offset", default_value=1.5)
    limit = ParameterFloat("Limit", default_value=1000.0)
    flag = Parameter("Flag", ParameterTypeEnum.BOOLEAN, default_value=False)

    said = Join(on="-", values=[ExecutionVariables.PIPELINE_NAME, mode, rows])
    tables = {
        name: builder.process(
            name,
            "constant.py",
            outputs=["table", "seen"],
            env={"FLAG": flag.to_string()},
            arguments=[offset.to_string(), rows.to_string(), said, ExecutionVariables.PIPELINE_EXECUTION_ARN],
        )
        for name in ("Left", "Right")
    }
    made = {
        name: step.properties.ProcessingOutputConfig.Outputs["table"].S3Output.S3Uri for name, step in tables.items()
    }
    report = PropertyFile(name="Report", output_name="report", path="report.json")
    total = builder.process(
        "Total",
        "total.py",
        inputs={"left": made["Left"], "right": made["Right"]},
        outputs=["report"],
        property_files=[report],
        depends_on=["Left", "Right"],
    )
    train = builder.train(
        "Train", made["Left"], {"num_round": 4, "objective": "reg:squarederror", "max_depth": 2, "min_child_weight": 0}
    )
    model = train.properties.ModelArtifacts.S3ModelArtifacts
    register = builder.register("Register", model, builder.name, approval_status="Approved")
    tail = builder.process(
        "Tail",
        'import sys; print("the model is", sys.argv[1])',
        arguments=[model, train.properties.TrainingJobName],
        depends_on=["Total"],
    )
    value = JsonGet(step_name="Total", property_file=report, json_path="total.value")
    first = JsonGet(step_name="Total", property_file=report, json_path="parts[0].name")
    choose = ConditionStep(
        name="Choose",
        conditions=[
            ConditionOr([ConditionEquals(left=mode, right="register"), ConditionEquals(left=mode, right="never")]),
            ConditionNot(ConditionIn(value=mode, in_values=["tail", "other"])),
        ],
        if_steps=[register],
        else_steps=[tail],
    )
    words = ["The total", value, "of", first, "is above", limit]
    check = ConditionStep(
        name="Check",
        conditions=[
            ConditionLessThanOrEqualTo(left=value, right=limit),
            ConditionEquals(left=first, right="left"),
        ],
        if_steps=[choose],
        else_steps=[FailStep(name="Refuse", error_message=Join(on=" ", values=words))],
        depends_on=[train],
    )
    return builder.pipeline([*tables.values(), total, train, check], [mode, rows, offset, limit, flag])


@pytest.fixture(scope="module")
def flow(cloud: Cloud, stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    with stack.environment_applied():
        builder = Builder.make(cloud, tmp_path_factory.mktemp("flow"), "flow")
        pipeline = build(builder)
        pipeline.upsert(role_arn=cloud.role, description="first")
        started = Flow(
            builder,
            pipeline,
            pipeline.start(execution_display_name="registered", execution_description="with the defaults"),
            pipeline.start({"Mode": "tail", "Rows": 5, "Offset": 2, "Flag": True}, execution_display_name="tail"),
            pipeline.start({"Limit": 10}, execution_display_name="refused"),
        )
        for execution in started.all.values():
            ended(execution)
        return started


def output(flow: Flow, execution: Any, *names: str) -> Any:
    return loads(flow.builder.cloud.get(flow.builder.cloud.uri(flow.builder.name, execution_id(execution), *names)))


def execution_id(execution: Any) -> str:
    return str(execution.arn.rsplit("/", 1)[-1])


def sums(offset: float, rows: int) -> float:
    return sum(offset + index for index in range(rows))


def test_the_definition_runs_as_it_was_compiled(flow: Flow) -> None:
    described = flow.pipeline.describe()
    assert json.loads(described["PipelineDefinition"]) == json.loads(flow.pipeline.definition())
    assert described["PipelineStatus"] == "Active"
    assert described["PipelineDescription"] == "first"
    client = flow.builder.cloud.sagemaker
    stored = client.describe_pipeline_definition_for_execution(PipelineExecutionArn=flow.tail.arn)
    assert stored["PipelineDefinition"] == described["PipelineDefinition"]


def test_each_execution_takes_its_own_branches(flow: Flow) -> None:
    common = {"Left", "Right", "Total", "Train", "Check"}
    assert statuses(flow.registered) == dict.fromkeys([*common, "Choose", _register_name(flow)], "Succeeded")
    assert statuses(flow.tail) == dict.fromkeys([*common, "Choose", "Tail"], "Succeeded")
    assert statuses(flow.refused) == {**dict.fromkeys(common, "Succeeded"), "Refuse": "Failed"}
    outcomes = {
        name: [steps_of(run)[step]["Metadata"]["Condition"]["Outcome"] for step in ("Check", "Choose")]
        for name, run in {"registered": flow.registered, "tail": flow.tail}.items()
    }
    assert outcomes == {"registered": ["True", "True"], "tail": ["True", "False"]}
    assert steps_of(flow.refused)["Check"]["Metadata"]["Condition"]["Outcome"] == "False"


def _register_name(flow: Flow) -> str:
    """The SDK appends its own word to a register step's name."""
    (name,) = (name for name in statuses(flow.registered) if name.startswith("Register"))
    return name


def test_values_flow_through_parameters_join_and_outputs(flow: Flow) -> None:
    report = output(flow, flow.registered, "Total", "report", "report.json")
    assert report["total"]["value"] == 2 * sums(1.5, 12)
    assert output(flow, flow.tail, "Total", "report", "report.json")["total"]["value"] == 2 * sums(2.0, 5)
    seen = output(flow, flow.tail, "Left", "seen", "seen.json")
    assert seen["arguments"] == [f"{flow.builder.name}-tail-5", flow.tail.arn]
    assert seen["flag"] == "true"
    job = steps_of(flow.tail)["Left"]["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[-1]
    assert seen["job"] == job
    assert job.startswith(f"pipelines-{execution_id(flow.tail)}-Left-")
    assert output(flow, flow.registered, "Right", "seen", "seen.json")["flag"] == "false"


def test_the_training_step_trains_on_what_the_step_before_made(flow: Flow) -> None:
    cloud = flow.builder.cloud
    job = steps_of(flow.registered)["Train"]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[-1]
    described = cloud.sagemaker.describe_training_job(TrainingJobName=job)
    table = np.array([[1.5 + index, index, index * index] for index in range(12)], dtype=np.float32)
    settings = {"objective": "reg:squarederror", "max_depth": 2, "min_child_weight": 0}
    here = xgboost.train(settings, xgboost.DMatrix(table[:, 1:], label=table[:, 0]), 4)
    there = xgboost.Booster()
    there.load_model(bytearray(cloud.archive(described["ModelArtifacts"]["S3ModelArtifacts"])["xgboost-model"]))
    data = xgboost.DMatrix(table[:, 1:])
    np.testing.assert_allclose(there.predict(data), here.predict(data), rtol=1e-6)
    assert described["ExperimentConfig"]["ExperimentName"] == flow.builder.name


def test_the_registered_version_is_the_trained_model(flow: Flow) -> None:
    client = flow.builder.cloud.sagemaker
    arn = steps_of(flow.registered)[_register_name(flow)]["Metadata"]["RegisterModel"]["Arn"]
    package = client.describe_model_package(ModelPackageName=arn)
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["ModelPackageGroupName"] == flow.builder.name
    assert package["ModelPackageVersion"] == 1
    (container,) = package["InferenceSpecification"]["Containers"]
    job = steps_of(flow.registered)["Train"]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[-1]
    model = client.describe_training_job(TrainingJobName=job)["ModelArtifacts"]["S3ModelArtifacts"]
    assert container["ModelDataUrl"] == model
    listed = client.list_model_packages(ModelPackageGroupName=flow.builder.name)["ModelPackageSummaryList"]
    assert [item["ModelPackageArn"] for item in listed] == [arn]


def test_the_fail_step_ends_the_execution_with_its_message(flow: Flow) -> None:
    step = steps_of(flow.refused)["Refuse"]
    expected = f"The total {2 * sums(1.5, 12)} of left is above 10.0"
    assert step["Metadata"]["Fail"]["ErrorMessage"] == expected
    assert step["FailureReason"] == expected
    described = flow.refused.describe()
    assert described["PipelineExecutionStatus"] == "Failed"
    assert described["FailureReason"] == "Step failure: One or multiple steps failed."


def test_branches_run_beside_each_other(flow: Flow) -> None:
    steps = steps_of(flow.registered)
    assert steps["Left"]["StartTime"] < steps["Right"]["EndTime"]
    assert steps["Right"]["StartTime"] < steps["Left"]["EndTime"]
    assert steps["Total"]["StartTime"] >= max(steps["Left"]["EndTime"], steps["Right"]["EndTime"])


def test_effective_parameters_are_told(flow: Flow) -> None:
    assert flow.pipeline.build_parameters_from_execution(flow.registered.arn) == {
        "Mode": "register",
        "Rows": "12",
        "Offset": "1.5",
        "Limit": "1000.0",
        "Flag": "false",
    }
    changed = flow.pipeline.build_parameters_from_execution(flow.tail.arn, {"Rows": 7})
    assert changed["Rows"] == 7
    assert changed["Mode"] == "tail"
    pages = flow.builder.cloud.sagemaker.get_paginator("list_pipeline_parameters_for_execution")
    found = [
        item["Name"]
        for page in pages.paginate(PipelineExecutionArn=flow.tail.arn, PaginationConfig={"PageSize": 2})
        for item in page["PipelineParameters"]
    ]
    assert sorted(found) == sorted(DEFAULTS)


def test_executions_are_described_and_listed(flow: Flow) -> None:
    described = flow.registered.describe()
    assert described["PipelineExecutionStatus"] == "Succeeded"
    assert described["PipelineExecutionDisplayName"] == "registered"
    assert described["PipelineExecutionDescription"] == "with the defaults"
    assert described["PipelineArn"].endswith(f":pipeline/{flow.builder.name}")
    assert described["CreatedBy"]["IamIdentity"]["Arn"].startswith("arn:aws:sts::")
    newest = flow.pipeline.list_executions(sort_by="CreationTime", sort_order="Descending", max_results=2)
    names = [item["PipelineExecutionDisplayName"] for item in newest["PipelineExecutionSummaries"]]
    assert names == ["refused", "tail"]
    rest = flow.pipeline.list_executions(
        sort_by="CreationTime", sort_order="Descending", max_results=2, next_token=newest["NextToken"]
    )
    assert [item["PipelineExecutionArn"] for item in rest["PipelineExecutionSummaries"]] == [flow.registered.arn]
    assert "NextToken" not in rest
    refused = newest["PipelineExecutionSummaries"][0]
    assert refused["PipelineExecutionStatus"] == "Failed"
    assert refused["PipelineExecutionFailureReason"] == flow.refused.describe()["FailureReason"]


def test_steps_are_paged_in_both_orders(flow: Flow) -> None:
    pages = flow.builder.cloud.sagemaker.get_paginator("list_pipeline_execution_steps")
    orders = {}
    for order in ("Ascending", "Descending"):
        found = list(
            pages.paginate(PipelineExecutionArn=flow.tail.arn, SortOrder=order, PaginationConfig={"PageSize": 3})
        )
        assert [len(page["PipelineExecutionSteps"]) for page in found] == [3, 3, 1]
        orders[order] = [step["StepName"] for page in found for step in page["PipelineExecutionSteps"]]
    assert orders["Ascending"] == orders["Descending"][::-1]
    assert orders["Ascending"][-1] == "Tail"
    assert [step["StepName"] for step in flow.tail.list_steps()] == orders["Descending"]


def test_only_function_steps_have_a_result(flow: Flow) -> None:
    from sagemaker.core.remote_function.errors import RemoteFunctionError

    with pytest.raises((ValueError, RemoteFunctionError), match="only be used on pipeline steps created using @step"):
        flow.registered.result("Total")
    with pytest.raises(ValueError, match="Invalid step name Nothing"):
        flow.registered.result("Nothing")
