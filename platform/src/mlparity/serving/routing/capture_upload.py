"""Takes the router's closed spool files into the bucket store, one object each, also after a crash of either."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from datetime import datetime
from pathlib import Path

import orjson

from mlparity.errors import MlparityError
from mlparity.serving.routing.capture import CLOSED, SpoolTarget, close_left_open
from mlparity.storage.base import ObjectStore
from mlparity.storage.uris import parse_uri

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0


class CaptureUploader:
    """Uploads to ``destination/endpoint/variant/yyyy/mm/dd/hh/MM-SS-mmm-uuid.jsonl``, as SageMaker names them.

    A file may be uploaded twice: the object's name comes from the file, so that it is the same object.
    A file that cannot be stored (a missing bucket, a full disk) stays in the spool and is tried again.
    """

    def __init__(self, spool: Path, store: ObjectStore) -> None:
        self._spool = spool
        self._store = store
        self._closed: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="capture-upload", daemon=True)

    def start(self) -> None:
        """Upload what is in the spool, and then what ``notice`` says, in a thread. Before the router's start."""
        close_left_open(self._spool)
        for path in self._waiting():
            self._closed.put(path)
        self._thread.start()

    def notice(self, path: Path) -> None:
        """A spool file is closed: upload it soon. Any thread; for ``RouterProcess.on_spooled``."""
        self._closed.put(path)

    def upload_all(self) -> None:
        """Upload every closed file now, in this thread; what cannot be stored stays."""
        for path in self._waiting():
            self._upload(path)

    def close(self) -> None:
        """Upload what is closed, and end the thread. After the router's end."""
        self._closed.put(None)
        if self._thread.is_alive():
            self._thread.join()
        self.upload_all()

    def _waiting(self) -> list[Path]:
        return sorted(self._spool.glob(f"*{CLOSED}"))

    def _run(self) -> None:
        failed = False
        while True:
            try:
                path = self._closed.get(timeout=_RETRY_SECONDS if failed else None)
            except queue.Empty:
                failed = not all(list(map(self._upload, self._waiting())))
                continue
            if path is None:
                return
            failed = not self._upload(path) or failed

    def _upload(self, path: Path) -> bool:
        """Whether the file needs no more trying."""
        try:
            head, _, records = path.read_bytes().partition(b"\n")
            records = records[: records.rfind(b"\n") + 1]  # a router that was killed left half a line
            if records:
                bucket, key = _place(SpoolTarget(**orjson.loads(head)))
                self._store.put_bytes(bucket, key, records, content_type="application/octet-stream")
        except FileNotFoundError:
            return True
        except (MlparityError, OSError) as error:
            _LOG.warning("captured data stays in %s: %s", path.name, error)
            return False
        except (ValueError, TypeError):
            _LOG.warning("%s is no spool file", path.name)
            return True
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return True


def _place(target: SpoolTarget) -> tuple[str, str]:
    bucket, prefix = parse_uri(target.destination)
    at = datetime.fromisoformat(target.opened)
    name = target.endpoint.partition("/")[2]
    stamp = f"{at:%M-%S}-{at.microsecond // 1000:03d}-{target.id}.jsonl"
    parts = (prefix.strip("/"), name, target.variant, f"{at:%Y/%m/%d/%H}", stamp)
    return bucket, "/".join(part for part in parts if part)
