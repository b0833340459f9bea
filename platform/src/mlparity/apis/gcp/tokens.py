"""OAuth 2.0 tokens for the local service account, as Google's token endpoint gives them (RFC 7523, RFC 6749).

The local APIs take any token: what they protect is on the person's own machine, and nothing else listens to it.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mlparity.ids import IdSource

PATHS = ("/token", "/oauth2/v4/token", "/o/oauth2/token")
_LIFETIME_SECONDS = 3600
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_NEEDED = {"urn:ietf:params:oauth:grant-type:jwt-bearer": "assertion", "refresh_token": "refresh_token"}


class TokenApp:
    """ASGI: POST with a JWT assertion or a refresh token; answers with an access token."""

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = Request(scope, receive)
        given = _fields(await request.body())
        grant = given.get("grant_type", "")
        if request.method != "POST":
            answer = _refused("invalid_request", "tokens are asked for by POST")
        elif grant not in _NEEDED:
            answer = _refused("unsupported_grant_type", f"Invalid grant_type: {grant}")
        elif not given.get(_NEEDED[grant]):
            answer = _refused("invalid_request", f"Missing required parameter: {_NEEDED[grant]}")
        else:
            token = f"mlparity-local.{self._ids.uuid()}"
            answer = JSONResponse(
                {"access_token": token, "expires_in": _LIFETIME_SECONDS, "token_type": "Bearer", "scope": _SCOPE}
            )
        await answer(scope, receive, send)


def _fields(body: bytes) -> dict[str, str]:
    text = body.decode("utf-8", "replace")
    if text.startswith("{"):
        try:
            return {str(name): str(value) for name, value in json.loads(text).items()}
        except ValueError:
            return {}
    return {name: values[0] for name, values in parse_qs(text).items()}


def _refused(error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, 400)
