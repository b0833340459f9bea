"""Every Vertex method that is served, asked wrongly: Google's error, the same over REST and gRPC, never an INTERNAL.

From the package's own descriptors come, for each method of the operation table, a request with all that is required and
requests with one thing wrong each. A method that joins the table is covered without a line here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from mlparity.apis.vertex.operations_table import BY_NAME, OPERATIONS
from mlparity.apis.vertex.validation import updated_field
from mlparity.wire.google.descriptors import VERSIONS, ApiVersion, Message, Method
from mlparity.wire.google.field_checks import REQUIRED, is_set, missing
from mlparity.wire.google.uri_template import UriTemplate
from tests.vertex_bench import PARENT, Answer, Twins, to_http, types

NAMES = sorted(operation.name for operation in OPERATIONS)
SEED, CASES = 7, 25  # broken requests of one kind for each method
EXPECTED = {"OK", "NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "ALREADY_EXISTS", "UNIMPLEMENTED"}
_DEPTH = 6
_SHARED = ("Operations.", "Locations.")  # by all versions


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with Twins(tmp_path_factory.mktemp("vertex")) as found:
        yield found


def method_of(name: str, version: str = "") -> tuple[ApiVersion, Method]:
    """In the version that is asked for, or in the first that has it."""
    found = [types().get(item) for item in ([version] if version else VERSIONS)]
    api = next(api for api in found if name in api.methods)
    return api, api.methods[name]


def valid(name: str, version: str = "") -> Message:
    """A request with all that is documented as required, about resources that do not exist."""
    api, method = method_of(name, version)
    request = api.new(method.request)
    fill(api, request, 0)
    # Of the paths of a method that all resources have, one of a resource that no other test makes.
    rule = next(
        (rule for rule in method.http if "/endpoints/*" in rule.uri and name.startswith(_SHARED)), method.http[0]
    )
    for path, pattern in UriTemplate.parse(rule.uri).formats.items():
        target = request
        *parents, last = path.split(".")
        for part in parents:
            target = getattr(target, part)
        setattr(target, last, name_like(pattern))
    if updated_field(request):
        resource = getattr(request, updated_field(request))
        paths = [
            f.name
            for f, _ in resource.ListFields()
            if f.name not in api.behaviour(resource.DESCRIPTOR.full_name).immutable
        ]
        request.update_mask.paths[:] = [path for path in paths if path != "name"][:1] or [
            "labels" if "labels" in resource.DESCRIPTOR.fields_by_name else "display_name"
        ]
    return request


def name_like(pattern: str) -> str:
    """``projects/*/locations/*/models/*`` with the bench's project, and a number for the rest."""
    text = pattern.replace("projects/*/locations/*", PARENT, 1) if pattern.startswith("projects/*/loc") else pattern
    return text.replace("projects/*", PARENT.rpartition("/locations")[0], 1).replace("**", "404").replace("*", "404")


def fill(api: ApiVersion, message: Message, depth: int) -> None:
    required = api.behaviour(message.DESCRIPTOR.full_name).required
    for field in message.DESCRIPTOR.fields:
        if field.name not in required or (is_set(message, field) and not field.message_type):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            target = getattr(message, field.name)
            if field.message_type.fields_by_name["value"].message_type is None:
                target["a"] = "a" if field.message_type.fields_by_name["value"].type == field.TYPE_STRING else 1
            else:
                target["a"].SetInParent()
        elif field.message_type is not None:
            child = getattr(message, field.name)
            child = child.add() if field.is_repeated else child
            child.SetInParent()
            if depth < _DEPTH and not field.message_type.full_name.startswith("google.protobuf."):
                fill(api, child, depth + 1)
        else:
            value: Any = 1 if field.enum_type is not None else b"a" if field.type == field.TYPE_BYTES else "a"
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)


def required_paths(api: ApiVersion, message: Message, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of the required fields that are set and that can be told from not being set."""
    required = api.behaviour(message.DESCRIPTOR.full_name).required
    for field, value in message.ListFields():
        own = field.message_type is not None and not field.message_type.full_name.startswith("google.protobuf.")
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.name in required and (field.has_presence or field.is_repeated or isinstance(value, str | bytes)):
            yield (*prefix, field.name)
        if own and not is_map:
            for number, child in enumerate(value if field.is_repeated else [value]):
                yield from required_paths(api, child, (*prefix, field.name, *([number] if field.is_repeated else [])))


def without(request: Message, path: tuple[Any, ...]) -> Message:
    copy = type(request)()
    copy.CopyFrom(request)
    target = copy
    for part in path[:-1]:
        target = target[part] if isinstance(part, int) else getattr(target, part)
    target.ClearField(path[-1])
    return copy


def written(path: tuple[Any, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def some(name: str, items: list[Any]) -> list[Any]:
    random.Random(f"{SEED}-{name}").shuffle(items)
    return items[:CASES]


def in_path(name: str) -> set[str]:
    return {path for rule in method_of(name)[1].http for path in UriTemplate.parse(rule.uri).formats}


def violations(answer: Answer) -> list[tuple[str, str]]:
    found = [detail for detail in answer.details if detail["@type"].endswith("google.rpc.BadRequest")]
    return [(item.get("field", ""), item["description"]) for detail in found for item in detail["fieldViolations"]]


@pytest.mark.parametrize("name", NAMES)
def test_a_required_field_that_is_missing_is_named(twins: Twins, name: str) -> None:
    api, _ = method_of(name)
    request = valid(name)
    lenient = BY_NAME[name].may_be_empty
    for path in some(name, list(required_paths(api, request))):
        broken = without(request, path)
        owner = broken
        for part in path[:-1]:
            owner = owner[part] if isinstance(part, int) else getattr(owner, part)
        masked = updated_field(request) and path[0] == updated_field(request) and len(path) > 1
        if f"{owner.DESCRIPTOR.name}.{path[-1]}" in lenient or masked or f"{owner.DESCRIPTOR.name}" == "EnvVar":
            continue
        if any(variable == written(path) or variable.startswith(f"{written(path)}.") for variable in in_path(name)):
            answer = twins.by_grpc.grpc(name, broken, api.version)  # over REST it would be another path
        else:
            answer = twins.both(name, broken, api.version)
        assert answer.code == "INVALID_ARGUMENT", (written(path), answer)
        assert (written(path), REQUIRED) in violations(answer), (written(path), answer)


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_none(twins: Twins, name: str) -> None:
    for path in in_path(name):
        for bad in ("nonsense", "projects/p", f"{PARENT}/x/1/2", "../../etc/passwd"):
            broken = valid(name)
            *parents, last = path.split(".")
            target = broken
            for part in parents:
                target = getattr(target, part)
            formats = [UriTemplate.parse(rule.uri).variables.get(path) for rule in method_of(name)[1].http]
            if any(found is not None and found.fullmatch(bad) for found in formats):
                continue
            setattr(target, last, bad)
            answer = twins.by_grpc.grpc(name, broken, method_of(name)[0].version)
            assert answer.code == "INVALID_ARGUMENT", (path, bad, answer)
            assert answer.details[0]["reason"] == "RESOURCE_PROJECT_INVALID", answer


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_field_or_of_another_type_is_named(twins: Twins, name: str) -> None:
    """Over REST only: protobuf has no such requests."""
    api, method = method_of(name)
    verb, path, query, body = to_http(api, method, valid(name))
    answer = twins.by_rest.http(verb, path, {**query, "noSuchParameter": "1"}, body)
    assert answer.code == "INVALID_ARGUMENT", answer
    assert '"noSuchParameter": Cannot bind query parameter' in answer.message
    rule = method.http[0]
    if not rule.body:
        assert twins.by_rest.http(verb, path, query, b'{"a": 1}').code == "INVALID_ARGUMENT"
        return
    kind = api.new(method.request).DESCRIPTOR
    if any(f.message_type and f.message_type.full_name == "google.api.HttpBody" for f in kind.fields):
        return  # takes any body
    if rule.body != "*":
        kind = kind.fields_by_name[rule.body].message_type
    for field in some(name, [field for field in kind.fields if field.name not in in_path(name)]):
        wrong = {"what": ["x"]} if not (field.message_type or field.is_repeated) else 5
        if field.message_type is not None and field.message_type.full_name in {
            "google.protobuf.Value",
            "google.protobuf.Any",
        }:
            continue
        answer = twins.by_rest.http(verb, path, query, _json({field.json_name: wrong}))
        assert answer.code == "INVALID_ARGUMENT", (field.name, answer)
        assert any(field.name in item[0] for item in violations(answer)), (field.name, answer)
    for content in (b'{"noSuchField": 1}', b"{", b"[]", b'"a"', b'{"a": NaN}', b"\xff"):
        answer = twins.by_rest.http(verb, path, query, content)
        assert answer.code == "INVALID_ARGUMENT", (content, answer)
        assert answer.message.startswith("Invalid JSON payload received."), (content, answer)


@pytest.mark.parametrize("name", NAMES)
def test_pages_masks_and_enumerations(twins: Twins, name: str) -> None:
    request, version = valid(name), method_of(name)[0].version
    fields = request.DESCRIPTOR.fields_by_name
    if "page_token" in fields:
        for broken in ({"page_size": -1}, {"page_token": "nonsense"}):
            wrong = type(request)()
            wrong.CopyFrom(request)
            wrong.MergeFrom(type(request)(**broken))
            answer = twins.both(name, wrong, version)
            assert answer.code in {"INVALID_ARGUMENT", "NOT_FOUND"}, (broken, answer)
    if updated_field(request):
        request.update_mask.paths[:] = ["no_such_field"]
        answer = twins.both(name, request, version)
        assert answer.code == "INVALID_ARGUMENT", answer
        assert "update_mask" in [item[0] for item in violations(answer)], answer
    for field in request.DESCRIPTOR.fields:
        if field.enum_type is not None and not field.is_repeated:
            wrong = valid(name)
            setattr(wrong, field.name, 9999)
            answer = twins.both(name, wrong, version)
            assert answer.code == "INVALID_ARGUMENT", (field.name, answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_request_about_nothing_is_answered_alike(twins: Twins, name: str) -> None:
    for version in ("v1",) if name.startswith(_SHARED) else VERSIONS:
        about_nothing(twins, name, version)


def about_nothing(twins: Twins, name: str, version: str) -> None:
    api = types().get(version)
    if name not in api.methods:
        return  # a method of the other version alone
    request = valid(name, version)
    assert not list(missing(api, request)), MessageToDict(request)
    answer = twins.both(name, request, version)
    assert answer.code in EXPECTED, answer


def test_methods_that_are_not_served_say_so(twins: Twins) -> None:
    api = types().get("v1")
    absent = [method for method in api.methods.values() if method.key not in BY_NAME and not method.streams_requests]
    for method in some("absent", absent):
        if not method.http:
            continue
        answer = twins.both(method.key, valid(method.key))
        assert answer.code == "UNIMPLEMENTED", answer
        assert method.key in answer.message
    for path in (
        "/",
        "/v1",
        "/v1/nothing",
        "/v2/projects/p/locations/l/endpoints",
        "/v1/projects/p/locations/l/endpoints/",
    ):
        found = twins.by_rest.raw_http("GET", path)
        assert (found.status_code, "Error 404" in found.text) == (404, True), path


def _json(document: Any) -> bytes:
    import orjson

    return orjson.dumps(document)
