"""What a target of a rule is given: the whole event, a constant, a part of it, or a template filled from it.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\*)\]|\['([^']+)'\]")
_VARIABLE = re.compile(r"<([^<>\s]+)>")


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], rule_name: str, rule_arn: str) -> str:
    """The JSON text (or filled template) that ``target`` receives for ``event``."""
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(json_path(target["InputPath"], event))
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    variables = {name: json_path(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    variables |= {
        "aws.events.rule-name": rule_name,
        "aws.events.rule-arn": rule_arn,
        "aws.events.event.ingestion-time": event.get("time", ""),
        "aws.events.event.json": event,
        "aws.events.event": {key: value for key, value in event.items() if key != "detail"},
    }
    return _fill(transformer["InputTemplate"], variables)


def json_path(path: str, event: Any) -> Any:
    """The value at ``$.a.b[0]``; None where there is none."""
    value = event
    position = 1 if path.startswith("$") else 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            return None
        position = step.end()
        key = step[1] or step[3]
        if key is not None:
            value = value.get(key) if isinstance(value, dict) else None
        elif step[2] != "*":
            index = int(step[2])
            value = value[index] if isinstance(value, list) and index < len(value) else None
    return value


def _fill(template: str, variables: Mapping[str, Any]) -> str:
    """Inside quotes a variable is text; outside it is a JSON value. Unknown ones become nothing, as the vendor's."""

    def put(match: re.Match[str]) -> str:
        value = variables.get(match[1])
        if _is_quoted(template, match.start()):
            text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
            return json.dumps(text)[1:-1]
        return "" if value is None and match[1] not in variables else json.dumps(value)

    return _VARIABLE.sub(put, template)


def _is_quoted(template: str, position: int) -> bool:
    before = re.sub(r"\\.", "", template[:position])
    return before.count('"') % 2 == 1
