"""mlparity's own few answers, for the command line: health, status, jobs, logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mlparity.engine.job_service import JobService
from mlparity.engine.jobs import Job, Phase
from mlparity.engine.logs import JobLogStore
from mlparity.engine.run_repository import RunRepository
from mlparity.errors import ConflictError
from mlparity.gateway.aws_endpoint import ADMIN_PREFIX

_CHUNK = 1 << 20  # bytes of a log in one answer
_ENDPOINTS = "/aws/sagemaker/Endpoints"  # the log groups of endpoints
_ENDPOINT_LINES = 500  # of each worker, the newest


class Admin:
    """Serves ``/_mlparity/…`` on the AWS port.

    What changes anything wants the header that mlparity's command sends: a web page cannot send it unasked.
    """

    def __init__(
        self,
        service: JobService,
        runs: RunRepository,
        logs: JobLogStore,
        endpoints: Callable[[], Sequence[Mapping[str, Any]]],
        more: Sequence[Route] = (),
    ) -> None:
        self._service = service
        self._jobs = service.repository
        self._runs = runs
        self._logs_of = logs
        self._endpoints = endpoints
        self._more = more

    def app(self) -> Starlette:
        """The ASGI app."""
        routes = [
            Route(f"{ADMIN_PREFIX}health", self._health),
            Route(f"{ADMIN_PREFIX}status", self._status),
            Route(f"{ADMIN_PREFIX}jobs", self._list),
            Route(f"{ADMIN_PREFIX}logs/{{name}}", self._logs),
            Route(f"{ADMIN_PREFIX}interrupt/{{name}}", self._interrupt, methods=["POST"]),
            *self._more,
        ]
        return Starlette(routes=routes)

    async def _health(self, _request: Request) -> Response:
        counts = await anyio.to_thread.run_sync(self._jobs.counts)
        return JSONResponse({"status": "ok", "jobs": counts})

    async def _status(self, _request: Request) -> Response:
        jobs = await anyio.to_thread.run_sync(self._jobs.counts)
        runs = await anyio.to_thread.run_sync(self._runs.counts)
        return JSONResponse(
            {
                "jobs": {
                    "running": sum(count for phase, count in jobs.items() if not Phase(phase).is_final),
                    "by_phase": jobs,
                },
                "runs": runs,
                "endpoints": list(await anyio.to_thread.run_sync(self._endpoints)),
            }
        )

    async def _list(self, request: Request) -> Response:
        limit = min(int(request.query_params.get("limit", "20")), 1000)
        jobs = await anyio.to_thread.run_sync(self._jobs.recent, limit)
        return JSONResponse({"jobs": [_shown(job) for job in jobs]})

    async def _logs(self, request: Request) -> Response:
        """The job's log from byte ``offset``. ``X-Next-Offset`` is where to go on, ``X-Job-Ended`` whether to."""
        name = request.path_params["name"]
        found = await anyio.to_thread.run_sync(self._jobs.find_by_name, name)
        if not found:
            return await anyio.to_thread.run_sync(self._endpoint_logs, name, request.query_params.get("offset", "0"))
        job = found[0]
        try:
            offset = max(0, int(request.query_params.get("offset", "0")))
        except ValueError:
            return JSONResponse({"error": "offset must be a number"}, 400)
        text = await anyio.to_thread.run_sync(self._read, job, offset)
        headers = {
            "X-Next-Offset": str(offset + len(text)),
            "X-Job-Ended": "true" if job.phase.is_final and len(text) < _CHUNK else "false",
            "X-Job-Phase": job.phase.value,
        }
        return PlainTextResponse(text, headers=headers)

    async def _interrupt(self, request: Request) -> Response:
        if "x-mlparity-command" not in request.headers:
            return JSONResponse({"error": "use `mlparity interrupt`"}, 403)
        found = await anyio.to_thread.run_sync(self._jobs.find_by_name, request.path_params["name"])
        if not found:
            return JSONResponse({"error": "no job of that name"}, 404)
        try:
            await anyio.to_thread.run_sync(self._service.interrupt, found[0].id)
        except ConflictError as error:
            return JSONResponse({"error": error.why}, 409)
        return JSONResponse({"status": "interrupted"})

    def _endpoint_logs(self, name: str, offset: str) -> Response:
        """What the workers of an endpoint have written, at once, the newest stream last; 404 where there is none."""
        group = f"{_ENDPOINTS}/{name}"
        streams = sorted(self._logs_of.streams(group), key=lambda stream: stream.created)
        if not streams:
            return JSONResponse({"error": f"no job and no endpoint is named {name}"}, 404)
        texts = [f"== {stream.stream}\n{self._stream_text(group, stream.stream)}" for stream in streams]
        return PlainTextResponse("".join(texts)[-_CHUNK:], headers={"X-Job-Ended": "true", "X-Next-Offset": offset})

    def _stream_text(self, group: str, stream: str) -> str:
        lines = self._logs_of.backward(group, stream, self._logs_of.span(group, stream))
        newest = [line.text for line in islice(lines, _ENDPOINT_LINES)]
        return "".join(f"{text}\n" for text in reversed(newest))

    def _read(self, job: Job, offset: int) -> bytes:
        path = self._logs_of.create(job.spec.log)
        if path is None or not path.is_file():
            return b""
        with path.open("rb") as stream:
            stream.seek(offset)
            read: bytes = stream.read(_CHUNK)
            return read


def _shown(job: Job) -> dict[str, Any]:
    return {
        "name": job.name,
        "kind": job.kind,
        "phase": job.phase.value,
        "created_at": job.created_at.isoformat(),
        "ended_at": job.ended_at.isoformat() if job.ended_at else None,
        "failure_reason": job.failure_reason,
    }
