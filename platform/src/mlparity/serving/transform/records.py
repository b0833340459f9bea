"""Files as mini-batches of records: SplitType, BatchStrategy and MaxPayloadInMB.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mlparity.serving.transform.errors import DataError

_MB = 1024 * 1024


@dataclass(frozen=True)
class Batch:
    """The records of one request: the original ones and the request's body."""

    records: Sequence[bytes]
    body: bytes


@dataclass(frozen=True)
class Batching:
    """How records become requests. ``prepare`` makes what the model sees of a record (the input filter)."""

    split_lines: bool
    multi_record: bool
    max_bytes: int  # 0: no limit
    prepare: Callable[[bytes], bytes]


def limit_of(megabytes: int) -> int:
    """MaxPayloadInMB in bytes."""
    return megabytes * _MB


def batches(path: Path, *, compressed: bool, rules: Batching) -> Iterator[Batch]:
    """The requests that a file makes, in its order. Raises ``DataError`` where a record exceeds the limit."""
    try:
        with gzip.open(path) if compressed else path.open("rb") as stream:
            yield from _batches(cast("BinaryIO", stream), rules)
    except (gzip.BadGzipFile, EOFError) as error:
        raise DataError(f"ClientError: the object is not gzip-compressed: {error}") from error


def _batches(stream: BinaryIO, rules: Batching) -> Iterator[Batch]:
    if not rules.split_lines:
        content = stream.read()
        body = rules.prepare(content)
        _check(body, rules)
        yield Batch([content], body)
    elif rules.multi_record:
        yield from _filled(_lines(stream), rules)
    else:
        for line in _lines(stream):
            body = rules.prepare(line)
            _check(body, rules)
            yield Batch([line], body)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Without their ends; lines that hold nothing are no records."""
    for line in stream:
        plain = line.rstrip(b"\r\n")
        if plain:
            yield plain


def _filled(lines: Iterable[bytes], rules: Batching) -> Iterator[Batch]:
    """As many records a request as fit, each with its newline."""
    records: list[bytes] = []
    parts: list[bytes] = []
    size = 0
    for line in lines:
        part = rules.prepare(line) + b"\n"
        _check(part, rules)
        if records and rules.max_bytes and size + len(part) > rules.max_bytes:
            yield Batch(records, b"".join(parts))
            records, parts, size = [], [], 0
        records.append(line)
        parts.append(part)
        size += len(part)
    if records:
        yield Batch(records, b"".join(parts))


def _check(body: bytes, rules: Batching) -> None:
    if rules.max_bytes and len(body) > rules.max_bytes:
        raise DataError(
            f"ClientError: the payload of a record ({len(body)} bytes) exceeds MaxPayloadInMB "
            f"({rules.max_bytes // _MB} MB)"
        )
