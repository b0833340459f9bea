"""A job's folder on disk: inputs in, outputs out. Names from outside never leave it."""

from __future__ import annotations

import gzip
import json
import posixpath
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlparity.engine.jobs import JobInput, JobOutput, JobSpec
from mlparity.errors import EngineError, InvalidRequestError, NotFoundError, StorageError
from mlparity.storage.base import ObjectInfo, ObjectStore

_GZIP_LEVEL = 4  # models are mostly incompressible numbers: higher levels cost seconds and save nothing


def parse_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` as (bucket, key). Raises ``InvalidRequestError`` for anything else."""
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not separator or not bucket:
        raise InvalidRequestError(f"{uri} is not an object URI", "it must be s3://bucket/key")
    return bucket, key


class Workspace:
    """The folders behind one job's absolute paths."""

    def __init__(self, folder: Path, spec: JobSpec) -> None:
        self.folder = folder
        self._spec = spec
        self.mounts: Mapping[str, Path] = {root: folder / root.strip("/").replace("/", "_") for root in spec.roots}

    def prepare(self) -> None:
        """Make the folders and write the contract's files."""
        for path in self.mounts.values():
            path.mkdir(parents=True, exist_ok=True)
        for inside in (*self._spec.folders, *(output.path for output in self._spec.outputs)):
            self.outside(inside).mkdir(parents=True, exist_ok=True)
        for inside, text in self._spec.files.items():
            path = self.outside(inside)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def outside(self, inside: str) -> Path:
        """Where an absolute path of the job lies on this machine. Raises ``InvalidRequestError`` outside its roots."""
        plain = posixpath.normpath(inside)
        for root, folder in self.mounts.items():
            if plain == root:
                return folder
            if plain.startswith(root + "/"):
                return folder / plain[len(root) + 1 :]
        raise InvalidRequestError(
            f"{inside} is outside the job's folders", f"paths must lie under {', '.join(self.mounts)}"
        )

    def text(self, inside: str, limit: int) -> str:
        """The start of a file the program may have written; "" where there is none."""
        if not inside:
            return ""
        path = self.outside(inside)
        if not path.is_file() or path.is_symlink():
            return ""
        with path.open("rb") as stream:
            return stream.read(limit).decode("utf-8", "replace").strip()

    def remove(self) -> None:
        """Delete the job's files (the log lies elsewhere)."""
        shutil.rmtree(self.folder, ignore_errors=True)


def download(store: ObjectStore, wanted: JobInput, workspace: Workspace) -> int:
    """Place an input's objects; the number placed.

    Follows SageMaker's ``S3DataSource``: "S3Prefix" takes every key that starts with the URI's; a key that is
    the URI's itself keeps its base name. Raises ``EngineError`` where nothing matches or names collide.
    """
    target = workspace.outside(wanted.path)
    target.mkdir(parents=True, exist_ok=True)
    count = 0
    for index, (info, relative) in enumerate(_objects(store, wanted)):
        if index % wanted.shard_count != wanted.shard_index:
            continue
        path = target / relative
        if target.resolve() not in path.resolve().parents:
            raise EngineError(f"object {info.key} cannot be placed", "its name leaves the input's folder")
        try:
            store.download(info.bucket, info.key, path)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise EngineError(
                f"object {info.key} cannot be placed", "another object's name is a folder of the same path"
            ) from error
        count += 1
    if count == 0 and wanted.required and wanted.shard_count == 1:
        raise NotFoundError(f'No S3 objects found under S3 URL "{wanted.uri}" given in input data source')
    return count


def _objects(store: ObjectStore, wanted: JobInput) -> Iterator[tuple[ObjectInfo, str]]:
    bucket, key = parse_uri(wanted.uri)
    if wanted.kind == "manifest":
        yield from _manifest_objects(store, bucket, key)
        return
    for info in store.iterate(bucket, key):
        if info.key.endswith("/"):
            continue  # a console "folder"
        relative = info.key.rsplit("/", 1)[-1] if info.key == key else info.key[len(key) :].lstrip("/")
        yield info, relative


def _manifest_objects(store: ObjectStore, bucket: str, key: str) -> Iterator[tuple[ObjectInfo, str]]:
    """SageMaker's manifest: ``[{"prefix": "s3://bucket/a/"}, "x.csv", "b/y.csv"]``."""
    try:
        entries: Any = json.loads(store.get_bytes(bucket, key))
        prefix = entries[0]["prefix"]
        names = [str(name) for name in entries[1:]]
    except (ValueError, LookupError, TypeError) as error:
        raise EngineError(
            f"the manifest s3://{bucket}/{key} cannot be read", 'it must be [{"prefix": …}, "name", …]'
        ) from error
    source_bucket, source_prefix = parse_uri(prefix)
    for name in names:
        yield store.head(source_bucket, source_prefix + name), name


def upload(store: ObjectStore, output: JobOutput, workspace: Workspace) -> str | None:
    """Store an output; its URI, or None where there was nothing to store."""
    folder = workspace.outside(output.path)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    bucket, key = parse_uri(output.uri)
    if not files and not output.required:
        return None
    try:
        if output.archive:
            _upload_archive(store, bucket, key, folder, workspace.folder / f"{output.name}.tar.gz")
            return output.uri
        for path in files:
            name = path.relative_to(folder).as_posix()
            store.put_file(bucket, f"{key.rstrip('/')}/{name}" if key.rstrip("/") else name, path)
    except StorageError as error:
        raise EngineError(f"output {output.name} cannot be stored at {output.uri}", str(error)) from error
    return output.uri


def _upload_archive(store: ObjectStore, bucket: str, key: str, folder: Path, archive: Path) -> None:
    # Names, order and times are made the same for the same content, so that equal models have equal archives.
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for path in sorted(folder.rglob("*")):
            tar.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False)
    store.put_file(bucket, key, archive, content_type="application/x-tar")
    archive.unlink()
