"""What ``mlparity loop`` asks the control plane: ``/_mlparity/loops…``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import anyio.to_thread
import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mlparity.errors import ConflictError, InvalidRequestError, MlparityError, NotFoundError
from mlparity.monitoring.loop.cycles import Cycle, Loop
from mlparity.monitoring.loop.definition import LoopDefinition
from mlparity.monitoring.loop.service import LoopService

_STATUS = {NotFoundError: 404, ConflictError: 409, InvalidRequestError: 400}
_COMMAND = "x-mlparity-command"  # a web page cannot send it unasked


def routes(prefix: str, service: LoopService) -> list[Route]:
    """Below ``prefix`` ("/_mlparity/")."""
    loops = _Loops(service)
    return [
        Route(f"{prefix}loops", _answered(loops.list_)),
        Route(f"{prefix}loops", _answered(loops.put, changes=True), methods=["PUT"]),
        Route(f"{prefix}loops/{{name}}", _answered(loops.show)),
        Route(f"{prefix}loops/{{name}}", _answered(loops.delete, changes=True), methods=["DELETE"]),
        Route(f"{prefix}loops/{{name}}/{{action:str}}", _answered(loops.act, changes=True), methods=["POST"]),
    ]


class _Loops:
    def __init__(self, service: LoopService) -> None:
        self._service = service

    def list_(self, _request: Request, _body: bytes) -> Any:
        newest = {loop.definition.name: self._service.show(loop.definition.name) for loop in self._all()}
        return {
            "loops": [_loop(loop) | {"last": [_cycle(one) for one in cycles[:1]]} for loop, cycles in newest.values()]
        }

    def put(self, _request: Request, body: bytes) -> Any:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidRequestError("the loop cannot be read", str(error)) from error
        return _loop(self._service.put(LoopDefinition.read(document)))

    def show(self, request: Request, _body: bytes) -> Any:
        loop, cycles = self._service.show(request.path_params["name"])
        return _loop(loop) | {"cycles": [_cycle(cycle) for cycle in cycles]}

    def delete(self, request: Request, _body: bytes) -> Any:
        self._service.repository.delete(request.path_params["name"])
        return {}

    def act(self, request: Request, _body: bytes) -> Any:
        name, action = request.path_params["name"], request.path_params["action"]
        match action:
            case "pause" | "resume":
                return _loop(self._service.repository.pause(name, paused=action == "pause"))
            case "stop":
                return _cycle(self._service.stop(name, request.query_params.get("reason", "")))
            case "trigger":
                return _cycle(self._service.trigger(name, request.query_params.get("reason", "")))
        raise NotFoundError(f"a loop does not know {action!r}")

    def _all(self) -> list[Loop]:
        return self._service.repository.all()


def _answered(
    handler: Callable[[Request, bytes], Any], *, changes: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    @wraps(handler)
    async def answer(request: Request) -> Response:
        if changes and _COMMAND not in request.headers:
            return JSONResponse({"what": "use `mlparity loop`", "why": "", "hint": ""}, 403)
        body = await request.body()
        try:
            return JSONResponse(await anyio.to_thread.run_sync(handler, request, body))
        except MlparityError as error:
            status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 400)
            return JSONResponse({"what": error.what, "why": error.why, "hint": error.hint}, status)

    return answer


def _loop(loop: Loop) -> dict[str, Any]:
    return {
        "name": loop.definition.name,
        "paused": loop.paused,
        "created_at": loop.created_at.isoformat(),
        "definition": loop.definition.model_dump(),
    }


def _cycle(cycle: Cycle) -> dict[str, Any]:
    return {
        "number": cycle.number,
        "state": cycle.state.value,
        "trigger": cycle.trigger,
        "dedupe_key": cycle.dedupe_key,
        "created_at": cycle.created_at.isoformat(),
        "ended": cycle.state.is_final,
        "facts": {name: value for name, value in cycle.facts.items() if name != "template"},
        "history": [
            {"at": item.at.isoformat(), "state": item.state.value, "reason": item.reason} for item in cycle.history
        ],
    }
