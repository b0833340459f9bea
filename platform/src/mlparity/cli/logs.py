"""``mlparity logs``."""

from __future__ import annotations

import json
import sys
import time
from http import HTTPStatus
from urllib.parse import quote

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.errors import NotFoundError, StackError
from mlparity.stack.health import Response, get
from mlparity.stack.running import require_running

_POLL_SECONDS = 0.5


def logs(choice: Choice, job: str, *, follow: bool) -> None:
    """Print a job's log, or the latest jobs where none is named."""
    record = require_running(choice.folder())
    base = next(child.url for child in record.children if child.name == "control-plane") + "/_mlparity"
    if not job:
        _print_jobs(base)
        return
    offset = 0
    while True:
        response = _get(f"{base}/logs/{quote(job, safe='')}?offset={offset}", job)
        sys.stdout.write(response.body.decode("utf-8", "replace"))
        sys.stdout.flush()
        following = int(response.headers.get("x-next-offset", offset + len(response.body)))
        more = following > offset
        offset = following
        if not more and (not follow or response.headers.get("x-job-ended") == "true"):
            return
        if not more:
            time.sleep(_POLL_SECONDS)


def _get(url: str, job: str) -> Response:
    try:
        response = get(url)
    except OSError as error:
        raise StackError("the control plane does not answer", str(error), "see `mlparity status`") from error
    if response.status == HTTPStatus.NOT_FOUND:
        raise NotFoundError(
            f"there is no job or endpoint {job!r}", "nothing of this data folder has that name", "see `mlparity logs`"
        )
    if response.status != HTTPStatus.OK:
        raise StackError(
            "the control plane cannot give the log", f"it answered {response.status}", "see `mlparity status`"
        )
    return response


def _print_jobs(base: str) -> None:
    jobs = json.loads(_get(f"{base}/jobs", "").body)["jobs"]
    if not jobs:
        output.line("no job has run yet")
        return
    rows = [(job["name"], job["kind"], job["phase"], job["created_at"][:19]) for job in jobs]
    output.table(("job", "kind", "phase", "created"), rows)
