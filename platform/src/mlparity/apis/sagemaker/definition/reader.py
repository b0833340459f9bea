"""A definition as a plan: every check that SageMaker makes at CreatePipeline, then steps with dependencies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlparity.apis.sagemaker.definition.conditions import TYPES, negated
from mlparity.apis.sagemaker.definition.outputs import check_declared
from mlparity.apis.sagemaker.definition.policies import retry_rules, reuse_within_seconds
from mlparity.apis.sagemaker.definition.references import STEP, check_execution_variable, references
from mlparity.apis.sagemaker.definition.step_types import NOT_SERVED, SERVED
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.engine.runs import Gate, StepPlan

VERSION = "2020-12-01"
IF, ELSE = "True", "False"
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9_]){0,63}")
_PARAMETER_TYPES = {"String", "Integer", "Float", "Boolean"}


def parse(text: str) -> dict[str, Any]:
    """The definition as a document. Raises ``ValidationException`` as CreatePipeline does."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise validation(f"Unable to parse pipeline definition. {error}") from None
    if not isinstance(document, dict):
        raise validation("Unable to parse pipeline definition. It must be a JSON object")
    if document.get("Version") != VERSION:
        raise validation(f"Unable to parse pipeline definition. Version must be {VERSION}")
    check(document)
    return document


def check(document: Mapping[str, Any]) -> None:
    """Everything that can be wrong before the pipeline runs."""
    parameters = _parameter_names(document)
    plans = read_steps(document)
    names = {plan.name for plan in plans}
    if not plans:
        raise validation("Pipeline definition must have at least one step")
    for plan in plans:
        if plan.kind == "Condition":
            for condition in plan.body["Arguments"]["Conditions"]:
                _check_condition(plan.name, condition)
        _check_references(plan, names, parameters)
    _check_cycles(plans)


def read_steps(document: Mapping[str, Any]) -> list[StepPlan]:
    """Every step, those inside conditions included, with what it waits for."""
    steps = document.get("Steps")
    if not isinstance(steps, list):
        raise validation("Pipeline definition must have Steps")
    flat = list(_flatten(steps, None))
    seen: set[str] = set()
    for step, _ in flat:
        if step["Name"] in seen:
            raise validation(f"Step names must be unique within a pipeline. Duplicate step name: {step['Name']}")
        seen.add(step["Name"])
    return [_plan(step, gate) for step, gate in flat]


def _plan(step: Mapping[str, Any], gate: Gate | None) -> StepPlan:
    kind = SERVED[step["Type"]]
    return StepPlan(
        step["Name"],
        step["Type"],
        tuple(sorted(_needs(step) - {step["Name"]})),
        _own_body(step),
        gate,
        reuse_within_seconds(step, kind),
        retry_rules(step, kind),
    )


def _flatten(steps: Sequence[Any], gate: Gate | None) -> Iterator[tuple[dict[str, Any], Gate | None]]:
    for step in steps:
        _check_shape(step)
        yield step, gate
        if step["Type"] == "Condition":
            arguments = step["Arguments"]
            yield from _flatten(arguments.get("IfSteps") or [], Gate(step["Name"], IF))
            yield from _flatten(arguments.get("ElseSteps") or [], Gate(step["Name"], ELSE))


def _check_shape(step: Any) -> None:
    if not isinstance(step, dict) or not isinstance(step.get("Name"), str):
        raise validation("Every step must be an object with a Name")
    name, kind = step["Name"], step.get("Type")
    if not _NAME.fullmatch(name):
        raise validation(f"Invalid step name: {name}")
    if kind in NOT_SERVED:
        raise not_served(f"step {name}: step type {kind}")
    if not isinstance(kind, str) or kind not in SERVED:
        raise validation(f"Unknown step type {kind} for step {name}")
    if not isinstance(step.get("Arguments"), dict):
        raise validation(f"Step {name} must have Arguments")
    for member in SERVED[kind].members:
        if not step.get(member):
            raise validation(f"Step {name} of type {kind} must have {member}")
    check_declared(step)
    if kind == "Condition" and not step["Arguments"].get("Conditions"):
        raise validation(f"Condition step {name} must have Conditions")


def _own_body(step: Mapping[str, Any]) -> dict[str, Any]:
    """The step without the steps inside it, which are steps of their own."""
    body = dict(step)
    if step["Type"] == "Condition":
        body["Arguments"] = {"Conditions": step["Arguments"]["Conditions"]}
    return body


def _needs(step: Mapping[str, Any]) -> set[str]:
    """The steps it names in DependsOn and refers to."""
    body = _own_body(step)
    named = {
        str(item).split(".", 1)[-1] if str(item).startswith("Steps.") else str(item)
        for item in step.get("DependsOn") or ()
    }
    for expression in _expressions(body):
        match = STEP.fullmatch(expression)
        if match:
            named.add(match.group(1))
    return named


def _expressions(body: Mapping[str, Any]) -> Iterator[str]:
    """Every reference of a step, those beside its Arguments included."""
    yield from references(body.get("Arguments"))
    kind = SERVED[body["Type"]]
    for member in (*kind.members, *kind.optional):
        yield from references(body.get(member))


def _parameter_names(document: Mapping[str, Any]) -> set[str]:
    names: set[str] = set()
    for parameter in document.get("Parameters") or ():
        name, kind = parameter.get("Name"), parameter.get("Type")
        if not isinstance(name, str) or not name:
            raise validation("Every parameter must have a Name")
        if kind not in _PARAMETER_TYPES:
            raise validation(f"Parameter {name} has unknown type {kind}")
        if name in names:
            raise validation(f"Parameter names must be unique. Duplicate parameter name: {name}")
        names.add(name)
    return names


def _check_references(plan: StepPlan, names: set[str], parameters: set[str]) -> None:
    for needed in plan.depends_on:
        if needed not in names:
            raise validation(f"Step {plan.name} depends on step {needed}, which is not in the pipeline")
    for expression in _expressions(plan.body):
        root, _, rest = expression.partition(".")
        known = (
            (root == "Parameters" and rest in parameters)
            or (root == "Execution" and check_execution_variable(rest))
            or STEP.fullmatch(expression) is not None
        )
        if not known:
            raise validation(f"Step {plan.name}: reference {expression} is not defined in the pipeline")


def _check_condition(step: str, condition: Any) -> None:
    kind = condition.get("Type") if isinstance(condition, dict) else None
    if kind not in TYPES:
        raise validation(f"Condition step {step}: unknown condition type {kind}")
    required = {"Not": (), "Or": ("Conditions",), "In": ("QueryValue", "Values")}
    for member in required.get(kind, ("LeftValue", "RightValue")):
        if member not in condition:
            raise validation(f"Condition step {step}: condition {kind} must have {member}")
    inner = [negated(condition)] if kind == "Not" else condition["Conditions"] if kind == "Or" else []
    for item in inner:
        _check_condition(step, item)


def _check_cycles(plans: Sequence[StepPlan]) -> None:
    waits = {plan.name: {*plan.depends_on, *({plan.gate.step} if plan.gate else set())} for plan in plans}
    while waits:
        free = [name for name, needed in waits.items() if not needed & waits.keys()]
        if not free:
            raise validation(f"Cycle detected in the pipeline between steps: {', '.join(sorted(waits))}")
        for name in free:
            del waits[name]
