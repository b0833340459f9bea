"""Conditional and range requests on objects.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-reads.html, RFC 9110 sections 13 and 14
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from mlparity.errors import InvalidRangeError
from mlparity.storage.base import ObjectInfo
from mlparity.storage.s3.errors import S3Error
from mlparity.storage.s3.message import S3Request, unquoted
from mlparity.wire import ranges
from mlparity.wire.ranges import Window
from mlparity.wire.timestamps import read_http_date


def check_read(info: ObjectInfo, headers: Mapping[str, str], prefix: str = "") -> bool:
    """Whether to send the object; False means 304 Not Modified. Raises ``PreconditionFailed``.

    ``prefix`` is "x-amz-copy-source-" for the conditions on a copy's source.
    """
    modified = info.created_at.replace(microsecond=0)
    if_match = headers.get(f"{prefix}if-match")
    if if_match is not None:
        if not _matches(info.etag, if_match):
            raise S3Error("PreconditionFailed", fields={"Condition": "If-Match"})
    else:
        since = read_http_date(headers.get(f"{prefix}if-unmodified-since"))
        if since is not None and modified > since:
            raise S3Error("PreconditionFailed", fields={"Condition": "If-Unmodified-Since"})
    if_none_match = headers.get(f"{prefix}if-none-match")
    if if_none_match is not None:
        return not _matches(info.etag, if_none_match)
    since = read_http_date(headers.get(f"{prefix}if-modified-since"))
    return since is None or modified > since


def window(info: ObjectInfo, request: S3Request) -> Window:
    """The part of the object that Range or partNumber asks for."""
    wanted = request.headers.get("range", "")
    if "partNumber" in request.query:
        if wanted:
            raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
        return _part(info, request.query["partNumber"])
    return parse_range(wanted, info.size) or Window(0, info.size, partial=False)


def parse_range(text: str, size: int) -> Window | None:
    """The window of a Range header; None where it is to be ignored. Raises S3's ``InvalidRange``."""
    try:
        return ranges.parse_range(text, size)
    except InvalidRangeError:
        raise S3Error("InvalidRange", fields={"RangeRequested": text, "ActualObjectSize": str(size)}) from None


def _part(info: ObjectInfo, text: str) -> Window:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:  # noqa: PLR2004 - S3's bounds for part numbers
        raise S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    sizes = info.part_sizes or (info.size,)
    number = int(text)
    if number > len(sizes):
        raise S3Error("InvalidPartNumber", fields={"PartNumberRequested": text, "ActualPartCount": str(len(sizes))})
    start = [0, *accumulate(sizes)][number - 1]
    return Window(start, sizes[number - 1], partial=True)


def _matches(etag: str, header: str) -> bool:
    return any(candidate.strip() == "*" or unquoted(candidate) == etag for candidate in header.split(","))
