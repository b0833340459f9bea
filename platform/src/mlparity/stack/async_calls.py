"""How asynchronous inference asks a model: as a client of the router, with the stack's own key pair."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from mlparity.apis.sagemaker.async_answers import DataPlaneAwayError, ModelAnswer
from mlparity.clock import Clock
from mlparity.gateway.router_app import RouterSocket
from mlparity.wire.sigv4 import SignedRequest, canonical_request, signing_key

_OK, _TOO_LARGE, _MODEL_ERROR = 200, 413, 424
_SERVICE = "sagemaker"
_HOST = "localhost"
_SERVER_ERROR = 500


@dataclass(frozen=True)
class RouterCalls:
    """An ``async_answers.Invoke``. ``credentials`` are (key, secret)."""

    router: RouterSocket
    credentials: tuple[str, str]
    region: str
    clock: Clock

    def __call__(self, endpoint: str, headers: Mapping[str, str], body: bytes, seconds: float) -> ModelAnswer:
        """One request. Raises ``DataPlaneAwayError``, and ``TimeoutError``."""
        path = f"/endpoints/{quote(endpoint)}/invocations"
        self.router.wake()
        connection = _UnixConnection(self.router.socket_path, seconds)
        try:
            connection.request("POST", path, body, self._signed(path, headers, body))
            response = connection.getresponse()
            status, content_type, answer = response.status, response.headers.get("content-type", ""), response.read()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise DataPlaneAwayError("the router does not answer", str(error)) from error
        finally:
            connection.close()
        return _read(status, content_type, answer)

    def _signed(self, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        key, secret = self.credentials
        moment = self.clock.now().strftime("%Y%m%dT%H%M%SZ")
        given = {**headers, "host": _HOST, "x-amz-date": moment}
        names = sorted(given)
        payload = hashlib.sha256(body).hexdigest()
        canonical = canonical_request(
            SignedRequest("POST", path, "", list(given.items())), names, payload, service=_SERVICE
        )
        scope = f"{moment[:8]}/{self.region}/{_SERVICE}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        derived = signing_key(secret, moment[:8], self.region, _SERVICE)
        signature = hmac.new(derived, text.encode(), hashlib.sha256).hexdigest()
        claim = f"Credential={key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
        return {**given, "authorization": f"AWS4-HMAC-SHA256 {claim}"}


def _read(status: int, content_type: str, answer: bytes) -> ModelAnswer:
    if status == _OK:
        return ModelAnswer(status, content_type, answer)
    if status == _MODEL_ERROR:
        document = json.loads(answer)
        if not document["OriginalStatusCode"]:
            raise TimeoutError
        return ModelAnswer(document["OriginalStatusCode"], "text/plain", document["OriginalMessage"].encode())
    if status in {_TOO_LARGE, _SERVER_ERROR}:  # too large for the router; or its worker ended over it
        return ModelAnswer(status, content_type, answer)
    raise DataPlaneAwayError(f"the router answered {status}", answer.decode("utf-8", "replace"))


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(_HOST, timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """To the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
