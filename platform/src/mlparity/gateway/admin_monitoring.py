"""``/_mlparity/monitoring-jobs/JOB/run``: a run of a Vertex monitoring job outside its schedule, which counts hours."""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mlparity.errors import NotFoundError

_COMMAND = "x-mlparity-command"  # a web page cannot send it unasked


def routes(prefix: str, run_now: Callable[[str], None]) -> list[Route]:
    """Below ``prefix`` ("/_mlparity/"). ``run_now`` takes a job's id and raises ``NotFoundError``."""

    async def run(request: Request) -> Response:
        if _COMMAND not in request.headers:
            return JSONResponse({"what": "only mlparity's own commands may ask for it", "why": "", "hint": ""}, 403)
        try:
            await anyio.to_thread.run_sync(run_now, request.path_params["job"])
        except NotFoundError as error:
            return JSONResponse({"what": error.what, "why": error.why, "hint": error.hint}, 404)
        return JSONResponse({})

    return [Route(f"{prefix}monitoring-jobs/{{job}}/run", run, methods=["POST"])]
