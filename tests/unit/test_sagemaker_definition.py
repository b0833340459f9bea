"""Reading, checking and resolving pipeline definitions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlparity.apis.sagemaker.definition import step_types
from mlparity.apis.sagemaker.definition.conditions import holds
from mlparity.apis.sagemaker.definition.outputs import typed
from mlparity.apis.sagemaker.definition.parameters import effective
from mlparity.apis.sagemaker.definition.paths import PathError, look_up
from mlparity.apis.sagemaker.definition.reader import parse, read_steps
from mlparity.apis.sagemaker.definition.references import PropertyFile, Resolver
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.selective_execution import names, select
from mlparity.engine.runs import Gate, Reuse, Step, StepPlan, StepStatus
from mlparity.errors import InvalidRequestError, NoSuchObjectError

RETRY = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "MaxAttempts": 2}
NOT_SERVED = sorted(step_types.NOT_SERVED)


def step(name: str, arguments: Any = None, kind: str = "Processing", **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "Arguments": arguments or {}, **more}


def definition(*steps: Any, parameters: Any = ()) -> str:
    return json.dumps({"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)})


def condition(left: Any, right: Any, kind: str = "LessThanOrEqualTo") -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


def test_dependencies_come_from_references_depends_on_and_property_files() -> None:
    document = json.loads(
        definition(
            step("A"),
            step("B", {"In": {"Get": "Steps.A.ProcessingOutputConfig.Outputs['x'].S3Output.S3Uri"}}),
            step("C", DependsOn=["B"]),
            step(
                "If",
                {
                    "Conditions": [
                        condition(
                            {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.B.PropertyFiles.R"}, "Path": "m"}}, 1.0
                        )
                    ],
                    "IfSteps": [step("Yes", {"X": {"Std:Join": {"On": "", "Values": [{"Get": "Steps.C.Y"}]}}})],
                    "ElseSteps": [step("No", kind="Fail")],
                },
                "Condition",
            ),
        )
    )
    plans = {plan.name: plan for plan in read_steps(document)}
    assert plans["B"].depends_on == ("A",)
    assert plans["C"].depends_on == ("B",)
    assert plans["If"].depends_on == ("B",)
    assert plans["Yes"].depends_on == ("C",)
    assert plans["Yes"].gate == Gate("If", "True")
    assert plans["No"].gate == Gate("If", "False")
    assert "IfSteps" not in plans["If"].body["Arguments"]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("{", "Unable to parse"),
        ("[]", "must be a JSON object"),
        (json.dumps({"Version": "1", "Steps": []}), "Version must be"),
        (definition(), "at least one step"),
        (definition(step("A"), step("A")), "Duplicate step name: A"),
        (definition(step("A b")), "Invalid step name"),
        (definition(step("A", kind="Nope")), "Unknown step type Nope"),
        (definition(step("A", CacheConfig={"Enabled": True})), "must have ExpireAfter"),
        (definition(step("A", CacheConfig={"Enabled": True, "ExpireAfter": "soon"})), "not an ISO 8601 duration"),
        (definition(step("A", CacheConfig={"Enabled": True, "ExpireAfter": "P0D"})), "not a positive duration"),
        (definition(step("A", CacheConfig={"ExpireAfter": "P1D"})), "must have Enabled"),
        (definition(step("A", kind="Fail", CacheConfig={"Enabled": False})), "unknown property 'CacheConfig'"),
        (definition(step("A", RetryPolicies=[{"ExceptionType": ["Oops"]}])), "must be a list of SageMaker.CAPACITY"),
        (definition(step("A", RetryPolicies=[{"ExceptionType": []}])), "must be a list of"),
        (definition(step("A", RetryPolicies=[{**RETRY, "MaxAttempts": 21}])), "a number from 0 up to 20"),
        (definition(step("A", RetryPolicies=[{**RETRY, "BackoffRate": -1}])), "BackoffRate -1 of a retry policy"),
        (definition(step("A", RetryPolicies=[{**RETRY, "Colour": 1}])), "unknown property 'Colour'"),
        (definition(step("A", kind="Callback")), "must have SqsQueueUrl"),
        (definition(step("A", kind="Lambda", FunctionArn="a", RetryPolicies=[])), "unknown property 'RetryPolicies'"),
        (
            definition(
                step("A", kind="Lambda", FunctionArn="a", OutputParameters=[{"OutputName": "x", "OutputType": "List"}])
            ),
            "OutputType List of x is not one of",
        ),
        *((definition(step("A", kind=kind)), f"step A: step type {kind} is not supported") for kind in NOT_SERVED),
        (definition(step("A", DependsOn=["B"])), "depends on step B, which is not in the pipeline"),
        (definition(step("A", {"x": {"Get": "Parameters.P"}})), "reference Parameters.P is not defined"),
        (definition(step("A", {"x": {"Get": "Execution.Nope"}})), "reference Execution.Nope is not defined"),
        (definition(step("A", DependsOn=["B"]), step("B", DependsOn=["A"])), "Cycle detected"),
        (definition(step("I", {"Conditions": [{"Type": "Near"}]}, "Condition")), "unknown condition type Near"),
        (definition(step("I", {"Conditions": [{"Type": "In"}]}, "Condition")), "must have QueryValue"),
        (definition(step("A"), parameters=[{"Name": "P", "Type": "Date"}]), "unknown type Date"),
    ],
)
def test_what_is_wrong_is_refused_at_creation(text: str, fragment: str) -> None:
    with pytest.raises(SageMakerError) as caught:
        parse(text)
    assert caught.value.code == "ValidationException"
    assert fragment in caught.value.message


def test_parameters_are_typed_checked_and_defaulted() -> None:
    document = {
        "Parameters": [
            {"Name": "I", "Type": "Integer", "DefaultValue": 3},
            {"Name": "F", "Type": "Float", "DefaultValue": 0.5},
            {"Name": "B", "Type": "Boolean", "DefaultValue": False},
            {"Name": "S", "Type": "String", "EnumValues": ["a", "b"], "DefaultValue": "a"},
        ]
    }
    given = [{"Name": "I", "Value": "7"}, {"Name": "B", "Value": "True"}, {"Name": "S", "Value": "b"}]
    assert effective(document, given) == {"I": 7, "F": 0.5, "B": True, "S": "b"}
    for bad in ({"Name": "I", "Value": "x"}, {"Name": "S", "Value": "c"}, {"Name": "Z", "Value": "1"}):
        with pytest.raises(SageMakerError):
            effective(document, [bad])
    with pytest.raises(SageMakerError):
        effective({"Parameters": [{"Name": "R", "Type": "String"}]}, [])


def test_paths() -> None:
    value = {"a": {"b": [{"c": 1}]}, "Outputs": [{"OutputName": "train", "S3Output": {"S3Uri": "s3://b/t"}}]}
    assert look_up(value, "a.b[0].c") == 1
    assert look_up(value, "Outputs['train'].S3Output.S3Uri") == "s3://b/t"
    assert look_up({"a b": {"c.d": 2}}, "['a b']['c.d']") == 2
    for path in ("a.x", "a.b[1]", "a.b[", "Outputs['none']"):
        with pytest.raises(PathError):
            look_up(value, path)


def resolver(report: str | None) -> Resolver:
    def read(uri: str) -> str:
        assert uri == "s3://b/out/report.json"
        if report is None:
            raise NoSuchObjectError("no such key")
        return report

    return Resolver(
        parameters={"N": 5, "Flag": True},
        execution={"PipelineName": "p"},
        step_outputs=lambda name: (
            {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "eval", "S3Output": {"S3Uri": "s3://b/out"}}]}}
            if name == "Eval"
            else {}
        ),
        property_files={("Eval", "Report"): PropertyFile("eval", "report.json")},
        read=read,
    )


GET = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Eval.PropertyFiles.Report"}, "Path": "metrics.mse"}}


def test_references_and_functions_get_values() -> None:
    values = resolver('{"metrics": {"mse": 2.5}}')
    assert values.resolve({"a": [{"Get": "Parameters.N"}], "b": {"Get": "Execution.PipelineName"}}) == {
        "a": [5],
        "b": "p",
    }
    joined = {"Std:Join": {"On": "/", "Values": ["x", {"Get": "Parameters.N"}, {"Get": "Parameters.Flag"}, GET]}}
    assert values.resolve(joined) == "x/5/true/2.5"


@pytest.mark.parametrize("report", [None, "not json", '{"metrics": {}}'])
def test_a_property_file_that_does_not_serve_fails_the_step(report: str | None) -> None:
    with pytest.raises(InvalidRequestError):
        resolver(report).resolve(GET)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (condition(1, 1), True),
        (condition(1.5, 1), False),
        (condition(1, 1, "GreaterThanOrEqualTo"), True),
        (condition(1, 1, "GreaterThan"), False),
        (condition("2", 10, "LessThan"), True),
        (condition("a", 1, "Equals"), False),
        (condition(True, 1, "Equals"), False),
        (condition("True", True, "Equals"), True),
        (condition(None, None, "Equals"), True),
        (condition(None, 0, "Equals"), False),
        (condition([1], [1], "Equals"), True),
        ({"Type": "Not", "Expression": condition(float("nan"), 1)}, True),
        ({"Type": "In", "QueryValue": "2", "Values": [1, 2]}, True),
        ({"Type": "In", "QueryValue": float("nan"), "Values": [float("nan")]}, False),
        (
            {
                "Type": "Or",
                "Conditions": [
                    {"Type": "Not", "Expression": {"Type": "Or", "Conditions": [condition(1, 2)]}},
                    {"Type": "Not", "Expression": {"Type": "In", "QueryValue": "x", "Values": ["y", "z"]}},
                ],
            },
            True,
        ),
        (condition("1.0", 1, "Equals"), True),
        (condition(float("nan"), 1), False),
        (condition(float("nan"), float("nan"), "Equals"), False),
        (condition("a", "b", "LessThan"), True),
        ({"Type": "In", "QueryValue": 2, "Values": [1, 2]}, True),
        ({"Type": "Not", "Expression": {"Type": "In", "QueryValue": 2, "Values": [1, 2]}}, False),
        ({"Type": "Or", "Conditions": [condition(2, 1), condition(0, 1)]}, True),
    ],
)
def test_conditions(document: dict[str, Any], expected: bool) -> None:
    assert holds(document, lambda value: value) is expected


@pytest.mark.parametrize(("left", "right"), [("a", 1), (True, 1), (None, 1), (None, None), ([1], [2])])
def test_values_without_an_order_are_not_compared(left: Any, right: Any) -> None:
    with pytest.raises(InvalidRequestError, match="cannot compare"):
        holds(condition(left, right), lambda value: value)


def test_a_condition_asks_only_what_it_needs() -> None:
    asked: list[Any] = []

    def resolve(value: Any) -> Any:
        asked.append(value)
        return value

    assert holds({"Type": "Or", "Conditions": [condition(1, 2), condition(3, 4)]}, resolve)
    assert asked == [1, 2]


# -- caching and retries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("P30D", 30 * 86400),
        ("p30d", 30 * 86400),
        ("30d", 30 * 86400),
        ("5y", 5 * 365 * 86400),
        ("T16m", 16 * 60),
        ("PT1H", 3600),
        ("T12H", 12 * 3600),
        ("30dT5h", 30 * 86400 + 5 * 3600),
        ("P1M", 30 * 86400),
        ("P2W", 14 * 86400),
    ],
)
def test_expiry_is_an_iso_duration_with_or_without_its_p(text: str, seconds: float) -> None:
    document = json.loads(definition(step("A", CacheConfig={"Enabled": True, "ExpireAfter": text})))
    assert read_steps(document)[0].reuse_within_seconds == seconds


def test_a_cache_that_is_off_is_off() -> None:
    document = json.loads(definition(step("A", CacheConfig={"Enabled": False, "ExpireAfter": "P1D"}), step("B")))
    assert [plan.reuse_within_seconds for plan in read_steps(document)] == [None, None]


def test_retry_policies_come_before_what_is_always_retried() -> None:
    policies = [
        {**RETRY, "IntervalSeconds": 3, "BackoffRate": 1.5},
        {"ExceptionType": ["Step.THROTTLING", "SageMaker.RESOURCE_LIMIT"], "ExpireAfterMin": 5},
        {"ExceptionType": ["SageMaker.CAPACITY_ERROR"]},
    ]
    first, second, third, always = read_steps(json.loads(definition(step("A", RetryPolicies=policies))))[0].retries
    assert (first.interval_seconds, first.backoff_rate, first.max_attempts) == (3, 1.5, 2)
    assert (second.max_attempts, second.expire_after_seconds) == (None, 300)
    assert (third.max_attempts, third.expire_after_seconds) == (5, None)
    assert set(always.faults) == {"Step.SERVICE_FAULT", "Step.THROTTLING"}


# -- selective execution ----------------------------------------------------------------------------------------


def selected_plans() -> list[StepPlan]:
    gate = {"Conditions": [condition({"Get": "Steps.Eval.X"}, 1)], "IfSteps": [step("Yes")], "ElseSteps": [step("No")]}
    steps = [step("Prep"), step("Train", DependsOn=["Prep"]), step("Eval", DependsOn=["Train"])]
    return read_steps(json.loads(definition(*steps, step("If", gate, "Condition"))))


def done(name: str, status: StepStatus = StepStatus.SUCCEEDED, branch: str = "") -> Step:
    return Step(
        "source", name, 0, "Processing", status, 1, branch, "", None, {}, {}, None, "", (), None, Reuse.NONE, None,
        None, None,
    )  # fmt: skip


DONE = {
    **{name: done(name) for name in ("Prep", "Train", "Eval", "Yes")},
    "If": done("If", branch="True"),
    "No": done("No", StepStatus.SKIPPED),
}
SOURCE: Any = object()  # only whether there is one matters here


def test_unselected_steps_above_are_reused_and_those_below_left_out() -> None:
    selection = select({"Train", "Eval"}, selected_plans(), SOURCE, DONE)
    assert set(selection.reused) == {"Prep"}
    assert set(selection.left_out) == {"If", "Yes", "No"}
    below = select({"Yes"}, selected_plans(), SOURCE, DONE)
    assert set(below.reused) == {"Prep", "Train", "Eval", "If"}
    assert set(below.left_out) == {"No"}


def test_the_first_steps_need_no_source() -> None:
    selection = select({"Prep", "Train"}, selected_plans(), None, {})
    assert (selection.reused, set(selection.left_out)) == ({}, {"Eval", "If", "Yes", "No"})


@pytest.mark.parametrize(
    ("selected", "source", "fragment"),
    [
        (
            {"Train"},
            None,
            "Invalid SourcePipelineExecutionArn: null. The selected steps [Train] have dependencies on [Prep]",
        ),
        ({"Prep", "Eval"}, SOURCE, "Missing: [Train]"),
        ({"No"}, SOURCE, "a branch of condition step If that the source pipeline execution did not take"),
    ],
)
def test_a_selection_that_cannot_run_is_refused(selected: set[str], source: Any, fragment: str) -> None:
    with pytest.raises(SageMakerError) as caught:
        select(selected, selected_plans(), source, DONE if source else {})
    assert fragment in caught.value.message


def test_what_failed_before_cannot_be_reused() -> None:
    with pytest.raises(SageMakerError, match="step Train, which has not succeeded"):
        select({"Eval"}, selected_plans(), SOURCE, {**DONE, "Train": done("Train", StepStatus.FAILED)})


def test_selected_steps_exist_and_are_named_once() -> None:
    for steps in (["Train", "Nope"], ["Train", "Train"]):
        with pytest.raises(SageMakerError):
            names({"SelectedSteps": [{"StepName": name} for name in steps]}, selected_plans())


# -- output parameters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("String", "x", "x"),
        ("String", {"a": 1}, '{"a": 1}'),
        ("Integer", "7", 7),
        ("Integer", 7.0, 7),
        ("Float", "0.5", 0.5),
        ("Boolean", "True", True),
        ("Boolean", False, False),
    ],
)
def test_output_parameters_are_typed(kind: str, given: Any, expected: Any) -> None:
    made = typed("out", kind, given)
    assert (made, type(made)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("Integer", "7.5"),
        ("Integer", 7.5),
        ("Integer", True),
        ("Float", "x"),
        ("Boolean", "yes"),
        ("String", "x" * 1025),
    ],
)
def test_output_parameters_of_another_type_are_refused(kind: str, given: Any) -> None:
    with pytest.raises(InvalidRequestError):
        typed("out", kind, given)
