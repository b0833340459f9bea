"""Vertex over REST and gRPC in this process: the real dispatch, database and object store, a clock by hand.

    with VertexBench(tmp_path) as bench:
        bench.call("EndpointService.CreateEndpoint", parent=PARENT, endpoint={"displayName": "a"})   # over gRPC

``Twins`` make every call over REST to one bench and over gRPC to another that is its equal, and compare the answers.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import grpc
import httpx
import orjson
from google.protobuf.json_format import MessageToDict, ParseDict

from mlparity.apis.vertex.context import API, Project, Vertex
from mlparity.apis.vertex.dispatch import Dispatch
from mlparity.apis.vertex.grpc_server import VertexGrpc
from mlparity.apis.vertex.names import project_number
from mlparity.apis.vertex.operation import Operation
from mlparity.apis.vertex.operations import Operations
from mlparity.apis.vertex.operations_table import BY_NAME
from mlparity.apis.vertex.rest import VertexRest
from mlparity.ids import SeededIds
from mlparity.metadata import MetadataStores
from mlparity.state import Database
from mlparity.state.documents import DocumentRepository
from mlparity.storage.filestore import FileObjectStore
from mlparity.testing import TestClock
from mlparity.wire import google
from mlparity.wire.google.cache import GoogleApis
from mlparity.wire.google.descriptors import ApiVersion, Message, Method
from mlparity.wire.google.uri_template import UriTemplate
from tests.vertex_hosting import Hosted
from tests.vertex_pipelines import Piped

PROJECT, LOCATION = "test-project", "us-central1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"


@functools.cache
def types() -> GoogleApis:
    """Vertex's types; written once on a machine for each version of the package and of what writes them."""
    folder = Path(google.__file__).parent
    sources = [folder / "extract.py", folder / "call_recorder.py"]
    written_by = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    apis = GoogleApis(Path(tempfile.gettempdir()) / f"mlparity-test-types-{written_by}")
    apis.prepare()
    return apis


@dataclass(frozen=True)
class Answer:
    """What a call was answered: the response, or the error's code, message and details, all in JSON."""

    code: str
    response: dict[str, Any] | None = None
    message: str = ""
    details: tuple[dict[str, Any], ...] = ()


class VertexBench:
    """One Vertex. ``parts`` are fields of ``Vertex`` beside the usual ones (a job service, for instance)."""

    def __init__(self, folder: Path, operations: Mapping[str, Operation] = BY_NAME, **parts: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.clock, self.ids = TestClock(), SeededIds(11)
        self.database = Database.open(folder / "state.db")
        self.store = FileObjectStore(self.database, folder / "blobs", self.clock, self.ids, LOCATION)
        documents = DocumentRepository(self.database, self.clock, API)
        self.hosted = Hosted(self.database, self.clock)
        metadata = MetadataStores(self.database, self.clock, self.ids)
        self.piped = Piped(self.database, self.store, metadata, self.clock, folder)
        usual = {
            "store": self.store,
            "metadata": metadata,
            "hosting": self.hosted.hosting,
            "runs": self.piped.engine,
            "pipelines": self.piped.pipelines,
        }
        self.vertex = Vertex(
            apis=types(),
            project=Project(PROJECT, project_number(PROJECT), LOCATION),
            documents=documents,
            operations=Operations(documents, self.clock, self.ids),
            clock=self.clock,
            ids=self.ids,
            **{**usual, **parts},
        )
        self.hosted.serve(self.vertex)
        self.piped.serve(self.vertex)
        self.dispatch = Dispatch(self.vertex, operations)
        self.rest_app = VertexRest(self.dispatch)
        self._grpc = VertexGrpc(self.dispatch)
        self.grpc_port = self._grpc.start()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(self.rest_app), base_url="http://127.0.0.1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._grpc.stop(0)
        self._runner.run(self._client.aclose())
        self._runner.close()
        self.hosted.close()
        self.piped.close()
        self.database.close()

    def call(self, name: str, /, version: str = "v1", **request: Any) -> dict[str, Any]:
        """One call over gRPC, its request and response in JSON. Fails where the answer is an error."""
        answer = self.grpc(name, request, version)
        assert answer.response is not None, answer
        return answer.response

    def refused(self, name: str, /, version: str = "v1", **request: Any) -> Answer:
        """The error of a call over gRPC."""
        answer = self.grpc(name, request, version)
        assert answer.response is None, answer
        return answer

    def grpc(self, name: str, request: Mapping[str, Any] | Message, version: str = "v1") -> Answer:
        """One call over gRPC. A streamed response is {"stream": [...]}."""
        api = types().get(version)
        method = api.methods[name]
        message = self.message(name, request, version)
        kind = self._channel.unary_stream if method.streams_responses else self._channel.unary_unary
        reads = api.message_class(method.response).FromString
        called = kind(
            method.path, request_serializer=lambda item: item.SerializeToString(), response_deserializer=reads
        )
        try:
            found = called(message, timeout=30)
            if method.streams_responses:
                return Answer("OK", {"stream": [_json(api, item) for item in found]})
            return Answer("OK", _json(api, found))
        except grpc.RpcError as error:
            trailers = dict(error.trailing_metadata() or ())
            status = api.message_class("google.rpc.Status").FromString(trailers.get("grpc-status-details-bin", b""))
            details = _json(api, status).get("details", [])
            return Answer(error.code().name, None, error.details(), tuple(details))

    def rest(self, name: str, request: Mapping[str, Any] | Message, version: str = "v1") -> Answer:
        """The same call over REST."""
        api = types().get(version)
        verb, path, query, body = to_http(api, api.methods[name], self.message(name, request, version))
        return self.http(verb, path, query, body)

    def http(self, verb: str, path: str, query: Mapping[str, Any] | None = None, body: bytes = b"") -> Answer:
        """One HTTP request."""
        found = self.raw_http(verb, path, query, body)
        if found.status_code < 300:
            document = found.json()
            return Answer("OK", {"stream": document} if isinstance(document, list) else document)
        if "json" not in found.headers["content-type"]:
            return Answer("NOT_FOUND" if found.status_code == 404 else str(found.status_code), None, found.text)
        error = found.json()["error"]
        return Answer(error["status"], None, error["message"], tuple(error.get("details", ())))

    def raw_http(
        self, verb: str, path: str, query: Mapping[str, Any] | None = None, body: bytes = b""
    ) -> httpx.Response:
        """One HTTP request, and its answer as it is."""
        return self._runner.run(self._client.request(verb, path, params=dict(query or {}), content=body))

    def message(self, name: str, request: Mapping[str, Any] | Message, version: str = "v1") -> Message:
        """A method's request from its JSON."""
        api = types().get(version)
        if not isinstance(request, Mapping):
            return request
        return ParseDict(request, api.new(api.methods[name].request), descriptor_pool=api.pool)


class Twins:
    """Two benches alike: each call goes over REST to one and over gRPC to the other, and must be answered the same."""

    def __init__(self, folder: Path, operations: Mapping[str, Operation] = BY_NAME, **parts: Any) -> None:
        self.by_rest = VertexBench(folder / "rest", operations, **parts)
        self.by_grpc = VertexBench(folder / "grpc", operations, **parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.by_rest.__exit__()
        self.by_grpc.__exit__()

    def both(self, name: str, request: Mapping[str, Any] | Message, version: str = "v1") -> Answer:
        """The answer that both gave."""
        rest, grpc_ = self.by_rest.rest(name, request, version), self.by_grpc.grpc(name, request, version)
        assert rest == grpc_, f"{name}: REST {rest}\ngRPC {grpc_}"
        return rest

    def call(self, name: str, /, version: str = "v1", **request: Any) -> dict[str, Any]:
        """The response of a call that must succeed."""
        answer = self.both(name, request, version)
        assert answer.response is not None, answer
        return answer.response

    def refused(self, name: str, /, version: str = "v1", **request: Any) -> Answer:
        """The error of a call that must fail."""
        answer = self.both(name, request, version)
        assert answer.response is None, answer
        return answer

    def advance(self, seconds: float) -> None:
        """Move both clocks."""
        for bench in (self.by_rest, self.by_grpc):
            bench.clock.advance(seconds)


def to_http(api: ApiVersion, method: Method, request: Message) -> tuple[str, str, dict[str, Any], bytes]:
    """A request as google.api.http says: verb, path, query and body."""
    for rule in method.http:
        template = UriTemplate.parse(rule.uri)
        values = {name: _value(request, name) for name in template.formats}
        if not all(template.variables[name].fullmatch(value) for name, value in values.items()):
            continue
        path = rule.uri
        for name, value in values.items():
            pattern = template.formats[name]
            written = f"{{{name}={pattern}}}" if f"{{{name}={pattern}}}" in path else f"{{{name}}}"
            path = path.replace(written, quote(value, safe="/:@"))
        document = _json(api, request)
        body = b""
        if rule.body == "*":
            for name in values:
                _take(document, name)
            body, document = orjson.dumps(document), {}
        elif rule.body:
            part = document.pop(_camel(rule.body), None)
            body = b"" if part is None else orjson.dumps(part)
        for name in values:
            _take(document, name)
        return rule.verb.upper(), path, _flat(document), body
    raise AssertionError(f"no path of {method.key} takes {request}")


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = str(value).lower() if isinstance(value, bool) else value
    return found


def _take(document: dict[str, Any], path: str) -> None:
    *parents, last = [_camel(part) for part in path.split(".")]
    for part in parents:
        document = document.get(part, {})
    document.pop(last, None)


def _value(request: Message, path: str) -> str:
    for part in path.split("."):
        request = getattr(request, part)
    return str(request)


def _json(api: ApiVersion, message: Message) -> dict[str, Any]:
    return dict(MessageToDict(message, descriptor_pool=api.pool))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
