"""Several model servers as one model: SageMaker's inference pipelines, and servers that listen on a port.

What such a server answers at its vendor's routes is answered at ``/ping`` and ``/invocations``, which the fleet and
the router ask.

https://docs.aws.amazon.com/sagemaker/latest/dg/inference-pipelines.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlparity.serving.exchange import Payload, RefusedError, Reply
from mlparity.serving.upstream import Answer, NoAnswerError, Streamed, Upstream, in_order

_PING_SECONDS = 1.5  # less than what a ping of the whole chain may take
_BYTES = "application/octet-stream"
_FORWARDED = "x-amzn-"  # custom attributes and the like


class ChainModel:
    """A ``Servable`` whose answers are those of the servers at ``addresses``, in order."""

    library = False
    execution_parameters: Mapping[str, Any] | None = None

    def __init__(
        self, addresses: Sequence[str], timeout: float, routes: tuple[str, str] = ("/ping", "/invocations")
    ) -> None:
        """``routes``: of the servers' health and of their predictions."""
        self._servers = [Upstream(address) for address in addresses]
        self._timeout = timeout
        self._health, self._predict = routes

    def healthy(self) -> bool:
        """Whether every server answers its ping."""
        try:
            return all(one.request("GET", self._health, b"", {}, _PING_SECONDS).ok for one in self._servers)
        except NoAnswerError:
            return False

    def invoke(self, payload: Payload) -> Reply:
        """Through all of them. The first failure is the answer. What a single server streams is streamed."""
        headers = {name: value for name, value in payload.headers.items() if name.startswith(_FORWARDED)}
        steps = [
            _Step(number, server, self._predict, headers, self._timeout)
            for number, server in enumerate(self._servers, 1)
        ]
        said = payload.headers
        if len(steps) == 1:
            return steps[0].streamed(payload.body, said.get("content-type", ""), said.get("accept", ""))
        answer = in_order(steps, payload.body, said.get("content-type", ""), said.get("accept", ""))
        return Reply(answer.body, answer.content_type or _BYTES, answer.status)


class _Step:
    def __init__(self, number: int, server: Upstream, path: str, headers: Mapping[str, str], timeout: float) -> None:
        self._number = number
        self._server = server
        self._path = path
        self._headers = headers
        self._timeout = timeout

    def __call__(self, body: bytes, content_type: str, accept: str) -> Answer:
        try:
            return self._server.request("POST", self._path, body, self._with(content_type, accept), self._timeout)
        except NoAnswerError as error:
            raise self._silent(error) from error

    def streamed(self, body: bytes, content_type: str, accept: str) -> Reply:
        """The answer, part by part where it comes so."""
        try:
            answer = self._server.stream("POST", self._path, body, self._with(content_type, accept), self._timeout)
        except NoAnswerError as error:
            raise self._silent(error) from error
        media = answer.content_type or _BYTES
        if isinstance(answer, Streamed):
            return Reply(b"", media, answer.status, answer.parts)
        return Reply(answer.body, media, answer.status)

    def _with(self, content_type: str, accept: str) -> Mapping[str, str]:
        headers = {**self._headers, "accept": accept or "*/*"}
        return {**headers, "content-type": content_type} if content_type else headers

    def _silent(self, error: NoAnswerError) -> RefusedError:
        return RefusedError(504 if error.timed_out else 502, f"container {self._number} did not answer: {error}")
