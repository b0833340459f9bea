"""What a program made: its parameters and artifacts, read from the files that it left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlparity.pipeline_ir.definition import Component
from mlparity.pipeline_ir.errors import TaskFailedError
from mlparity.pipeline_ir.launch import METADATA, PARAMETER, output_artifacts
from mlparity.pipeline_ir.tasks import ArtifactValue, TaskValues
from mlparity.pipeline_ir.values import as_output, finite, integral, parse_output


def read_outputs(component: Component, root: str, files: Mapping[str, str]) -> TaskValues:
    """The outputs in the way of KFP's launcher: ``executor_output.json``, then the files of parameters.

    Raises ``TaskFailedError`` where a value does not have the declared type.
    """
    reported = _reported(files.get(METADATA, ""))
    return TaskValues(_parameters(component, reported, files), _artifacts(component, root, reported))


def _reported(text: str) -> Mapping[str, Any]:
    if not text.strip():
        return {}
    try:
        document = json.loads(text)
    except ValueError as error:
        raise TaskFailedError("executor_output.json is no JSON", str(error)) from error
    return document if isinstance(document, dict) else {}


def _parameters(component: Component, reported: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    given = reported.get("parameterValues") or {}
    for name, declared in component.outputs.parameters.items():
        if name in given:
            values[name] = as_output(given[name], declared.type, name)
        elif f"{PARAMETER}{name}" in files:
            values[name] = parse_output(files[f"{PARAMETER}{name}"], declared.type, name)
    return values


def _artifacts(component: Component, root: str, reported: Mapping[str, Any]) -> dict[str, tuple[ArtifactValue, ...]]:
    found: dict[str, tuple[ArtifactValue, ...]] = {}
    given = reported.get("artifacts") or {}
    for name, planned in output_artifacts(component, root).items():
        entries = given.get(name, {}).get("artifacts") or [{}]
        entry = entries[0]
        metadata = {**planned.metadata, **finite(integral(entry.get("metadata") or {}))}
        found[name] = (replace(planned, uri=entry.get("uri") or planned.uri, metadata=metadata),)
    return found
