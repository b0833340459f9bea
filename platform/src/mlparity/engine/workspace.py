"""A job's folder on disk: inputs in, outputs out. Names from outside never leave it."""

from __future__ import annotations

import gzip
import json
import posixpath
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlparity.engine import placed_files
from mlparity.engine.jobs import JobInput, JobOutput, JobSpec
from mlparity.errors import EngineError, InvalidRequestError, NotFoundError, StorageError
from mlparity.storage import uris
from mlparity.storage.base import ObjectInfo, ObjectStore

_GZIP_LEVEL = 1  # a forest of 4 MB: 26 ms and 1.12 MB, where level 4 takes 68 ms for 1.06 MB


def parse_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key``, and no other scheme, as (bucket, key). Raises ``InvalidRequestError``."""
    return uris.parse_uri(uri, ("s3",))


class Workspace:
    """The folders behind the absolute paths of one instance of a job."""

    def __init__(self, folder: Path, spec: JobSpec, index: int) -> None:
        self.instance = spec.instances[index]
        self.index = index
        self.folder = folder / self.instance.name
        self._spec = spec
        self._shared = folder / "shared"
        self.mounts: Mapping[str, Path] = {
            root: (self._shared if root in spec.shared_roots else self.folder) / root.strip("/").replace("/", "_")
            for root in spec.roots
        }
        self.placed = self.folder / "placed.json"  # the record of what inputs have placed

    @property
    def instances(self) -> int:
        """How many instances the job has."""
        return len(self._spec.instances)

    def has(self, wanted: JobInput, index: int) -> bool:
        """Whether the object at ``index`` of an input is in this instance's share."""
        return not wanted.sharded or index % self.instances == self.index

    def holds(self, inside: str) -> bool:
        """Whether the path is this instance's to fill: that of a folder that all share is the first one's."""
        return self.index == 0 or self._shared not in self.outside(inside).parents

    def note_placed(self) -> None:
        """Write down what inputs have placed where outputs want changes only."""
        folders = [self.outside(output.path) for output in self._spec.outputs if output.changes_only]
        if folders:
            placed_files.note(self.placed, folders)

    def prepare(self) -> None:
        """Make the folders and write the contract's files."""
        for path in self.mounts.values():
            path.mkdir(parents=True, exist_ok=True)
        for inside in self._spec.folders:
            self.outside(inside).mkdir(parents=True, exist_ok=True)
        for output in self._spec.outputs:
            folder = self.outside(output.path)  # a tree may become a file: the program decides
            (folder.parent if output.tree else folder).mkdir(parents=True, exist_ok=True)
        for inside in self._spec.result_files.values():
            self.outside(inside).parent.mkdir(parents=True, exist_ok=True)
        for inside, text in {**self._spec.files, **self.instance.files}.items():
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
        return (self.exact_text(inside, limit) or "").strip() if inside else ""

    def exact_text(self, inside: str, limit: int) -> str | None:
        """The same with its blanks and line ends; None where there is no such file."""
        path = self.outside(inside)
        if not path.is_file() or path.is_symlink():
            return None
        with path.open("rb") as stream:
            return stream.read(limit).decode("utf-8", "replace")

    def remove(self) -> None:
        """Delete the job's files (the log lies elsewhere)."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.index == 0:
            shutil.rmtree(self._shared, ignore_errors=True)


def download(store: ObjectStore, wanted: JobInput, workspace: Workspace) -> int:
    """Place an input's objects; how many there are, the other instances' shares included.

    Follows SageMaker's ``S3DataSource``: "S3Prefix" takes every key that starts with the URI's; a key that is
    the URI's itself keeps its base name. An "archive" is unpacked. Raises ``EngineError`` where nothing matches or
    names collide.
    """
    target = workspace.outside(wanted.path)
    if wanted.kind == "tree":
        return _download_tree(store, wanted, target)
    target.mkdir(parents=True, exist_ok=True)
    if wanted.kind == "archive":
        return _download_archive(store, wanted.uri, target)
    found = 0
    for index, (info, name) in enumerate(objects(store, wanted)):
        found += 1
        if not workspace.has(wanted, index):
            continue
        relative = name.removesuffix(".gz") if wanted.unpack else name
        path = target / relative
        if target.resolve() not in path.resolve().parents:
            raise EngineError(f"object {info.key} cannot be placed", "its name leaves the input's folder")
        try:
            if wanted.unpack:
                _download_unpacked(store, info, path)
            else:
                store.download(info.bucket, info.key, path)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise EngineError(
                f"object {info.key} cannot be placed", "another object's name is a folder of the same path"
            ) from error
    if found == 0 and wanted.required:
        raise nothing_found(wanted)
    return found


def _download_tree(store: ObjectStore, wanted: JobInput, target: Path) -> int:
    """The object at the URI as the file ``target``, or every object below it as the files of a folder."""
    bucket, key = uris.parse_uri(wanted.uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = key.rstrip("/") + "/" if key else ""
    found = 0
    for info in store.iterate(bucket, key.rstrip("/")):
        if info.key == key and not key.endswith("/"):
            store.download(bucket, key, target)
        elif info.key.startswith(folder) and not info.key.endswith("/"):
            path = target / info.key[len(folder) :]
            if target.resolve() not in path.resolve().parents:
                raise EngineError(f"object {info.key} cannot be placed", "its name leaves the input's folder")
            store.download(bucket, info.key, path)
        else:
            continue
        found += 1
    if found == 0 and wanted.required:
        raise NotFoundError(f"nothing is stored at {wanted.uri}")
    return found


def nothing_found(wanted: JobInput) -> NotFoundError:
    """SageMaker's words for an input without objects."""
    return NotFoundError(f'No S3 objects found under S3 URL "{wanted.uri}" given in input data source')


def _download_unpacked(store: ObjectStore, info: ObjectInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with store.open(info.bucket, info.key) as raw, gzip.open(raw) as packed, path.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    except (gzip.BadGzipFile, EOFError) as error:
        raise EngineError(f"object {info.key} is not gzip-compressed", str(error)) from error


def _download_archive(store: ObjectStore, uri: str, target: Path) -> int:
    """Unpack a gzip-compressed tar file. Members that would leave ``target`` are refused."""
    bucket, key = uris.parse_uri(uri)
    try:
        with store.open(bucket, key) as raw, tarfile.open(fileobj=raw, mode="r|gz") as packed:
            packed.extractall(target, filter="data")
    except (tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
        raise EngineError(f"object {key} cannot be unpacked", f"it is no good .tar.gz file: {error}") from error
    return 1


def objects(store: ObjectStore, wanted: JobInput) -> Iterator[tuple[ObjectInfo, str]]:
    """An input's objects in order, each with its name relative to the input. Raises ``EngineError``."""
    bucket, key = uris.parse_uri(wanted.uri)
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


def upload(store: ObjectStore, output: JobOutput, workspaces: Sequence[Workspace]) -> str | None:
    """Store what all instances made of an output; its URI, or None where there was nothing to store.

    An archive holds the files of all instances; of equal names the first instance's wins.
    """
    bucket, key = uris.parse_uri(output.uri)
    files = _files(output, workspaces)
    if not files and not output.required:
        return None
    try:
        if output.archive:
            archive = workspaces[0].folder / f"{output.name}.tar.gz"
            try:
                _pack(files, archive)
                store.put_file(bucket, key, archive, content_type="application/x-tar")
            finally:
                archive.unlink(missing_ok=True)  # where the disk is full, the record of that needs the room
            return output.uri
        for name, path in files.items():
            store.put_file(bucket, object_key(key, name), path)
    except StorageError as error:
        raise EngineError(f"output {output.name} cannot be stored at {output.uri}", str(error)) from error
    return output.uri


def object_key(prefix: str, name: str) -> str:
    """Where a file called ``name`` goes below a prefix."""
    folder = prefix.rstrip("/")
    return f"{folder}/{name}".rstrip("/") if folder else name


def _files(output: JobOutput, workspaces: Sequence[Workspace]) -> dict[str, Path]:
    """Relative name -> file, in name order. Links are not followed: they could lead out of the job."""
    placed = placed_files.PlacedFiles(workspace.placed for workspace in workspaces if output.changes_only)
    found: dict[str, Path] = {}
    for workspace in reversed(workspaces):
        folder = workspace.outside(output.path)
        if output.tree and folder.is_file() and not folder.is_symlink():
            found[""] = folder
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and not placed.has(path):
                found[path.relative_to(folder).as_posix()] = path
    return dict(sorted(found.items()))


def _pack(files: Mapping[str, Path], archive: Path) -> None:
    # Names, order and times are made the same for the same content, so that equal models have equal archives.
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for name, path in files.items():
            tar.add(path, arcname=name, recursive=False, filter=_plain)


def _plain(item: tarfile.TarInfo) -> tarfile.TarInfo:
    item.mtime, item.uid, item.gid, item.uname, item.gname = 0, 0, 0, "", ""
    return item
