"""Preconditions on generations, metagenerations and entity tags.

https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace

from mlparity.errors import NoSuchObjectError
from mlparity.storage.base import ObjectInfo
from mlparity.storage.bucketstore import Condition
from mlparity.storage.gcs.errors import GcsError, condition_not_met
from mlparity.storage.gcs.message import Call
from mlparity.wire.timestamps import read_http_date

_IMPOSSIBLE = -1  # no object has this generation
_CONTINUED = 0x80


def etag_of(generation: int, metageneration: int) -> str:
    """An object's entity tag in the JSON API: both numbers, as GCS packs them."""
    return base64.b64encode(b"\x08" + _varint(generation) + b"\x10" + _varint(metageneration)).decode()


def condition_of(call: Call, prefix: str = "if") -> Condition:
    """The preconditions of a request. ``prefix`` is "ifSource" for those on a copy's source."""
    condition = Condition(
        generation=call.number(f"{prefix}GenerationMatch"),
        generation_not=call.number(f"{prefix}GenerationNotMatch"),
        metageneration=call.number(f"{prefix}MetagenerationMatch"),
        metageneration_not=call.number(f"{prefix}MetagenerationNotMatch"),
    )
    if prefix != "if":
        return condition
    return _with_headers(call, condition)


def xml_condition_of(call: Call) -> Condition:
    """The preconditions of a request of the XML API."""
    headers = call.request.headers

    def number(name: str) -> int | None:
        text = headers.get(name, "")
        return int(text) if text.isdecimal() else None

    condition = Condition(
        generation=number("x-goog-if-generation-match"), metageneration=number("x-goog-if-metageneration-match")
    )
    given = headers.get("if-match", "").strip('"')
    return replace(condition, if_match=given) if given else condition


def check(condition: Condition, info: ObjectInfo | None) -> None:
    """Raise 412 unless the condition holds for an object that is (or is not) there."""
    generation = info.sequence if info is not None else 0
    metageneration = info.metageneration if info is not None else None
    if (
        condition.generation not in (None, generation)
        or condition.generation_not == generation
        or condition.metageneration not in (None, metageneration)
        or (condition.metageneration_not is not None and condition.metageneration_not == metageneration)
    ):
        raise condition_not_met()


def check_now(call: Call, name: str, condition: Condition) -> None:
    """Raise 412 rather now than after the bytes have come; the write itself checks again."""
    if condition == Condition():
        return
    try:
        current = call.store.generations.get(call.request.bucket, name)
    except NoSuchObjectError:
        current = None
    check(condition, current)


def check_read(call: Call, info: ObjectInfo) -> None:
    """Raise 412, or 304 where the client has the object already."""
    unwanted_tag = call.request.headers.get("if-none-match", "").strip()
    if unwanted_tag in ("*", etag_of(info.sequence, info.metageneration)):
        raise _not_modified(info)
    condition = condition_of(call)
    for wanted, actual in ((condition.generation, info.sequence), (condition.metageneration, info.metageneration)):
        if wanted not in (None, actual):
            raise condition_not_met()
    for unwanted, actual in (
        (condition.generation_not, info.sequence),
        (condition.metageneration_not, info.metageneration),
    ):
        if unwanted == actual:
            raise _not_modified(info)


def check_xml_read(call: Call, info: ObjectInfo, etag: str) -> None:
    """The same for the XML API, whose entity tags are MD5s and which has dates too (RFC 9110 section 13)."""
    headers = call.request.headers
    condition = xml_condition_of(call)
    check(replace(condition, if_match=""), info)
    modified = info.created_at.replace(microsecond=0)
    if condition.if_match not in ("", "*", etag):
        raise condition_not_met()
    since = read_http_date(headers.get("if-unmodified-since"))
    if not condition.if_match and since is not None and modified > since:
        raise condition_not_met()
    if "if-none-match" in headers:
        if headers["if-none-match"].strip('"') in ("*", etag):
            raise _not_modified(info)
        return
    since = read_http_date(headers.get("if-modified-since"))
    if since is not None and modified <= since:
        raise _not_modified(info)


def _with_headers(call: Call, condition: Condition) -> Condition:
    """If-Match and If-None-Match: an entity tag names a generation and a metageneration."""
    headers = call.request.headers
    if "if-match" in headers and headers["if-match"].strip() != "*":
        generation, metageneration = _read_etag(headers["if-match"])
        condition = replace(condition, generation=generation, metageneration=metageneration)
    if headers.get("if-none-match", "").strip() == "*":
        return replace(condition, generation=0)
    return condition


def _read_etag(text: str) -> tuple[int, int]:
    try:
        raw = base64.b64decode(text.strip().removeprefix("W/").strip('"'), validate=True)
        if raw[:1] != b"\x08":
            return _IMPOSSIBLE, _IMPOSSIBLE
        generation, rest = _read_varint(raw[1:])
        if rest[:1] != b"\x10":
            return _IMPOSSIBLE, _IMPOSSIBLE
        return generation, _read_varint(rest[1:])[0]
    except (binascii.Error, ValueError, IndexError):
        return _IMPOSSIBLE, _IMPOSSIBLE


def _not_modified(info: ObjectInfo) -> GcsError:
    headers = {"etag": etag_of(info.sequence, info.metageneration)}
    return GcsError(304, "notModified", "Not Modified", headers=headers)


def _varint(value: int) -> bytes:
    if value < _CONTINUED:
        return bytes((value,))
    out = bytearray()
    while value >= _CONTINUED:
        out.append(value & 0x7F | _CONTINUED)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(raw: bytes) -> tuple[int, bytes]:
    value = shift = index = 0
    while raw[index] & _CONTINUED:
        value |= (raw[index] & 0x7F) << shift
        shift += 7
        index += 1
    return value | raw[index] << shift, raw[index + 1 :]
