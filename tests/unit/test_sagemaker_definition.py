"""Reading, checking and resolving pipeline definitions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlparity.apis.sagemaker.definition.conditions import holds
from mlparity.apis.sagemaker.definition.parameters import effective
from mlparity.apis.sagemaker.definition.paths import PathError, look_up
from mlparity.apis.sagemaker.definition.reader import parse, read_steps
from mlparity.apis.sagemaker.definition.references import PropertyFile, Resolver
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.engine.runs import Gate
from mlparity.errors import InvalidRequestError, NoSuchObjectError


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
        (definition(step("A", kind="Tuning")), "step type Tuning is not supported by mlparity"),
        (definition(step("A", CacheConfig={"Enabled": True, "ExpireAfter": "P1D"})), "CacheConfig is not supported"),
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
        step_outputs=lambda name: {
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "eval", "S3Output": {"S3Uri": "s3://b/out"}}]}
        }
        if name == "Eval"
        else {},
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


def test_values_of_different_kinds_are_not_compared() -> None:
    with pytest.raises(InvalidRequestError):
        holds(condition("a", 1), lambda value: value)
