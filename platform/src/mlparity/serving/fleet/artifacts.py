"""Models and code on this machine: fetched and unpacked once, by what they hold, and shared read-only by workers."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlparity.errors import EngineError, InvalidRequestError, NotFoundError, StorageError
from mlparity.ids import IdSource
from mlparity.serving.archive import ArchiveError, extract
from mlparity.storage.base import ObjectInfo, ObjectStore
from mlparity.storage.uris import parse_uri

_KEPT = 64  # models that are not in use; the least recently used ones go first
_PARTIAL = ".partial-"


class Artifacts:
    """Folders under ``root``, named after the objects' content. Any thread."""

    def __init__(self, store: ObjectStore, root: Path, ids: IdSource) -> None:
        self._store = store
        self._root = root
        self._ids = ids
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}

    def recover(self) -> None:
        """Remove what was being unpacked when the last process was killed."""
        for left in self._root.glob(f"{_PARTIAL}*"):
            shutil.rmtree(left, ignore_errors=True)

    def folder(self, uri: str, *, packed: bool) -> Path:
        """The folder with the unpacked archive at ``uri`` (``packed``), or with the objects below it.

        Raises ``NotFoundError`` where there is nothing and ``ArchiveError`` where it cannot be unpacked.
        """
        objects = self._objects(uri, packed=packed)
        name = _name(objects)
        with self._lock:
            busy = self._busy.setdefault(name, threading.Lock())
        final = self._root / name
        with busy:
            if not final.is_dir():
                self._make(objects, final, packed=packed)
        os.utime(final)
        return final

    def prune(self, used: Sequence[Path]) -> None:
        """Forget the least recently used folders, but never one of ``used``."""
        kept = {path.name for path in used}
        spare = [path for path in self._root.glob("[0-9a-f]*") if path.name not in kept]
        for path in sorted(spare, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
            shutil.rmtree(path, ignore_errors=True)

    def _objects(self, uri: str, *, packed: bool) -> Mapping[str, ObjectInfo]:
        """Relative path -> object."""
        try:
            bucket, key = parse_uri(uri)
            if packed:
                return {"": self._store.head(bucket, key)}
            found = {}
            for info in self._store.iterate(bucket, key):
                if not info.key.endswith("/"):  # a console "folder"
                    name = info.key.rsplit("/", 1)[-1] if info.key == key else info.key[len(key) :].lstrip("/")
                    found[name] = info
        except (StorageError, InvalidRequestError) as error:
            raise NotFoundError(f"there is nothing at {uri}", str(error)) from error
        if not found:
            raise NotFoundError(f"there is nothing at {uri}")
        return found

    def _make(self, objects: Mapping[str, ObjectInfo], final: Path, *, packed: bool) -> None:
        partial = self._root / f"{_PARTIAL}{self._ids.token(12)}"
        partial.mkdir(parents=True)
        try:
            for name, info in objects.items():
                if packed:
                    self._unpack(info, partial)
                else:
                    self._place(info, partial, name)
            partial.rename(final)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _unpack(self, info: ObjectInfo, folder: Path) -> None:
        try:
            with self._store.open(info.bucket, info.key, _version(info)) as stream:
                extract(stream, folder)
        except StorageError as error:  # it went between the two looks
            raise NotFoundError(f"there is nothing at s3://{info.bucket}/{info.key}", str(error)) from error

    def _place(self, info: ObjectInfo, folder: Path, name: str) -> None:
        path = folder / name
        if folder.resolve() not in path.resolve().parents:
            raise ArchiveError(f"the name of object {info.key} leaves the model's folder")
        try:
            self._store.download(info.bucket, info.key, path)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise EngineError(
                f"object {info.key} cannot be placed", "another object's name is a folder of the same path"
            ) from error


def _name(objects: Mapping[str, ObjectInfo]) -> str:
    content = "\n".join(
        f"{name}\0{info.bucket}\0{info.key}\0{info.version_id}\0{info.etag}\0{info.size}"
        for name, info in sorted(objects.items())
    )
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _version(info: ObjectInfo) -> str | None:
    return None if info.version_id == "null" else info.version_id
