"""The one local project, as the Resource Manager API (v1 and v3) tells of it."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

PATH = re.compile(r"/(v1|v3)/projects/([^/:]+)\Z")
_CREATED = "2024-01-01T00:00:00Z"


class ProjectsApp:
    """ASGI: ``projects.get``. Any other project is refused as one that the caller may not see."""

    def __init__(self, project: str, number: str) -> None:
        self._project = project
        self._number = number

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = Request(scope, receive)
        found = PATH.match(request.url.path)
        if found is None or request.method != "GET":
            status, body = 501, _error(501, "UNIMPLEMENTED", f"{request.method} {request.url.path} is not served here")
        elif found[2] in (self._project, self._number):
            status, body = 200, self._v1() if found[1] == "v1" else self._v3()
        else:
            why = f"The caller does not have permission on the project {found[2]}; the local one is {self._project}"
            status, body = 403, _error(403, "PERMISSION_DENIED", why)
        await JSONResponse(body, status)(scope, receive, send)

    def _v1(self) -> dict[str, Any]:
        return {
            "projectNumber": self._number,
            "projectId": self._project,
            "lifecycleState": "ACTIVE",
            "name": self._project,
            "createTime": _CREATED,
        }

    def _v3(self) -> dict[str, Any]:
        return {
            "name": f"projects/{self._number}",
            "projectId": self._project,
            "displayName": self._project,
            "state": "ACTIVE",
            "createTime": _CREATED,
        }


def _error(code: int, status: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status}}
