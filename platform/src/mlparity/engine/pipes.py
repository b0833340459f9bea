"""Inputs as named pipes: SageMaker's Pipe mode. One FIFO an epoch, fed from the object store while the job runs.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html, "Training Data"

The FIFO of input ``/opt/ml/input/data/train`` and epoch 0 is ``/opt/ml/input/data/train_0``; ``train_1`` is made as
soon as a reader has opened ``train_0``, and ``train_0`` goes when its epoch is over: the reader has all of it, or has
closed it early. There are as many epochs as the job opens.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import itertools
import logging
import os
import random
import select
import stat
import struct
import sys
import threading
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Self

from mlparity.engine.jobs import JobInput
from mlparity.engine.workspace import Workspace, nothing_found, objects
from mlparity.errors import EngineError, MlparityError
from mlparity.storage.base import ObjectInfo, ObjectStore

_LOG = logging.getLogger(__name__)
_BLOCK = 64 * 1024  # bytes: what a pipe holds
_FIRST_LOOK, _LAST_LOOK = 0.005, 0.1  # seconds between looks whether the job has opened a pipe, more and more
_RECORD_MAGIC = 0xCED7230A
_RECORD_LIMIT = 2**29 - 1  # bytes: the length has 29 bits, the other three are for records in parts


class PipeFeeds:
    """The pipes of all instances of a job; they are fed while the ``with`` block runs, and gone after it.

    ``wake`` is set where an input cannot be read to its end. Its pipe then stays open without an end, so that the
    program never takes half the data for all of it; ``failure`` says why. Entering raises ``MlparityError`` or
    ``OSError`` where the first pipe of an input cannot be made.
    """

    def __init__(
        self, store: ObjectStore, inputs: Sequence[JobInput], workspaces: Sequence[Workspace], wake: threading.Event
    ) -> None:
        self._store = store
        self._wanted = [(wanted, workspace) for wanted in inputs if wanted.stream for workspace in workspaces]
        self._wake = wake
        self._feeds: list[_Feed] = []

    def __enter__(self) -> Self:
        if self._wanted and sys.platform != "linux":
            raise EngineError("inputs cannot be streamed", "a job sees this process's named pipes on Linux only")
        try:
            for wanted, workspace in self._wanted:
                self._feeds.append(_Feed(self._store, wanted, workspace, self._wake))
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def failure(self) -> str:
        """Why an input could not be read to its end; "" where all is well."""
        return next((feed.failure for feed in self._feeds if feed.failure), "")

    def _close(self) -> None:
        for feed in self._feeds:
            feed.stop()
        for feed in self._feeds:
            feed.join()


@dataclass(frozen=True)
class _Fifo:
    """``inode`` is a descriptor of the FIFO itself: what a job does to its name leads this process nowhere else."""

    name: str
    inode: int

    @property
    def path(self) -> str:
        """Opens this FIFO and nothing else."""
        return f"/proc/self/fd/{self.inode}"


class _StoppedError(Exception):
    """The job is over."""


class _Feed:
    """One input of one instance: a thread that waits until the job opens the pipe, and writes."""

    def __init__(self, store: ObjectStore, wanted: JobInput, workspace: Workspace, wake: threading.Event) -> None:
        self.failure = ""
        self._store = store
        self._wanted = wanted
        self._workspace = workspace
        self._wake = wake
        self._stopping = threading.Event()
        folder = workspace.outside(str(PurePosixPath(wanted.path).parent))
        with contextlib.ExitStack() as opened:
            self._folder = _owned(opened, os.open(folder, os.O_DIRECTORY | os.O_NOFOLLOW))
            self._stopped = _owned(opened, os.eventfd(0))  # readable once stopped: wakes a ``poll``
            self._fifo = self._make(0)  # the one to be opened next
            self._descriptors = opened.pop_all()
        self._thread = threading.Thread(target=self._run, name=f"pipe-{wanted.name[:16]}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread wherever it waits. ``join`` must follow."""
        self._stopping.set()
        os.eventfd_write(self._stopped, 1)

    def join(self) -> None:
        """Wait until the thread has ended, and leave nothing behind."""
        self._thread.join()
        self._remove(self._fifo)
        self._descriptors.close()

    def _run(self) -> None:
        try:
            for epoch in itertools.count():
                self._feed(epoch)
        except _StoppedError:
            pass

    def _feed(self, epoch: int) -> None:
        fifo = self._fifo
        with contextlib.ExitStack() as opened:
            try:
                pipe = _owned(opened, self._opened(fifo))
                self._fifo = self._make(epoch + 1)  # before this one ends: its reader need not look for it twice
                self._write_objects(pipe, epoch)
            except BrokenPipeError:
                pass  # the job has had enough of this epoch
            except _StoppedError:
                raise
            except Exception as error:  # noqa: BLE001 - a thread that dies would end the pipe as if all were read
                self._fail(error)
            finally:
                if fifo is not self._fifo:
                    self._remove(fifo)  # before its end is seen

    def _opened(self, fifo: _Fifo) -> int:
        """The pipe's writing end, once the job reads. An ``open`` that blocks could not be ended in every case."""
        pause = _FIRST_LOOK
        while not self._stopping.wait(pause):
            try:
                return os.open(fifo.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads it
                    raise
            pause = min(2 * pause, _LAST_LOOK)
        raise _StoppedError

    def _share(self, epoch: int) -> Iterator[ObjectInfo]:
        """This instance's objects in the epoch's order."""
        found: Iterator[ObjectInfo] = (info for info, _ in objects(self._store, self._wanted))
        if self._wanted.shuffle_seed is not None:
            shuffled = list(found)
            random.Random(f"{self._wanted.shuffle_seed}/{epoch}").shuffle(shuffled)  # noqa: S311 - to be repeatable
            found = iter(shuffled)
        return (info for index, info in enumerate(found) if self._workspace.has(self._wanted, index))

    def _write_objects(self, pipe: int, epoch: int) -> None:
        for info in self._share(epoch):
            with contextlib.closing(blocks(self._store, info, self._wanted)) as parts:
                for part in parts:
                    self._write(pipe, part)

    def _write(self, pipe: int, data: bytes) -> None:
        left = memoryview(data)
        while left:
            if self._stopping.is_set():
                raise _StoppedError
            try:
                left = left[os.write(pipe, left) :]
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(pipe, select.POLLOUT)
                waiting.register(self._stopped, select.POLLIN)
                waiting.poll()

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, (MlparityError, OSError)):
            _LOG.error("input %s", self._wanted.name, exc_info=error)
        self.failure = f"{error}"
        self._wake.set()
        self._stopping.wait()  # with the pipe open: an end would look like the end of the data
        raise _StoppedError

    def _make(self, epoch: int) -> _Fifo:
        name = f"{PurePosixPath(self._wanted.path).name}_{epoch}"
        try:
            os.mkfifo(name, 0o644, dir_fd=self._folder)
        except FileExistsError as error:
            raise EngineError(f"input {self._wanted.name} cannot be streamed", f"{name} is there already") from error
        inode = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self._folder)
        if not stat.S_ISFIFO(os.fstat(inode).st_mode):
            os.close(inode)
            raise EngineError(f"input {self._wanted.name} cannot be streamed", f"the job has replaced {name}")
        return _Fifo(name, inode)

    def _remove(self, fifo: _Fifo) -> None:
        os.close(fifo.inode)
        with contextlib.suppress(OSError):  # the job may have removed or replaced it
            os.unlink(fifo.name, dir_fd=self._folder)


def check(store: ObjectStore, wanted: JobInput, workspace: Workspace) -> None:
    """See that there is something to stream, and make the folder for its pipes.

    Raises as ``download`` does: ``NotFoundError`` where nothing matches, ``EngineError`` for a bad manifest.
    """
    workspace.outside(wanted.path).parent.mkdir(parents=True, exist_ok=True)
    found = any(True for _ in objects(store, wanted))
    if not found and wanted.required:
        raise nothing_found(wanted)


def blocks(store: ObjectStore, info: ObjectInfo, wanted: JobInput) -> Generator[bytes]:
    """What of an object goes into the pipe: its bytes, unpacked and framed as the input asks, in constant memory.

    A RecordIO record is: the magic number, the length (both 32 bits, little endian), the bytes, and zeros up to a
    multiple of four. Raises ``EngineError`` where an object is not gzip-compressed or too large for a record.
    """
    try:
        with store.open(info.bucket, info.key) as raw, _unpacked(raw, wanted.unpack) as stream:
            size = 0
            if wanted.record_io:  # what is packed is read twice: a record says its length first
                size = stream.seek(0, os.SEEK_END)
                stream.seek(0)
                yield _record_header(info, size)
            while block := stream.read(_BLOCK):
                yield block
            yield b"\0" * (-size % 4)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise EngineError(f"object {info.key} is not gzip-compressed", str(error)) from error


def _unpacked(raw: BinaryIO, unpack: bool) -> contextlib.AbstractContextManager[BinaryIO | gzip.GzipFile]:
    return gzip.GzipFile(fileobj=raw) if unpack else contextlib.nullcontext(raw)


def _record_header(info: ObjectInfo, size: int) -> bytes:
    if size > _RECORD_LIMIT:
        raise EngineError(f"object {info.key} does not fit into a RecordIO record", f"{size} bytes are too many")
    return struct.pack("<II", _RECORD_MAGIC, size)


def _owned(descriptors: contextlib.ExitStack, descriptor: int) -> int:
    descriptors.callback(os.close, descriptor)
    return descriptor
