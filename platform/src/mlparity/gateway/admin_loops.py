"""What ``mlparity loop`` asks the control plane: ``/_mlparity/loops…``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
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


def routes(prefix: str, services: Mapping[str, Callable[[], LoopService]]) -> list[Route]:
    """Below ``prefix`` ("/_mlparity/"). ``services`` are those of each vendor; a loop's name is one among all."""
    loops = _Loops(services)
    return [
        Route(f"{prefix}loops", _answered(loops.list_)),
        Route(f"{prefix}loops", _answered(loops.put, changes=True), methods=["PUT"]),
        Route(f"{prefix}loops/{{name}}", _answered(loops.show)),
        Route(f"{prefix}loops/{{name}}", _answered(loops.delete, changes=True), methods=["DELETE"]),
        Route(f"{prefix}loops/{{name}}/{{action:str}}", _answered(loops.act, changes=True), methods=["POST"]),
    ]


class _Loops:
    def __init__(self, services: Mapping[str, Callable[[], LoopService]]) -> None:
        self._services = services

    def list_(self, _request: Request, _body: bytes) -> Any:
        newest = [
            service().show(loop.definition.name)
            for service in self._services.values()
            for loop in service().repository.all()
        ]
        return {"loops": [_loop(loop) | {"last": [_cycle(one) for one in cycles[:1]]} for loop, cycles in newest]}

    def put(self, _request: Request, body: bytes) -> Any:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidRequestError("the loop cannot be read", str(error)) from error
        definition = LoopDefinition.read(document)
        for vendor, service in self._services.items():
            if vendor != definition.vendor and _has(service(), definition.name):
                told = f"there is a loop {definition.name} already"
                raise ConflictError(told, f"it is one of {vendor}", "choose another name")
        return _loop(self._services[definition.vendor]().put(definition))

    def show(self, request: Request, _body: bytes) -> Any:
        name = request.path_params["name"]
        loop, cycles = self._of(name).show(name)
        return _loop(loop) | {"cycles": [_cycle(cycle) for cycle in cycles]}

    def delete(self, request: Request, _body: bytes) -> Any:
        name = request.path_params["name"]
        self._of(name).repository.delete(name)
        return {}

    def act(self, request: Request, _body: bytes) -> Any:
        name, action = request.path_params["name"], request.path_params["action"]
        service = self._of(name)
        match action:
            case "pause" | "resume":
                return _loop(service.repository.pause(name, paused=action == "pause"))
            case "stop":
                return _cycle(service.stop(name, request.query_params.get("reason", "")))
            case "trigger":
                return _cycle(service.trigger(name, request.query_params.get("reason", "")))
        raise NotFoundError(f"a loop does not know {action!r}")

    def _of(self, name: str) -> LoopService:
        """The service that has the loop; the first, which says that there is none, for an unknown one."""
        found = [service() for service in self._services.values()]
        return next((service for service in found if _has(service, name)), found[0])


def _has(service: LoopService, name: str) -> bool:
    return any(loop.definition.name == name for loop in service.repository.all())


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
