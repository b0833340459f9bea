"""Writing XML documents from plain data, every value escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Value = str | Sequence["Node"]
Node = tuple[str, Value] | tuple[str, Value, Mapping[str, str]]

_SPECIAL = re.compile(r'[&<>"\x00-\x1f\x7f\ufffe\uffff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def render(root: str, value: Value, namespace: str = "") -> bytes:
    """A UTF-8 document. A node is ``(name, text)`` or ``(name, [nodes])``, with attributes as a third item.

    Names are the program's own; texts and attribute values may be anything.
    """
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    _append(parts, (root, value, {"xmlns": namespace} if namespace else {}))
    return "".join(parts).encode("utf-8", "surrogatepass")


def _append(parts: list[str], node: Node) -> None:
    name, value = node[0], node[1]
    start = name
    if len(node) > 2:  # noqa: PLR2004
        start += "".join(f' {key}="{_escape(text)}"' for key, text in node[2].items())
    if isinstance(value, str):
        parts.append(f"<{start}>{_escape(value)}</{name}>" if value else f"<{start}/>")
        return
    parts.append(f"<{start}>")
    for child in value:
        _append(parts, child)
    parts.append(f"</{name}>")


def _escape(text: str) -> str:
    """Control characters become numeric references, as S3 sends them (it has no way to refuse such keys)."""
    return _SPECIAL.sub(_reference, text)


def _reference(match: re.Match[str]) -> str:
    found = match.group()
    return _NAMED.get(found) or f"&#x{ord(found):x};"
