"""Asynchronous inference: a durable queue for each endpoint, emptied as fast as its instances may be asked.

A crash repeats what was under way: every request is answered at least once, at the same place.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mlparity.apis.sagemaker.async_answers import Answering, DataPlaneAwayError, Outcome
from mlparity.apis.sagemaker.async_queue import AsyncQueue, AsyncRequest
from mlparity.clock import Clock
from mlparity.errors import MlparityError, NotFoundError

_LOG = logging.getLogger(__name__)
_PATIENCE = 0.5  # seconds before a data plane that was away is asked again
_GRACE = 5.0  # seconds that requests under way get when the stack goes down
_MOST = 64  # requests under way at a time, of all endpoints: each is a thread


@dataclass(frozen=True)
class AsyncEndpoint:
    """An endpoint as its queue sees it."""

    config: Mapping[str, Any]  # AsyncInferenceConfig
    takes_requests: bool
    instances: int  # that answer now

    @property
    def concurrency(self) -> int:
        """How many requests may be under way. SageMaker chooses where the user does not; here it is 4."""
        return self.instances * int(self.config.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance", 4))


@dataclass
class Processed:
    """What has been done since it was last asked."""

    outcomes: list[Outcome]
    backlog_seconds: list[float]  # how long each request waited


class AsyncInference:
    """Any thread. ``endpoint`` gives an endpoint of asynchronous inference; raises ``NotFoundError``."""

    def __init__(
        self, queue: AsyncQueue, answering: Answering, endpoint: Callable[[str], AsyncEndpoint], clock: Clock
    ) -> None:
        self._queue = queue
        self._answering = answering
        self._endpoint = endpoint
        self._clock = clock
        self._lock = threading.Condition()
        self._under_way: dict[str, set[str]] = {}  # endpoint -> ids of requests
        self._having: set[str] = set()  # endpoints that may have requests
        self._processed: dict[str, Processed] = {}
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._closed = False  # the database may be, too
        self._thread = threading.Thread(target=self._run, name="async-inference", daemon=True)

    def start(self) -> None:
        """Go on with what an earlier process left."""
        self._having = self._queue.endpoints()
        self._wake.set()
        self._thread.start()

    def close(self) -> None:
        """Stop taking requests. What is under way for long is repeated after the next start."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._lock.wait_for(lambda: not any(self._under_way.values()), _GRACE)
            self._closed = True

    def submit(self, endpoint: str, request_id: str, body: Mapping[str, Any]) -> None:
        """Queue a request."""
        self._queue.add(endpoint, request_id, body)
        with self._lock:
            self._having.add(endpoint)
        self._wake.set()

    def changed(self) -> None:
        """Look again: an endpoint takes requests since now, or has more instances."""
        self._wake.set()

    def gone(self, endpoint: str) -> None:
        """Forget the requests of an endpoint that was deleted."""
        self._queue.clear(endpoint)
        with self._lock:
            self._having.discard(endpoint)

    def take_processed(self, endpoint: str) -> Processed:
        """What was done since this was called last."""
        with self._lock:
            return self._processed.pop(endpoint, Processed([], []))

    def backlog(self, endpoint: str) -> tuple[int, float]:
        """(requests that wait or are under way, age of the oldest in seconds)."""
        oldest = self._queue.waiting(endpoint, 1)
        if not oldest:
            return 0, 0.0
        return self._queue.size(endpoint), (self._clock.now() - oldest[0].received_at) / timedelta(seconds=1)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                endpoints = sorted(self._having)
            for endpoint in endpoints:
                if self._closing.is_set():
                    return
                try:
                    self._dispatch(endpoint)
                except MlparityError as error:  # a database that refuses: later
                    _LOG.warning("asynchronous requests of %s wait: %s", endpoint, error)
                    self._later()

    def _dispatch(self, name: str) -> None:
        """Start as many requests of an endpoint as it may be asked."""
        try:
            endpoint = self._endpoint(name)
        except NotFoundError:
            self.gone(name)
            return
        if not endpoint.takes_requests:
            return
        with self._lock:
            under_way = self._under_way.setdefault(name, set())
            busy = sum(map(len, self._under_way.values()))
            room = min(endpoint.concurrency - len(under_way), _MOST - busy)
            known = set(under_way)
        if room <= 0:
            return
        found = self._queue.waiting(name, room, known)
        with self._lock:
            if not found and not under_way:
                self._having.discard(name)  # a submit that comes now puts it back and wakes
            under_way.update(request.id for request in found)
        if not found and self._queue.waiting(name, 1, known):
            with self._lock:
                self._having.add(name)
        for request in found:
            output = endpoint.config["OutputConfig"]
            threading.Thread(target=self._answer, args=(request, output), name="async-request", daemon=True).start()

    def _answer(self, request: AsyncRequest, output: Mapping[str, Any]) -> None:
        begun = self._clock.now()
        try:
            outcome = self._answering.answer(request, output)
            if self._closed:
                return  # it is answered again
            self._queue.done(request)
        except DataPlaneAwayError as error:
            _LOG.info("asynchronous request %s waits: %s", request.inference_id, error)
            self._later()
        except Exception:  # noqa: BLE001 - one request must not stop the others; it is tried again
            _LOG.exception("asynchronous request %s", request.inference_id)
            self._later()
        else:
            waited = (begun - request.received_at) / timedelta(seconds=1)
            with self._lock:
                done = self._processed.setdefault(request.endpoint, Processed([], []))
                done.outcomes.append(outcome)
                done.backlog_seconds.append(waited)
        finally:
            with self._lock:
                self._under_way.get(request.endpoint, set()).discard(request.id)
                self._lock.notify_all()
            self._wake.set()

    def _later(self) -> None:
        """Before the request is free again, so that it is not asked for without a pause."""
        self._closing.wait(_PATIENCE)
        self._wake.set()
