"""What serves a ``VertexBench``'s models: the real state machine, a fleet without processes, a test's own answers."""

from __future__ import annotations

from functools import partial

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.deployed_models import on_endpoint
from mlparity.apis.vertex.hosting import Hosting
from mlparity.clock import Clock
from mlparity.ids import SeededIds
from mlparity.serving.endpoints.repository import EndpointRepository
from mlparity.serving.endpoints.service import EndpointService, Pace
from mlparity.serving.upstream import Answer, NoAnswerError
from mlparity.state import Database
from mlparity.testing.serving import FakeFleet, FakeRouter

_NO_ENDPOINT = b'{"error": {"code": 404, "status": "NOT_FOUND", "message": "The Endpoint does not exist."}}'


class Hosted:
    """``asked`` has what went to the router; ``answer`` is what comes back, None where it is away."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.router = FakeRouter()
        self.fleet = FakeFleet(drain=self.router.drain)
        repository = EndpointRepository(database, clock, SeededIds(13))
        self.service = EndpointService(
            repository, self.fleet, self.router, clock, lambda _names: (), pace=Pace(threads=1)
        )
        self.hosting = Hosting(self.service, self, "logs")
        self.asked: list[tuple[str, bytes, str]] = []
        self.answer: Answer | None = Answer(404, "application/json", _NO_ENDPOINT)

    def serve(self, vertex: Vertex) -> None:
        """End the operations of ``vertex``."""
        self.service.listen(partial(on_endpoint, vertex), within=True)

    def ask(self, path: str, body: bytes, content_type: str, seconds: float) -> Answer:
        """See ``Predictions``."""
        self.asked.append((path, body, content_type))
        if self.answer is None:
            raise NoAnswerError("it is away")
        return self.answer

    def close(self) -> None:
        """End the threads."""
        self.service.close()
