"""``Predictions`` over the router's unix socket."""

from __future__ import annotations

from typing import Protocol

from mlparity.serving.upstream import Answer, Upstream


class RouterSocket(Protocol):
    """What is needed of the router's process."""

    socket_path: str

    def wake(self) -> None:
        """Have the router started, if it is not needed yet."""
        ...


class RouterPredictions:
    """Asks over kept connections. Any thread."""

    def __init__(self, router: RouterSocket) -> None:
        self._router = router
        self._upstream = Upstream(router.socket_path)

    def ask(self, path: str, body: bytes, content_type: str, seconds: float) -> Answer:
        """See ``Predictions``."""
        self._router.wake()
        headers = {"content-type": content_type} if content_type else {}
        return self._upstream.request("POST", path, body, headers, seconds)

    def close(self) -> None:
        """Close the idle connections."""
        self._upstream.close()
