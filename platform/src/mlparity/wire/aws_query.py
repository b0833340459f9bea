"""The AWS query protocol (IAM, STS, SNS, …): form in, XML out, both by the service's own botocore model.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

_TYPES: Mapping[str, Any] = {"integer": int, "long": int, "float": float, "double": float}


def parse_request(document: Mapping[str, Any], operation: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The request as the model's structure, with numbers and booleans converted where they are such.

    ``form`` has one value a name. What cannot be converted stays text, for the validation to refuse.
    """
    shape = document["operations"][operation].get("input")
    if shape is None:
        return {}
    value = _read(document["shapes"], shape["shape"], form, "")
    return value if isinstance(value, dict) else {}


def _read(shapes: Mapping[str, Any], name: str, form: Mapping[str, str], prefix: str) -> Any:
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        result = {}
        for member, target in shape.get("members", {}).items():
            wire = target.get("locationName", member)
            if shapes[target["shape"]].get("flattened"):
                wire = shapes[target["shape"]].get("member", {}).get("locationName", wire)
            value = _read(shapes, target["shape"], form, f"{prefix}.{wire}" if prefix else wire)
            if value is not None:
                result[member] = value
        return result if result or not prefix else None
    if kind == "list":
        return _read_list(shapes, shape, form, prefix)
    if kind == "map":
        return _read_map(shapes, shape, form, prefix)
    return _scalar(kind, form.get(prefix))


def _read_list(shapes: Mapping[str, Any], shape: Mapping[str, Any], form: Mapping[str, str], prefix: str) -> Any:
    base = prefix if shape.get("flattened") else f"{prefix}.{shape['member'].get('locationName', 'member')}"
    items: list[Any] = []
    while _present(form, f"{base}.{len(items) + 1}"):
        items.append(_read(shapes, shape["member"]["shape"], form, f"{base}.{len(items) + 1}"))
    if not items and prefix in form:  # "Name=" is how clients send an empty list
        return []
    return items or None


def _read_map(shapes: Mapping[str, Any], shape: Mapping[str, Any], form: Mapping[str, str], prefix: str) -> Any:
    base = prefix if shape.get("flattened") else f"{prefix}.entry"
    key_name = shape["key"].get("locationName", "key")
    value_name = shape["value"].get("locationName", "value")
    result: dict[str, Any] = {}
    number = 1
    while (key := form.get(f"{base}.{number}.{key_name}")) is not None:
        result[key] = _read(shapes, shape["value"]["shape"], form, f"{base}.{number}.{value_name}")
        number += 1
    return result or None


def _present(form: Mapping[str, str], prefix: str) -> bool:
    return prefix in form or any(name.startswith(f"{prefix}.") for name in form)


def _scalar(kind: str, text: str | None) -> Any:
    if text is None:
        return None
    if kind == "boolean" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if kind in _TYPES:
        try:
            return _TYPES[kind](text)
        except ValueError:
            return text
    return text


def render_response(document: Mapping[str, Any], operation: str, value: Mapping[str, Any], request_id: str) -> bytes:
    """The XML answer: ``<OpResponse><OpResult>…</OpResult><ResponseMetadata>…``."""
    output = document["operations"][operation].get("output")
    namespace = document["metadata"].get("xmlNamespace", "")
    result = ""
    if output is not None:
        wrapper = output.get("resultWrapper", f"{operation}Result")
        result = f"<{wrapper}>{_members(document['shapes'], output['shape'], value)}</{wrapper}>"
    return (
        f'<{operation}Response xmlns="{namespace}">{result}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    ).encode()


def _members(shapes: Mapping[str, Any], name: str, value: Mapping[str, Any]) -> str:
    members = shapes[name].get("members", {})
    return "".join(
        _write(shapes, members[member]["shape"], members[member].get("locationName", member), item)
        for member, item in value.items()
        if item is not None
    )


def _write(shapes: Mapping[str, Any], name: str, tag: str, value: Any) -> str:
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        return f"<{tag}>{_members(shapes, name, value)}</{tag}>"
    if kind == "list":
        flattened = shape.get("flattened", False)
        item_tag = tag if flattened else shape["member"].get("locationName", "member")
        items = "".join(_write(shapes, shape["member"]["shape"], item_tag, item) for item in value)
        return items if flattened else f"<{tag}>{items}</{tag}>"
    if kind == "map":
        key_tag, value_tag = shape["key"].get("locationName", "key"), shape["value"].get("locationName", "value")
        entries = "".join(
            f"<entry><{key_tag}>{escape(str(key))}</{key_tag}>"
            f"{_write(shapes, shape['value']['shape'], value_tag, item)}</entry>"
            for key, item in value.items()
        )
        return f"<{tag}>{entries}</{tag}>"
    return f"<{tag}>{escape(_text(value))}</{tag}>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def render_error(namespace: str, code: str, message: str, request_id: str, *, fault: str = "Sender") -> bytes:
    """The XML error; ``fault`` is "Sender" or "Receiver"."""
    return (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{fault}</Type><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()
