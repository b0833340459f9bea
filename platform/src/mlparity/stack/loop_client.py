"""The control plane's retraining loops over HTTP: for the command, for scenarios and for users' own tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from mlparity.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    StackError,
)
from mlparity.stack import health

_ERRORS = {HTTPStatus.NOT_FOUND: NotFoundError, HTTPStatus.CONFLICT: ConflictError}


class Loops:
    """The loops of the control plane at ``url`` (its AWS endpoint)."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/_mlparity"

    def create(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Make a loop, or change it. Raises ``InvalidRequestError``."""
        return self._ask("PUT", "loops", json.dumps(definition).encode())

    def list(self) -> Any:
        """Every loop with its last cycle."""
        return self._ask("GET", "loops")["loops"]

    def show(self, name: str) -> dict[str, Any]:
        """A loop and its cycles, newest first. Raises ``NotFoundError``."""
        return self._ask("GET", f"loops/{quote(name, safe='')}")

    def act(self, name: str, action: str, reason: str = "") -> dict[str, Any]:
        """``action`` is "pause", "resume", "trigger" or "stop"."""
        query = f"?reason={quote(reason, safe='')}" if reason else ""
        return self._ask("POST", f"loops/{quote(name, safe='')}/{action}{query}")

    def delete(self, name: str) -> None:
        """Forget it. Raises ``NotFoundError``, or ``ConflictError`` while a cycle is under way."""
        self._ask("DELETE", f"loops/{quote(name, safe='')}")

    def run_monitor(self, job_id: str) -> None:
        """Have a Vertex monitoring job run once outside its schedule. Raises ``NotFoundError``."""
        self._ask("POST", f"monitoring-jobs/{quote(job_id, safe='')}/run")

    def _ask(self, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        try:
            response = health.request(method, f"{self._url}/{path}", body=body)
        except OSError as error:
            raise StackError("the control plane does not answer", str(error), "see `mlparity status`") from error
        answer: dict[str, Any] = json.loads(response.body)
        if response.status != HTTPStatus.OK:
            kind = _ERRORS.get(HTTPStatus(response.status), InvalidRequestError)
            raise kind(answer["what"], answer["why"], answer["hint"])
        return answer
