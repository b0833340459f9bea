"""Outputs that are stored while a job runs: checkpoints, and SageMaker's ``S3UploadMode: Continuous``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from mlparity.engine.jobs import JobOutput
from mlparity.engine.placed_files import PlacedFiles
from mlparity.engine.workspace import Workspace, object_key
from mlparity.errors import MlparityError
from mlparity.storage.base import ObjectStore
from mlparity.storage.uris import parse_uri

_LOG = logging.getLogger(__name__)
_INTERVAL_SECONDS = 1.0
_Seen = tuple[int, int]  # modification time in ns, size


class ContinuousUpload:
    """Looks at the outputs' files every second and stores each that has not changed since the look before.

    A file half written is therefore not stored; the last state of every file is, when the job ends (``upload``).
    """

    def __init__(self, store: ObjectStore, outputs: Sequence[JobOutput], workspaces: Sequence[Workspace]) -> None:
        self._store = store
        self._outputs = outputs
        self._workspaces = workspaces
        self._seen: dict[Path, _Seen] = {}
        self._stored: dict[Path, _Seen] = {}
        self._placed = PlacedFiles(workspace.placed for workspace in workspaces)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="continuous-upload", daemon=True)

    def __enter__(self) -> None:
        if self._outputs:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._outputs:
            self._thread.join()

    def look(self) -> None:
        """Store what is new and quiet."""
        for output in self._outputs:
            bucket, key = parse_uri(output.uri)
            for folder in dict.fromkeys(workspace.outside(output.path) for workspace in self._workspaces):
                for path in sorted(folder.rglob("*")):
                    if path.is_file() and not path.is_symlink() and self._is_quiet(path):
                        name = path.relative_to(folder).as_posix()
                        self._store.put_file(bucket, object_key(key, name), path)
                        self._stored[path] = self._seen[path]

    def _is_quiet(self, path: Path) -> bool:
        if self._placed.has(path):
            return False
        status = path.stat()
        now = (status.st_mtime_ns, status.st_size)
        before = self._seen.get(path)
        self._seen[path] = now
        return before == now and self._stored.get(path) != now

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            try:
                self.look()
            except (MlparityError, OSError) as error:  # the program moved a file away; the next look sees it
                _LOG.info("continuous upload: %s", error)
