"""Vertex over real sockets for the unmodified google-cloud-aiplatform: REST for its classes, gRPC for its clients.

    @pytest.fixture(scope="module")
    def vertex(tmp_path_factory): with vertex_running(tmp_path_factory.mktemp("vertex")) as found: yield found

The SDK is imported once a process, seven seconds; its settings are process-wide, so each test sets what it needs anew
through ``Running.init``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tests.conformance.s3_fixtures import serve
from tests.vertex_bench import LOCATION, PARENT, PROJECT, VertexBench

__all__ = ["LOCATION", "PARENT", "PROJECT", "Running", "vertex_running"]


@dataclass(frozen=True)
class Running:
    """A served bench; ``url`` for REST, ``bench.grpc_port`` for gRPC."""

    bench: VertexBench
    url: str

    def init(self, **settings: Any) -> Any:
        """Point the SDK here and give it back."""
        from google.auth.credentials import AnonymousCredentials

        sdk = _sdk()
        sdk.init(
            project=PROJECT,
            location=LOCATION,
            api_endpoint=self.url,
            api_transport="rest",
            credentials=AnonymousCredentials(),
            **settings,
        )
        return sdk

    @contextmanager
    def grpc_client(self, service: str, version: str = "v1") -> Iterator[Any]:
        """A client of the SDK's own, over gRPC: ``grpc_client("MetadataService")``."""
        import importlib

        snake = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in service).lstrip("_")
        module = importlib.import_module(f"google.cloud.aiplatform_{version}.services.{snake}")
        transports = importlib.import_module(f"{module.__name__}.transports")
        with grpc.insecure_channel(f"127.0.0.1:{self.bench.grpc_port}") as channel:
            transport = getattr(transports, f"{service}GrpcTransport")(channel=channel)
            yield getattr(module, f"{service}Client")(transport=transport)


@contextmanager
def vertex_running(folder: Path, **parts: Any) -> Iterator[Running]:
    """Serve a bench in ``folder``; ``parts`` are those of ``VertexBench``."""
    with VertexBench(folder, **parts) as bench, serve(bench.rest_app) as url:
        yield Running(bench, url)
        _sdk().initializer.global_config.__init__()


def _sdk() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from google.cloud import aiplatform
    return aiplatform
