"""``mlparity interrupt``."""

from __future__ import annotations

import json
from http import HTTPStatus
from urllib.parse import quote

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.errors import ConflictError, NotFoundError, StackError
from mlparity.stack.health import post
from mlparity.stack.running import require_running


def interrupt(choice: Choice, job: str) -> None:
    """Take a running spot job's machine away."""
    record = require_running(choice.folder())
    base = next(child.url for child in record.children if child.name == "control-plane") + "/_mlparity"
    try:
        response = post(f"{base}/interrupt/{quote(job, safe='')}")
    except OSError as error:
        raise StackError("the control plane does not answer", str(error), "see `mlparity status`") from error
    if response.status == HTTPStatus.NOT_FOUND:
        raise NotFoundError(
            f"there is no job {job!r}", "no job of this data folder has that name", "see `mlparity logs`"
        )
    if response.status != HTTPStatus.OK:
        reason = str(json.loads(response.body).get("error", response.status))
        raise ConflictError(
            f"{job} was not interrupted",
            reason,
            "it must have EnableManagedSpotTraining, and be training now",
        )
    output.line(f"{job}: its machine is taken away; it gets SIGTERM, its checkpoints are stored, and it starts again")
