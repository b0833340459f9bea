"""What Vertex needs of the substrate that serves models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from mlparity.apis.vertex.runtime.paths import API, endpoint_name
from mlparity.errors import NotFoundError
from mlparity.serving.endpoints.contract import Endpoints
from mlparity.serving.endpoints.endpoints import Endpoint
from mlparity.serving.endpoints.plans import ModelContainer
from mlparity.serving.upstream import Answer

_SLICE = 0.25  # seconds: how often one that waits looks again


class Predictions(Protocol):
    """The way to the router."""

    def ask(self, path: str, body: bytes, content_type: str, seconds: float) -> Answer:
        """POST to the router's own HTTP. Raises ``NoAnswerError``."""
        ...


def _nothing(_containers: Sequence[ModelContainer]) -> None:
    return


class Hosting:
    """Endpoints, the way to their models, and where logged requests go (a bucket).

    ``expect`` is told of containers that may be deployed soon.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        predictions: Predictions,
        logging_bucket: str,
        expect: Callable[[Sequence[ModelContainer]], None] = _nothing,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoints = endpoints
        self.predictions = predictions
        self.logging_bucket = logging_bucket
        self.expect = expect
        self._monotonic = monotonic
        self._changed = threading.Condition()
        endpoints.listen(self._notice)

    def find(self, location: str, endpoint_id: str) -> Endpoint:
        """The substrate's endpoint. Raises ``NotFoundError``."""
        return self.endpoints.get(API, endpoint_name(location, endpoint_id))

    def settle(self, location: str, endpoint_id: str, seconds: float) -> None:
        """Wait until nothing is under way at the endpoint, or it is gone; no longer than ``seconds``."""
        until = self._monotonic() + seconds
        with self._changed:
            while self._is_busy(location, endpoint_id) and (left := until - self._monotonic()) > 0:
                self._changed.wait(min(left, _SLICE))

    def _is_busy(self, location: str, endpoint_id: str) -> bool:
        try:
            return self.find(location, endpoint_id).phase.is_busy
        except NotFoundError:
            return False

    def _notice(self, endpoint: Endpoint, _before: Endpoint | None) -> None:
        if endpoint.api == API:
            with self._changed:
                self._changed.notify_all()
