"""Lists of objects.

https://cloud.google.com/storage/docs/json_api/v1/objects/list
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlparity.errors import NoSuchObjectError
from mlparity.storage.base import ObjectInfo
from mlparity.storage.gcs.buckets import page_size, read_token, write_token
from mlparity.storage.gcs.errors import invalid, not_implemented
from mlparity.storage.gcs.match_glob import compile_glob, literal_prefix
from mlparity.storage.gcs.message import Call, GcsResponse
from mlparity.storage.gcs.objects_json import object_resource, soft_delete
from mlparity.storage.listing import Span, folded

_SCANNED = 10_000  # names looked at for one page of a glob
_LAST_CHARACTER = chr(0x10FFFF)  # a page that ends with a prefix goes on after what is below it
_SEPARATOR = "\0"  # between a name and a generation in a page token


@dataclass(frozen=True)
class _Page:
    objects: Sequence[ObjectInfo]
    prefixes: Sequence[str]
    token: str  # "" where this is the last


def list_objects(call: Call) -> GcsResponse:
    """One page of objects (with ``versions=true``, of all generations) and of common prefixes."""
    query = call.request.query
    if call.flag("softDeleted"):
        raise soft_delete()
    if query.get("filter"):
        raise not_implemented("the parameter filter of object lists")
    span = Span(
        query.get("prefix", ""), query.get("delimiter", ""), query.get("startOffset", ""), query.get("endOffset", "")
    )
    token = read_token(query["pageToken"]) if query.get("pageToken") else ""
    if query.get("matchGlob"):
        page = _matching(call, span, query["matchGlob"], token)
    elif call.flag("versions"):
        page = _generations(call, span, token)
    else:
        page = _live(call, span, token)
    resource: dict[str, Any] = {"kind": "storage#objects"}
    if page.token:
        resource["nextPageToken"] = write_token(page.token)
    if page.prefixes:
        resource["prefixes"] = list(page.prefixes)
    if page.objects:
        resource["items"] = [object_resource(call.request.base, info) for info in page.objects]
    return GcsResponse(resource=resource)


def _live(call: Call, span: Span, token: str) -> _Page:
    listing = call.store.generations.list(call.request.bucket, span, start_after=token, limit=page_size(call))
    objects = listing.objects
    if span.delimiter and call.flag("includeTrailingDelimiter"):
        objects = sorted([*objects, *_named(call, listing.prefixes)], key=lambda info: info.key)
    return _Page(objects, listing.prefixes, listing.next_key or "")


def _named(call: Call, prefixes: Sequence[str]) -> Sequence[ObjectInfo]:
    """The objects whose names are just these prefixes."""
    found = []
    for prefix in prefixes:
        try:
            found.append(call.store.generations.get(call.request.bucket, prefix))
        except NoSuchObjectError:
            continue
    return found


def _generations(call: Call, span: Span, token: str) -> _Page:
    name, _, generation = token.partition(_SEPARATOR)
    after = (name, int(generation) if generation.isdecimal() else 0)
    page = call.store.generations.list_all(call.request.bucket, span, after=after, limit=page_size(call))
    return _Page(page.objects, page.prefixes, f"{page.next[0]}{_SEPARATOR}{page.next[1]}" if page.next else "")


def _matching(call: Call, span: Span, glob: str, token: str) -> _Page:
    """The objects whose names match. As GCS does, a page may be short, or empty, and more may follow."""
    if span.delimiter not in ("", "/"):
        raise invalid("matchGlob can only be used with the delimiter '/'", "parameter", "delimiter")
    if call.flag("versions"):
        raise not_implemented("matchGlob with versions=true")
    pattern, limit = compile_glob(glob), page_size(call)
    begins = literal_prefix(glob)
    narrow = begins if begins.startswith(span.prefix) else span.prefix
    flat = replace(span, prefix=narrow, delimiter="")
    objects: list[ObjectInfo] = []
    prefixes: dict[str, None] = {}
    after, scanned = token, 0
    while scanned < _SCANNED:
        listing = call.store.generations.list(call.request.bucket, flat, start_after=after, limit=1000)
        for info in listing.objects:
            fold = folded(info.key, span.prefix, span.delimiter)
            after = info.key
            if not info.key.startswith(span.prefix) or not pattern.fullmatch(info.key):
                continue
            if fold is None:
                objects.append(info)
            else:
                prefixes[fold] = None
            if len(objects) + len(prefixes) == limit:
                return _Page(objects, list(prefixes), after if fold is None else fold + _LAST_CHARACTER)
        if listing.next_key is None:
            return _Page(objects, list(prefixes), "")
        scanned += len(listing.objects)
    return _Page(objects, list(prefixes), after)
