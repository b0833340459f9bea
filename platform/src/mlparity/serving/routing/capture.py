"""Data capture in the router: answered requests become lines of spool files, written in batches by one thread.

A spool file is one object to be: its first line (JSON) says where it goes, the rest are records. It is called
``….open`` while it is written and ``….jsonl`` when it is closed; ``capture_upload`` takes it from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import BinaryIO
from uuid import UUID

import orjson

from mlparity.clock import Clock
from mlparity.serving.endpoints.plans import CapturePlan
from mlparity.serving.routing.invocation import Headers, Invocation

_LOG = logging.getLogger(__name__)
OPEN, CLOSED = ".open", ".jsonl"
_BATCH_SECONDS = 0.2  # records wait so long to be written together
_OK, _REDIRECT = 200, 300
_RECORD_OVERHEAD = 200  # bytes of a record beside its data


@dataclass(frozen=True)
class SpoolSettings:
    """Where the spool is and how it goes."""

    folder: Path
    seconds: float = 5.0  # until a file is closed and can be uploaded
    file_bytes: int = 8 << 20  # a file is closed when it is larger
    buffer_bytes: int = 64 << 20  # of records not yet written; more are dropped, and counted
    free_bytes: int = 256 << 20  # left on the disk: below, nothing is captured


@dataclass(frozen=True, slots=True)
class Captured:
    """One request and its answer."""

    endpoint: str
    variant: str
    plan: CapturePlan
    at: datetime
    event_id: str
    input_type: str
    input: bytes
    output_type: str
    output: bytes
    custom_attributes: str
    inference_id: str


@dataclass(frozen=True)
class SpoolTarget:
    """What a spool file's first line says."""

    endpoint: str  # "sagemaker/flights"
    variant: str
    destination: str  # s3://bucket/prefix
    opened: str  # ISO 8601, UTC
    id: str  # a UUID: with ``opened`` the object's name


class CaptureSpool:
    """The ``Capture`` of the dispatcher. ``line`` writes a record in the vendor's layout."""

    def __init__(
        self,
        settings: SpoolSettings,
        line: Callable[[Captured], bytes],
        closed: Callable[[Path], None],
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        random: Random,
    ) -> None:
        self.dropped = 0  # records
        self._settings = settings
        self._clock = clock
        self._random = random
        self._loop = loop
        self._closed = closed

        def tell(path: Path) -> None:
            loop.call_soon_threadsafe(closed, path)

        self._files = _Files(settings, line, tell, clock, random)
        self._thread = ThreadPoolExecutor(1, "capture")
        self._buffer: list[Captured] = []
        self._buffered = 0  # bytes
        self._batch: asyncio.TimerHandle | None = None
        self._rotation: asyncio.TimerHandle | None = None

    def recover(self) -> None:
        """Close what a router that died left open. Before the first record."""
        for path in close_left_open(self._settings.folder):
            self._closed(path)

    def note(self, invocation: Invocation, status: int, headers: Headers, body: bytes) -> None:
        """Keep a request that the model answered with success."""
        plan = invocation.capture
        if plan is None or not _OK <= status < _REDIRECT:
            return
        size = len(invocation.body) + len(body) + _RECORD_OVERHEAD
        if self._buffered + size > self._settings.buffer_bytes:
            self.dropped += 1
            return
        self._buffered += size
        output_type = next((value for name, value in headers if name == b"content-type"), b"")
        self._buffer.append(
            Captured(
                invocation.endpoint,
                invocation.variant,
                plan,
                self._clock.now(),
                _uuid(self._random),
                invocation.content_type,
                invocation.body,
                output_type.decode("latin-1"),
                body,
                invocation.custom_attributes,
                invocation.inference_id,
            )
        )
        if self._batch is None:
            self._batch = self._loop.call_later(_BATCH_SECONDS, self._write)
        if self._rotation is None:
            self._rotation = self._loop.call_later(self._settings.seconds, self._rotate)

    async def flush(self, endpoint: str = "") -> None:
        """Write everything, and close the files (of one endpoint, or all)."""
        self._write()
        await self._loop.run_in_executor(self._thread, self._files.close, endpoint)

    async def close(self) -> None:
        """Write everything and end the thread."""
        await self.flush()
        for timer in (self._batch, self._rotation):
            if timer is not None:
                timer.cancel()
        self._thread.shutdown()

    def _write(self) -> None:
        self._batch = None
        batch, self._buffer = self._buffer, []
        size, self._buffered = self._buffered, 0
        if batch:
            self._buffered = size  # until they are written

            def written(_: object) -> None:
                self._buffered -= size

            self._loop.run_in_executor(self._thread, self._files.write, batch).add_done_callback(written)

    def _rotate(self) -> None:
        self._rotation = None
        self._write()
        self._loop.run_in_executor(self._thread, self._files.close, "")


@dataclass
class _File:
    path: Path
    stream: BinaryIO
    opened: datetime
    size: int = 0


class _Files:
    """The open files. One thread only."""

    def __init__(
        self,
        settings: SpoolSettings,
        line: Callable[[Captured], bytes],
        closed: Callable[[Path], None],
        clock: Clock,
        random: Random,
    ) -> None:
        self._settings = settings
        self._line = line
        self._closed = closed
        self._clock = clock
        self._random = random
        self._open: dict[tuple[str, str, str], _File] = {}

    def write(self, batch: list[Captured]) -> None:
        try:
            if shutil.disk_usage(self._settings.folder).free < self._settings.free_bytes:
                _LOG.warning("the disk is nearly full: %d requests were not captured", len(batch))
                return
            grouped: dict[tuple[str, str, str], list[Captured]] = {}
            for item in batch:
                grouped.setdefault((item.endpoint, item.variant, item.plan.destination), []).append(item)
            for key, items in grouped.items():
                self._append(key, items)
        except OSError as error:
            _LOG.warning("%d requests were not captured: %s", len(batch), error)

    def close(self, endpoint: str) -> None:
        """Close the files of ``endpoint``; all of them where it is ""."""
        for key in [key for key in self._open if not endpoint or key[0] == endpoint]:
            self._close(key)

    def _append(self, key: tuple[str, str, str], items: list[Captured]) -> None:
        found = self._open.get(key)
        # The hour is part of an object's key, and monitors read by the hour.
        if found is not None and (found.size > self._settings.file_bytes or found.opened.hour != items[0].at.hour):
            self._close(key)
            found = None
        if found is None:
            found = self._open[key] = self._new(key, items[0].at)
        data = b"".join(map(self._line, items))
        found.stream.write(data)
        found.stream.flush()
        found.size += len(data)

    def _new(self, key: tuple[str, str, str], at: datetime) -> _File:
        target = SpoolTarget(*key, at.isoformat(), _uuid(self._random))
        path = self._settings.folder / f"{at:%Y%m%dT%H%M%S%f}-{target.id}{OPEN}"
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        stream = path.open("xb")
        stream.write(orjson.dumps(asdict(target)) + b"\n")
        return _File(path, stream, at)

    def _close(self, key: tuple[str, str, str]) -> None:
        file = self._open.pop(key)
        with contextlib.suppress(OSError):
            file.stream.close()
            closed = file.path.with_suffix(CLOSED)
            file.path.rename(closed)
            self._closed(closed)


def close_left_open(folder: Path) -> list[Path]:
    """Close the files of a router that is gone; while none writes there."""
    folder.mkdir(parents=True, exist_ok=True)
    return [path.rename(path.with_suffix(CLOSED)) for path in sorted(folder.glob(f"*{OPEN}"))]


def _uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))
