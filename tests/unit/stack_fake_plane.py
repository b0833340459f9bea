"""Control planes for tests of the supervisor: real servers over ASGI, with nothing behind them.

The supervisor loads this file by its path; each function is a factory as ``control_plane:build`` is one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mlparity.errors import DataFolderError

LOG = "first line\nsecond line\n"


class Plane:
    """Answers health, status and the log of the job ``known``."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def start(self) -> None:
        marker = Path(self.config.data_dir) / "state" / "starts"
        with marker.open("a") as starts:
            starts.write(f"{os.getpid()}\n")

    def close(self) -> None:
        (Path(self.config.data_dir) / "state" / "closed").touch()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        status, headers, body = self._answer(scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, scope: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        path = scope["path"]
        if path == "/_mlparity/health":
            return 200, [], b"{}"
        if path == "/_mlparity/status":
            return 200, [], json.dumps({"jobs": {"running": 3}}).encode()
        if path == "/_mlparity/jobs":
            job = {"name": "known", "kind": "training", "phase": "completed", "created_at": "2026-01-01T00:00:00"}
            return 200, [], json.dumps({"jobs": [job]}).encode()
        if path == "/_mlparity/logs/known":
            offset = int(dict(pair.split("=") for pair in scope["query_string"].decode().split("&"))["offset"])
            # A few bytes at a time, so that a reader has to come back.
            text = LOG.encode()[offset : offset + 7]
            ended = b"true" if offset + len(text) == len(LOG) else b"false"
            return 200, [(b"x-next-offset", str(offset + len(text)).encode()), (b"x-job-ended", ended)], text
        return 404, [], b"{}"


def build(config: Any) -> Plane:
    return Plane(config)


def build_failing(config: Any) -> Plane:
    raise DataFolderError("the fake cannot start", "it was made so", "use another one")


def build_slow(config: Any) -> Plane:
    """Never becomes ready."""

    class Slow(Plane):
        def start(self) -> None:
            super().start()
            import threading

            threading.Event().wait()

    return Slow(config)
