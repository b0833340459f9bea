"""How the monitoring images are told what to do, and how they end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from mlparity.monitoring.datasets import Window
from mlparity.monitoring.errors import CustomerError

FAILED = 255
_log = logging.getLogger(__name__)


def run(work: Callable[[], str], root: Path) -> int:
    """Do ``work`` and leave its message in ``root``/output/message. 0, or 255 with the reason as the message."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")
    code = 0
    try:
        message = work()
    except CustomerError as error:
        code, message = FAILED, f"Error: CustomerError: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is goes to the exit message
        _log.exception("the job failed")
        code, message = FAILED, f"Error: {type(error).__name__}: {error}"
    _log.log(logging.ERROR if code else logging.INFO, message)
    (root / "output").mkdir(parents=True, exist_ok=True)
    (root / "output" / "message").write_text(message, "utf-8")
    return code


def required(environment: Mapping[str, str], *names: str) -> None:
    """Raise ``CustomerError`` where one of the variables is not there."""
    for name in names:
        if not environment.get(name):
            raise CustomerError(f"The environment variable {name} is not set")


def window(environment: Mapping[str, str]) -> Window:
    """``start_time`` and ``end_time``; None where they are not given. Raises ``CustomerError``."""
    start, end = (environment.get(name) for name in ("start_time", "end_time"))
    try:
        return (datetime.fromisoformat(start) if start else None, datetime.fromisoformat(end) if end else None)
    except ValueError as error:
        raise CustomerError(f"start_time and end_time must be times in ISO 8601: {error}") from error
