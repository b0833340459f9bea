"""The router of a stack: how it is started, and the signing keys that it may ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from mlparity.serving.routing.process import Launch, RouterProcess
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.serve_router import RouterSettings
from mlparity.stack.socket_folder import socket_folder
from mlparity.wire.sigv4 import signing_key

_CAPTURE_SECONDS = 5.0  # until captured data is in the bucket; SageMaker takes minutes, a laptop need not
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


def router(
    config: ControlPlaneConfig, secrets: Mapping[str, str], *, capture_seconds: float = _CAPTURE_SECONDS
) -> RouterProcess:
    """The router, not started. ``secrets`` (access key -> secret) stay here: it gets keys that are derived of them."""
    spool = config.capture_dir
    spool.mkdir(parents=True, exist_ok=True)
    config.logs_dir.mkdir(parents=True, exist_ok=True)

    def key(question: Mapping[str, Any]) -> str | None:
        secret = secrets.get(question["access_key"])
        if secret is None:
            return None
        return signing_key(secret, question["date"], question["region"], question["service"]).hex()

    settings = RouterSettings(config.region, config.account_id, str(spool), capture_seconds)
    command = (sys.executable, "-m", "mlparity.stack.serve_router", "--settings", settings.as_text())
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    environment = {**kept, "PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"}
    launch = Launch(command, environment, config.logs_dir / "router.log")
    return RouterProcess(launch, key, socket_folder(config.data_dir))
