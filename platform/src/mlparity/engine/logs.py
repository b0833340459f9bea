"""The logs of jobs: one plain file a stream, written by the job's own process, read here.

Standard output and error go straight to the file, so nothing of ours is between a job and its log. Log services
want a time for every line; beside each file an index says until which byte the file had been written at which
time. It is extended whenever somebody looks (``index``), never rewritten, so a line's time does not change.

Layout: ``<root>/<group>/<first part of the stream>/<rest>.log`` and ``.idx``; names are percent-encoded.
"""

from __future__ import annotations

import os
import shutil
import struct
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from mlparity.clock import Clock
from mlparity.engine.jobs import LogStream
from mlparity.errors import InvalidRequestError, NotFoundError

MAX_LINE = 256 * 1024  # bytes; longer lines are shown in pieces
_RECORD = struct.Struct("<QQ")  # end of the written part in bytes, time in milliseconds
_LONGEST_NAME = 240  # file systems take 255 bytes, the suffix included
_BLOCK = 64 * 1024
_MARKER = ".created"  # in a group's folder: when it came to be; no encoded name begins with a dot
_STALE = 5_000  # milliseconds of silence after which a line without a newline is shown as it is
_FORGET_AFTER = 3_600_000  # milliseconds of silence after which a stream is dated on reading only
# Percent-encoding never makes these two.
_NO_REST = "%"  # the file of a stream without a slash in its name
_EMPTY = "%_"  # an empty part, as before the slash of "/x"


@dataclass(frozen=True)
class LogLine:
    """One line: ``start`` and ``end`` are its byte range (the newline included), ``at`` milliseconds since 1970."""

    start: int
    end: int
    at: int
    text: str


@dataclass(frozen=True)
class StreamInfo:
    """A stream; ``first`` and ``last`` are its lines' times, None while it has none."""

    group: str
    stream: str
    created: int
    first: int | None
    last: int | None
    size: int  # bytes of whole lines


@dataclass(frozen=True)
class ByteRange:
    """A half-open range of a stream's bytes; both ends are line boundaries."""

    start: int
    end: int


class JobLogs(Protocol):
    """What a vendor's log service needs to know about the logs of jobs."""

    def groups(self) -> Sequence[tuple[str, int]]:
        """Every group with the time it came to be, in milliseconds, by name."""
        ...

    def streams(self, group: str, prefix: str = "") -> Sequence[StreamInfo]:
        """The group's streams whose name starts with ``prefix``, by name. Empty where the group does not exist."""
        ...

    def stream(self, group: str, stream: str) -> StreamInfo:
        """One stream. Raises ``NotFoundError``."""
        ...

    def span(self, group: str, stream: str, start: int | None = None, end: int | None = None) -> ByteRange:
        """The bytes written at or after ``start`` and before ``end`` (milliseconds). Raises ``NotFoundError``."""
        ...

    def forward(self, group: str, stream: str, span: ByteRange) -> Iterator[LogLine]:
        """The lines of ``span``, first to last."""
        ...

    def backward(self, group: str, stream: str, span: ByteRange) -> Iterator[LogLine]:
        """The lines of ``span``, last to first."""
        ...


class JobLogStore:
    """``JobLogs`` over files. One process owns ``root``; any thread may call."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[Path, None] = {}

    def create(self, log: LogStream) -> Path:
        """Make the stream (idempotent) and return the file that the process is to append to.

        Raises ``InvalidRequestError`` for a name that is too long for a file.
        """
        path = self._path(log.group, log.stream)
        if max(len(part) for part in path.with_suffix("").relative_to(self._root).parts) > _LONGEST_NAME:
            raise InvalidRequestError("the log stream's name is too long", log.stream)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            path.touch()
            marker = self._root / _encoded(log.group) / _MARKER
            if not marker.exists():
                marker.write_text(str(self._now()))
            index = path.with_suffix(".idx")
            if not index.exists():
                index.write_bytes(_RECORD.pack(0, self._now()))
            self._open[path] = None
        return path

    def append(self, log: LogStream, text: str) -> None:
        """Add whole lines of our own, as where a job could not even start."""
        path = self.create(log)
        with path.open("a+b") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            begun = file.read(1) not in {b"", b"\n"}
            file.write(f"{chr(10) if begun else ''}{text.removesuffix(chr(10))}\n".encode())
        self._index(path)

    def index(self) -> None:
        """Date what the open streams have written since the last call. Call it about once a second."""
        with self._lock:
            paths = list(self._open)
        for path in paths:
            try:
                self._index(path)
                idle = self._now() - int(path.stat().st_mtime * 1000) > _FORGET_AFTER
            except FileNotFoundError:
                idle = True
            if idle:
                self._forget(path)

    def finish(self, log: LogStream) -> None:
        """The process has ended: its last line counts also without a newline. Idempotent."""
        path = self._path(log.group, log.stream)
        if path.is_file():
            self._index(path, finished=True)
        self._forget(path)

    def delete(self, group: str, stream: str | None = None) -> None:
        """Delete a stream, or the whole group. Raises ``NotFoundError``."""
        if stream is None:
            folder = self._root / _encoded(group)
            if not folder.is_dir():
                raise NotFoundError("The specified log group does not exist.")
            shutil.rmtree(folder)
            return
        path = self._existing(group, stream)
        path.unlink()
        path.with_suffix(".idx").unlink(missing_ok=True)

    def groups(self) -> Sequence[tuple[str, int]]:
        """Every group with the time it came to be, in milliseconds, by name."""
        if not self._root.is_dir():
            return []
        markers = self._root.glob(f"*/{_MARKER}")
        return sorted((_decoded(marker.parent.name), int(marker.read_text() or 0)) for marker in markers)

    def streams(self, group: str, prefix: str = "") -> Sequence[StreamInfo]:
        """The group's streams whose name starts with ``prefix``, by name."""
        folder = self._root / _encoded(group)
        head, slash, _ = prefix.partition("/")
        # A prefix that holds the whole first part names one folder: the cost does not grow with other jobs.
        folders = [folder / _encoded(head)] if slash else sorted(folder.glob("*/"))
        names = (
            _decoded(path.parent.name)
            if path.stem == _NO_REST
            else f"{_decoded(path.parent.name)}/{_decoded(path.stem)}"
            for each in folders
            for path in each.glob("*.log")
        )
        return [self.stream(group, name) for name in sorted(names) if name.startswith(prefix)]

    def stream(self, group: str, stream: str) -> StreamInfo:
        """One stream. Raises ``NotFoundError``."""
        path = self._existing(group, stream)
        records = self._index(path)
        written = len(records) > 1
        return StreamInfo(
            group,
            stream,
            created=records[0][1],
            first=records[1][1] if written else None,
            last=records[-1][1] if written else None,
            size=records[-1][0],
        )

    def span(self, group: str, stream: str, start: int | None = None, end: int | None = None) -> ByteRange:
        """The bytes written at or after ``start`` and before ``end`` (milliseconds)."""
        records = self._index(self._existing(group, stream))
        times = [at for _, at in records[1:]]
        first = 0 if start is None else records[bisect_left(times, start)][0]
        last = records[-1][0] if end is None else records[bisect_left(times, end)][0]
        return ByteRange(first, max(first, last))

    def forward(self, group: str, stream: str, span: ByteRange) -> Iterator[LogLine]:
        """The lines of ``span``, first to last."""
        path = self._existing(group, stream)
        dates = _Dates(self._index(path))
        with path.open("rb") as file:
            file.seek(span.start)
            at = span.start
            while at < span.end:
                line = file.readline(min(MAX_LINE, span.end - at, dates.end_after(at) - at))
                if not line:
                    return
                yield LogLine(at, at + len(line), dates.of(at + len(line)), _text(line))
                at += len(line)

    def backward(self, group: str, stream: str, span: ByteRange) -> Iterator[LogLine]:
        """The lines of ``span``, last to first."""
        path = self._existing(group, stream)
        dates = _Dates(self._index(path))
        with path.open("rb") as file:
            end = span.end
            while end > span.start:
                start = _line_start(file.fileno(), end, max(span.start, dates.end_before(end)))
                # A long line is cut from its beginning, as ``forward`` does, so that both see the same pieces.
                cuts = [*range(start, end, MAX_LINE), end]
                for left, right in reversed(list(pairwise(cuts))):
                    text = _text(os.pread(file.fileno(), right - left, left))
                    yield LogLine(left, right, dates.of(right), text)
                end = start

    def _index(self, path: Path, *, finished: bool = False) -> list[tuple[int, int]]:
        """Bring the index up to date and return it: the first record is the stream's creation."""
        index = path.with_suffix(".idx")
        with self._lock:
            raw = index.read_bytes() if index.exists() else b""
            whole = len(raw) - len(raw) % _RECORD.size  # a torn last record is from a crash
            records = [_RECORD.unpack_from(raw, offset) for offset in range(0, whole, _RECORD.size)]
            status = path.stat()
            records = records or [(0, min(self._now(), int(status.st_mtime * 1000)))]
            if finished or self._now() - int(status.st_mtime * 1000) > _STALE:
                end = status.st_size
            else:
                end = self._whole_lines(path, records[-1][0], status.st_size)
            fresh = end > records[-1][0]
            if fresh:
                written = min(self._now(), int(status.st_mtime * 1000))
                records.append((end, max(written, records[-1][1])))
            if fresh or len(raw) != len(records) * _RECORD.size:
                with index.open("r+b" if index.exists() else "wb") as file:
                    file.truncate(whole)
                    file.seek(whole)
                    file.write(b"".join(_RECORD.pack(*record) for record in records[whole // _RECORD.size :]))
        return records

    @staticmethod
    def _whole_lines(path: Path, start: int, end: int) -> int:
        with path.open("rb") as file:
            return _line_start(file.fileno(), end, start, whole=True)

    def _existing(self, group: str, stream: str) -> Path:
        path = self._path(group, stream)
        if not path.is_file():
            raise NotFoundError("The specified log stream does not exist.")
        return path

    def _path(self, group: str, stream: str) -> Path:
        head, slash, rest = stream.partition("/")
        return self._root / _encoded(group) / _encoded(head) / f"{_encoded(rest) if slash else _NO_REST}.log"

    def _forget(self, path: Path) -> None:
        with self._lock:
            self._open.pop(path, None)

    def _now(self) -> int:
        return milliseconds(self._clock.now())


class _Dates:
    """The time of a byte position, by bisection. What was dated apart is shown apart: a line never grows."""

    def __init__(self, records: Sequence[tuple[int, int]]) -> None:
        self._ends = [end for end, _ in records]
        self._times = [at for _, at in records]

    def of(self, end: int) -> int:
        """When the line that ends at ``end`` had been written."""
        return self._times[min(bisect_left(self._ends, end), len(self._times) - 1)]

    def end_after(self, position: int) -> int:
        """Where the part that holds ``position`` ends."""
        return self._ends[min(bisect_right(self._ends, position), len(self._ends) - 1)]

    def end_before(self, position: int) -> int:
        """Where the part that ends at or holds ``position`` begins."""
        return self._ends[max(bisect_left(self._ends, position) - 1, 0)]


def milliseconds(at: datetime) -> int:
    """Milliseconds since 1970, the unit of every log time."""
    return int(at.timestamp() * 1000)


def _line_start(file: int, end: int, floor: int, *, whole: bool = False) -> int:
    """Where the line that ends at ``end`` begins, not before ``floor``; with ``whole``, after the last newline."""
    position = end if whole else end - 1  # the line's own newline is not its beginning
    while position > floor:
        left = max(floor, position - _BLOCK)
        found = os.pread(file, position - left, left).rfind(b"\n")
        if found >= 0:
            return left + found + 1
        position = left
    return floor


def _text(line: bytes) -> str:
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "replace")


def _encoded(name: str) -> str:
    """A file name for any text: percent-encoded, dots included, and too long for ``create`` where it is cut."""
    return quote(name, safe="").replace(".", "%2E")[: _LONGEST_NAME + 1] or _EMPTY


def _decoded(name: str) -> str:
    return "" if name == _EMPTY else unquote(name)
