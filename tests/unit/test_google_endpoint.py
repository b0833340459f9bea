"""What stands around Vertex and Cloud Storage: which app answers, tokens, the project, and the local key file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from starlette.responses import PlainTextResponse

from mlparity.apis.gcp.projects import ProjectsApp
from mlparity.apis.gcp.projects_grpc import ProjectsGrpc
from mlparity.apis.gcp.tokens import TokenApp
from mlparity.apis.vertex.runtime.paths import PREDICTION
from mlparity.cli.google_checks import google_checks, pipelines_checks
from mlparity.gateway.google_endpoint import GoogleApps, GoogleEndpoint
from mlparity.ids import SeededIds
from mlparity.profiles.google import ensure_key_file
from mlparity.profiles.load import Sources, load_profile
from mlparity.profiles.locate import shipped
from mlparity.profiles.model import LocalGcp
from mlparity.storage.gcs import serves

PROJECT, NUMBER = "local-project", "123456789012"
ENDPOINT = f"/v1/projects/{PROJECT}/locations/us-central1/endpoints/1"


class Client:
    """Requests to an ASGI app, one at a time."""

    def __init__(self, app: Any) -> None:
        self._transport = httpx.ASGITransport(app)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://127.0.0.1:4573") as client:
                return await client.request(method, path, **options)

        return asyncio.run(asked())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@pytest.fixture
def client() -> Client:
    apps = GoogleApps(
        admin=PlainTextResponse("admin"),
        storage=PlainTextResponse("storage"),
        vertex=PlainTextResponse("vertex"),
        tokens=TokenApp(SeededIds(1)),
        projects=ProjectsApp(PROJECT, NUMBER),
        predictions=PlainTextResponse("router"),
        is_storage=serves,
        is_prediction=lambda path: PREDICTION.match(path) is not None,
    )
    return Client(GoogleEndpoint(apps))


@pytest.mark.parametrize(
    ("method", "host", "path", "answer"),
    [
        ("GET", "127.0.0.1:4573", ENDPOINT, "vertex"),
        ("POST", "127.0.0.1:4573", f"{ENDPOINT}:predict", "router"),
        ("GET", "127.0.0.1:4573", f"{ENDPOINT}:predict", "vertex"),
        ("GET", "127.0.0.1:4573", "/storage/v1/b/x", "storage"),
        ("GET", "127.0.0.1:4573", "/_mlparity/health", "admin"),
        ("GET", "storage.googleapis.com", "/v1/anything", "storage"),
        ("GET", "europe-west4-aiplatform.googleapis.com", "/b/o", "vertex"),
        ("POST", "1.us-central1-1.prediction.vertexai.goog", f"{ENDPOINT}:rawPredict", "router"),
    ],
)
def test_host_and_path_tell_what_answers(client: Client, method: str, host: str, path: str, answer: str) -> None:
    assert client.request(method, path, headers={"host": host}).text == answer


def test_an_api_that_is_not_there_is_refused_by_its_name(client: Client) -> None:
    told = client.get("/v1/x", headers={"host": "pubsub.googleapis.com"})
    assert told.status_code == 501
    assert "pubsub.googleapis.com" in told.json()["error"]["message"]


def test_tokens_are_given_for_what_the_vendor_gives_them_for(client: Client) -> None:
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x.y.z"}
    given = client.post("/token", data=grant).json()
    assert (given["token_type"], given["expires_in"]) == ("Bearer", 3600)
    assert given["access_token"] != client.post("/token", data=grant).json()["access_token"]
    assert client.post("/token", data={**grant, "assertion": ""}).json()["error"] == "invalid_request"
    assert client.post("/token", data={"grant_type": "password"}).json()["error"] == "unsupported_grant_type"
    assert client.get("/token").status_code == 400


@pytest.mark.parametrize("name", [PROJECT, NUMBER])
def test_the_one_project_is_told_by_id_and_number(client: Client, name: str) -> None:
    assert client.get(f"/v1/projects/{name}").json()["projectNumber"] == NUMBER
    assert client.get(f"/v3/projects/{name}").json()["projectId"] == PROJECT
    assert client.get("/v3/projects/another-one").status_code == 403


@pytest.fixture
def project_of() -> Iterator[Any]:
    """GetProject over gRPC, with the vendor's bytes: field 1 is the name, field 3 of the answer the project's id."""
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, [ProjectsGrpc(PROJECT, NUMBER)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            method = channel.unary_unary("/google.cloud.resourcemanager.v3.Projects/GetProject")
            yield lambda name: method(b"\x0a" + bytes([len(name)]) + name.encode(), timeout=10)
        server.stop(None).wait()


def test_the_project_is_told_over_grpc(project_of: Any) -> None:
    answer = project_of(f"projects/{PROJECT}")
    assert b"\x0a" + bytes([len(f"projects/{NUMBER}")]) + f"projects/{NUMBER}".encode() in answer
    assert b"\x1a" + bytes([len(PROJECT)]) + PROJECT.encode() in answer
    with pytest.raises(grpc.RpcError, match="does not have permission"):
        project_of("projects/another-one")


def test_the_key_file_keeps_its_key_while_its_address_changes(tmp_path: Path) -> None:
    path = tmp_path / "client" / "key.json"
    ensure_key_file(path, LocalGcp(provider="mlparity", port=4573))
    first = json.loads(path.read_text())
    load_pem_private_key(first["private_key"].encode(), None)
    before = path.stat().st_mtime_ns
    ensure_key_file(path, LocalGcp(provider="mlparity", port=4573))
    assert path.stat().st_mtime_ns == before
    ensure_key_file(path, LocalGcp(provider="mlparity", port=5573))
    second = json.loads(path.read_text())
    assert (second["token_uri"], second["private_key"]) == ("http://127.0.0.1:5573/token", first["private_key"])
    assert path.stat().st_mode & 0o077 == 0


def checks(tmp_path: Path, name: str, **environment: str) -> dict[str, bool | None]:
    profile = load_profile(name, Sources(environment, shipped("stacks"), tmp_path, {})).profile
    found = (*google_checks(profile, {"HOME": str(tmp_path), **environment}), *pipelines_checks(profile))
    return {check.name: check.ok for check in found}


def test_doctor_tells_what_google_cloud_and_kubeflow_lack(tmp_path: Path) -> None:
    bare = checks(tmp_path, "gcp")
    assert [name for name, ok in bare.items() if ok is False] == ["project", "location", "bucket", "credentials"]
    key = tmp_path / "key.json"
    key.write_text("{}")
    given = {
        "GOOGLE_CLOUD_PROJECT": "my-project",
        "MLPARITY_GCP_LOCATION": "us-central1",
        "MLPARITY_GCP_BUCKET": "my-bucket",
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
    }
    assert False not in checks(tmp_path, "gcp", **given).values()
    assert checks(tmp_path, "gcp", **given, STORAGE_EMULATOR_HOST="http://127.0.0.1:4573")["endpoint"] is False
    assert checks(tmp_path, "kubeflow") == {"host": False}
    assert checks(tmp_path, "kubeflow", KF_PIPELINES_ENDPOINT="https://kfp.example") == {"host": True}
