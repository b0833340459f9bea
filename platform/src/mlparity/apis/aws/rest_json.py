"""Requests of the REST-JSON protocol: method and path say the operation, path, query and body hold its members.

https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from mlparity.apis.aws.message import AwsRequest


def operation_of(document: Mapping[str, Any], request: AwsRequest) -> str | None:
    """The operation that method and path stand for in a service's model; None where there is none."""
    for name, operation in document["operations"].items():
        http = operation["http"]
        if http["method"] == request.method and _labels(http["requestUri"], request.path) is not None:
            return str(name)
    return None


def parse_request(document: Mapping[str, Any], operation: str, request: AwsRequest) -> dict[str, Any]:
    """The members of the operation's input, still to be validated. Raises ``AwsError`` for a body that is no JSON."""
    described = document["operations"][operation]
    shape = described.get("input")
    if shape is None:
        return {}
    members: Mapping[str, Any] = document["shapes"][shape["shape"]].get("members", {})
    labels = _labels(described["http"]["requestUri"], request.path) or {}
    query = parse_qs(request.query, keep_blank_values=True)
    body = request.json_body() if request.body else {}
    found: dict[str, Any] = {}
    for name, member in members.items():
        wire = member.get("locationName", name)
        match member.get("location"):
            case "uri":
                found[name] = labels.get(wire)
            case "querystring" if wire in query:
                found[name] = _from_query(document["shapes"][member["shape"]], query[wire])
            case None if wire in body:
                found[name] = body[wire]
    return found


def _labels(template: str, path: str) -> dict[str, str] | None:
    wanted = template.partition("?")[0].split("/")
    given = path.split("/")
    if len(wanted) != len(given):
        return None
    labels = {}
    for part, value in zip(wanted, given, strict=True):
        if part.startswith("{"):
            if not value:
                return None
            labels[part.strip("{}+")] = unquote(value)
        elif part != value:
            return None
    return labels


def _from_query(shape: Mapping[str, Any], values: list[str]) -> Any:
    if shape["type"] == "list":
        return values
    text = values[0]
    if shape["type"] in {"integer", "long"}:
        return int(text) if text.removeprefix("-").isdecimal() else text
    if shape["type"] == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
