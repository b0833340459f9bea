"""References in a definition: which steps they need, and their values once those have ended.

``{"Get": "Parameters.X"}``, ``{"Get": "Steps.A.Path"}``, ``{"Get": "Execution.PipelineName"}``,
``{"Std:Join": {"On", "Values"}}``, ``{"Std:JsonGet": {"PropertyFile", "Path"}}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.apis.sagemaker.definition.paths import PathError, look_up
from mlparity.errors import InvalidRequestError, MlparityError

STEP = re.compile(r"Steps\.([A-Za-z0-9\-_]+)(?:\.(.*))?", re.DOTALL)
_EXECUTION = {
    "PipelineName",
    "PipelineArn",
    "PipelineExecutionId",
    "PipelineExecutionArn",
    "StartDateTime",
    "CurrentDateTime",
    "TrainingJobName",
    "ProcessingJobName",
}


class ReferenceError_(InvalidRequestError):  # noqa: N801, N818 - ReferenceError is Python's own
    """A reference has no value."""


def is_reference(value: Any) -> bool:
    """Whether a value is one of the four forms and not a plain structure."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in {"Get", "Std:Join", "Std:JsonGet"}


def references(value: Any) -> Iterator[str]:
    """Every ``Get`` expression inside a value."""
    if isinstance(value, Mapping):
        if set(value) == {"Get"} and isinstance(value["Get"], str):
            yield value["Get"]
            return
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def check_execution_variable(name: str) -> bool:
    """Whether ``Execution.NAME`` exists."""
    return name in _EXECUTION


@dataclass(frozen=True)
class PropertyFile:
    """Where a processing step's property file lies: its output's name and the path below it."""

    output_name: str
    file_path: str


@dataclass(frozen=True)
class Resolver:
    """Replaces references by values. ``read`` gets a text by its S3 URI."""

    parameters: Mapping[str, Any]
    execution: Mapping[str, Any]
    step_outputs: Callable[[str], Mapping[str, Any]]
    property_files: Mapping[tuple[str, str], PropertyFile]
    read: Callable[[str], str]

    def resolve(self, value: Any) -> Any:
        """The value with every reference replaced. Raises ``InvalidRequestError`` for one without a value."""
        if isinstance(value, Mapping):
            if set(value) == {"Get"}:
                return self._get(value["Get"])
            if set(value) == {"Std:Join"}:
                join = value["Std:Join"]
                return str(self.resolve(join.get("On", ""))).join(_text(self.resolve(item)) for item in join["Values"])
            if set(value) == {"Std:JsonGet"}:
                return self._json_get(value["Std:JsonGet"])
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        return value

    def _get(self, expression: str) -> Any:
        root, _, rest = expression.partition(".")
        if root == "Parameters" and rest in self.parameters:
            return self.parameters[rest]
        if root == "Execution" and rest in self.execution:
            return self.execution[rest]
        match = STEP.fullmatch(expression)
        if match is None or match.group(2) is None:
            raise ReferenceError_(f"{expression} has no value")
        try:
            return look_up(self.step_outputs(match.group(1)), match.group(2))
        except PathError as error:
            raise ReferenceError_(f"{expression} has no value", str(error)) from error

    def _json_get(self, function: Mapping[str, Any]) -> Any:
        uri, shown = self._json_source(function)
        try:
            document = json.loads(self.read(uri))
        except ValueError as error:
            raise ReferenceError_(f"{shown} is not JSON", str(error)) from error
        except MlparityError as error:
            raise ReferenceError_(f"{shown} cannot be read", str(error)) from error
        path = self.resolve(function["Path"])
        try:
            return look_up(document, path)
        except PathError as error:
            raise ReferenceError_(f"JsonPath {path} cannot be found in {shown}", str(error)) from error

    def _json_source(self, function: Mapping[str, Any]) -> tuple[str, str]:
        if "S3Uri" in function:
            uri = str(self.resolve(function["S3Uri"]))
            return uri, uri
        expression = function["PropertyFile"]
        expression = expression["Get"] if isinstance(expression, Mapping) else expression
        match = re.fullmatch(r"Steps\.([A-Za-z0-9\-_]+)\.PropertyFiles\.(.+)", expression)
        if match is None or match.groups() not in self.property_files:
            raise ReferenceError_(f"{expression} is not a property file of the pipeline")
        step, name = match.groups()
        wanted = self.property_files[step, name]
        try:
            outputs = self.step_outputs(step)
            folder = look_up(outputs, f"ProcessingOutputConfig.Outputs['{wanted.output_name}'].S3Output.S3Uri")
        except PathError as error:
            raise ReferenceError_(f"property file {name} of step {step} has no output", str(error)) from error
        return f"{str(folder).rstrip('/')}/{wanted.file_path}", f"property file {name}"


def _text(value: Any) -> str:
    """How ``Join`` writes a value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)
