"""What the Kubeflow API refuses, for every operation of the vendor's document: types, ids, routes, absent ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from mlparity.apis.kubeflow.operations import BY_NAME, EXTRA, REFUSED, UPLOADS
from mlparity.apis.kubeflow.server_api import Route, server_api
from tests.conformance.kfp_world import kfp_world

ROUTES = server_api().routes
WRONG: dict[str, Any] = {"str": [], "bool": "perhaps", "int": "many", "datetime": "tomorrow"}


class Caller:
    def __init__(self, url: str) -> None:
        self._url, self._pool = url, urllib3.PoolManager()

    def __call__(
        self, method: str, path: str, body: Any = None, query: str = "", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        answer = self._pool.request(method, f"{self._url}{path}{query}", body=data, headers=headers, retries=False)
        return answer.status, json.loads(answer.data)

    def close(self) -> None:
        self._pool.clear()


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with kfp_world(tmp_path_factory.mktemp("kfp") / "world") as (_world, client):
        caller = Caller(client._existing_config.host)
        yield caller
        caller.close()


def path(route: Route) -> str:
    """The route's path with ids that nothing has."""
    text = route.path
    for name in route.path_parameters:
        text = text.replace(f"{{{name}}}", "nothing")
    return text


def assert_error(answer: tuple[int, dict[str, Any]], status: int, code: int) -> str:
    document = answer[1]
    assert (answer[0], document.get("code")) == (status, code), answer
    assert document["error"] == document["message"]
    assert [detail["@type"] for detail in document["details"]] == ["type.googleapis.com/api.Error"]
    return str(document["message"])


def test_every_operation_of_the_vendor_is_served_or_refused_by_name() -> None:
    beside = {route.name for route in EXTRA}
    assert {*BY_NAME, *UPLOADS, *REFUSED} - beside == {*ROUTES}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_absent_says_so(call: Caller, name: str) -> None:
    message = assert_error(call(ROUTES[name].method, path(ROUTES[name]), b"{}"), 501, 12)
    assert message.startswith(f"{name} ({REFUSED[name]}) is not served by mlparity")


@pytest.mark.parametrize("name", sorted(name for name, route in ROUTES.items() if "_id}" in route.path))
def test_an_unknown_id_is_not_found(call: Caller, name: str) -> None:
    if name == "PipelineService.ListPipelineVersions":
        assert call("GET", path(ROUTES[name]))[1]["pipeline_versions"] == []
        return
    body = {"pipeline_spec": {"root": {"dag": {}}, "pipelineInfo": {"name": "x"}}} if ROUTES[name].body else None
    message = assert_error(call(ROUTES[name].method, path(ROUTES[name]), body), 404, 5)
    assert message.startswith(f"{BY_NAME[name].failure}: ResourceNotFoundError: ")
    assert message.endswith("nothing not found.")


@pytest.mark.parametrize("name", sorted(name for name, route in ROUTES.items() if route.body.startswith("V2")))
def test_members_of_a_wrong_type_are_refused(call: Caller, name: str) -> None:
    if name in REFUSED:
        return
    route = ROUTES[name]
    for member, kind in server_api().models[route.body].fields.items():
        value = WRONG.get(kind, "no message" if kind != "object" else None)
        if value is not None:
            message = assert_error(call(route.method, path(route), {member: value}), 400, 3)
            assert member in message or "message" in message
    for body in (b"{", b"[]", b'"text"'):
        assert_error(call(route.method, path(route), body), 400, 3)


@pytest.mark.parametrize("name", sorted(name for name, route in ROUTES.items() if "page_size" in route.query))
def test_a_page_size_is_a_number(call: Caller, name: str) -> None:
    message = assert_error(call("GET", path(ROUTES[name]), query="?page_size=x"), 400, 3)
    assert "parameter: page_size" in message


@pytest.mark.parametrize("name", sorted(UPLOADS))
def test_an_upload_needs_a_form_with_a_file(call: Caller, name: str) -> None:
    assert_error(call("POST", ROUTES[name].path, {}), 400, 3)


def test_a_body_is_not_taken_without_end(call: Caller) -> None:
    assert "File size too large" in assert_error(call("POST", "/apis/v2beta1/runs", b" " * (34 << 20)), 400, 3)


def test_a_web_page_may_read_and_change_nothing(call: Caller) -> None:
    page = {"Origin": "http://example.com"}
    assert_error(call("POST", "/apis/v2beta1/experiments", {"display_name": "of a page"}, **page), 403, 7)
    assert call("GET", "/apis/v2beta1/healthz", **page)[0] == 200


def test_routes_that_do_not_exist(call: Caller) -> None:
    for wrong in ("/apis/v2beta1/nothing", "/apis/v3/runs", "/pipeline/apis/v2beta1/runs/a/b"):
        assert assert_error(call("GET", wrong), 404, 5) == "ResourceNotFoundError: Not Found"
    assert "use kfp 2" in assert_error(call("GET", "/apis/v1beta1/runs"), 404, 5)
    assert assert_error(call("DELETE", "/apis/v2beta1/runs"), 501, 12) == "Method Not Allowed"


def test_both_prefixes_and_spellings_are_understood(call: Caller) -> None:
    assert call("GET", "/pipeline/apis/v2beta1/healthz") == (200, {"multi_user": False, "pipeline_store": "database"})
    body = {"displayName": "camel", "description": None, "unknownMember": 1}
    made = call("POST", "/apis/v2beta1/experiments", body)[1]
    assert (made["display_name"], made["storage_state"], made["last_run_created_at"]) == ("camel", "AVAILABLE", None)
    listed = call("GET", "/apis/v2beta1/experiments", query="?sortBy=created_at%20desc&pageSize=1")[1]
    assert ([item["display_name"] for item in listed["experiments"]], listed["total_size"]) == (
        [listed["experiments"][0]["display_name"]],
        2,
    )
