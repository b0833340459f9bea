"""Google's wire: JSON and queries read strictly, routes, masks, page tokens, errors."""

from __future__ import annotations

import random
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from mlparity.wire.google.field_checks import clear_output_only, missing, unknown_enums
from mlparity.wire.google.field_mask import mask_violations, merge, read
from mlparity.wire.google.json_reader import read_json
from mlparity.wire.google.page_token import make_token, page_size, read_token
from mlparity.wire.google.query import read_query
from mlparity.wire.google.router import Router
from mlparity.wire.google.status import Code, GoogleError, bad_request
from mlparity.wire.google.uri_template import UriTemplate
from tests.vertex_bench import types

PACKAGE = "google.cloud.aiplatform.v1"


def v1() -> Any:
    return types().get("v1")


def told(kind: str, document: Any) -> list[str]:
    return [violation.description for violation in read_json(v1(), document, v1().new(kind))]


def test_json_becomes_a_message_by_either_name() -> None:
    job = v1().new("CustomJob")
    document = {
        "display_name": "a",
        "jobSpec": {
            "workerPoolSpecs": [{"replicaCount": "2", "containerSpec": {"imageUri": "i", "env": [{"name": "N"}]}}],
            "scheduling": {"timeout": "3.5s", "restartJobOnWorkerRestart": True},
        },
        "labels": {"a": "b"},
        "state": "JOB_STATE_RUNNING",
        "createTime": "2026-01-02T03:04:05.5Z",
        "error": None,
    }
    assert read_json(v1(), document, job) == []
    pool = job.job_spec.worker_pool_specs[0]
    assert (job.display_name, pool.replica_count, pool.container_spec.env[0].name) == ("a", 2, "N")
    assert (job.state, dict(job.labels), job.HasField("error")) == (3, {"a": "b"}, False)
    assert job.job_spec.scheduling.timeout.ToMilliseconds() == 3500
    assert job.create_time.ToMilliseconds() == 1767323045500


def test_every_fault_is_named_with_its_path() -> None:
    found = read_json(
        v1(),
        {
            "endpoint": {
                "displayName": 5,
                "nope": 1,
                "trafficSplit": {"0": "x"},
                "createTime": 1,
            },
            "also": None,
        },
        v1().new("CreateEndpointRequest"),
    )
    assert [(item.field, item.description) for item in found] == [
        ("endpoint.display_name", "Invalid value at 'endpoint.display_name' (TYPE_STRING), 5"),
        ("endpoint", "Invalid JSON payload received. Unknown name \"nope\" at 'endpoint': Cannot find field."),
        (
            "endpoint.traffic_split[0].value",
            "Invalid value at 'endpoint.traffic_split[0].value' (TYPE_INT32), \"x\"",
        ),
        (
            "endpoint.create_time",
            "Invalid value at 'endpoint.create_time' (type.googleapis.com/google.protobuf.Timestamp), 1",
        ),
        ("", 'Invalid JSON payload received. Unknown name "also": Cannot find field.'),
    ]


@pytest.mark.parametrize(
    ("kind", "document", "fault"),
    [
        ("CustomJob", {"state": "NOPE"}, f"'state' (type.googleapis.com/{PACKAGE}.JobState), \"NOPE\""),
        ("CustomJob", {"jobSpec": []}, "Proto field is not repeating, cannot start list."),
        ("CustomJob", {"jobSpec": "a"}, f"'job_spec' (type.googleapis.com/{PACKAGE}.CustomJobSpec), \"a\""),
        ("CustomJob", {"labels": ["a"]}, "Cannot bind a list to map"),
        ("CustomJob", {"labels": {"a": 1}}, "'labels[0].value' (TYPE_STRING), 1"),
        ("WorkerPoolSpec", {"replicaCount": 1.5}, "'replica_count' (TYPE_INT64), 1.5"),
        ("WorkerPoolSpec", {"replicaCount": True}, "'replica_count' (TYPE_INT64), true"),
        ("WorkerPoolSpec", {"replicaCount": str(2**63)}, "(TYPE_INT64)"),
        ("WorkerPoolSpec", {"containerSpec": {}, "pythonPackageSpec": {}}, "oneof field 'task' is already set"),
        ("ListEndpointsRequest", {"pageSize": 2**31}, "'page_size' (TYPE_INT32)"),
        ("Scheduling", {"restartJobOnWorkerRestart": "true"}, "(TYPE_BOOL)"),
        ("Scheduling", {"timeout": "3"}, "(type.googleapis.com/google.protobuf.Duration)"),
        ("Tensorboard", {"isDefault": []}, "Proto field is not repeating"),
        ("TensorboardBlob", {"data": "%%%"}, "(TYPE_BYTES)"),
        ("Artifact", {"metadata": [1]}, "Proto field is not repeating"),
        ("Model", {"versionAliases": [None]}, "(TYPE_REPEATED), null"),
    ],
)
def test_values_that_do_not_fit(kind: str, document: Any, fault: str) -> None:
    (only,) = told(kind, document)
    assert fault in only


def test_values_of_any_kind_and_depth() -> None:
    request = v1().new("PredictRequest")
    document = {"instances": [1.5, None, "a", [True, {"b": [None]}]], "parameters": None}
    assert read_json(v1(), document, request) == []
    assert (
        request.instances[3].list_value.values[1].struct_value.fields["b"].list_value.values[0].HasField("null_value")
    )
    nested: Any = 1
    for _ in range(300):
        nested = [nested]
    assert "Message too deep" in told("PredictRequest", {"instances": [nested]})[0]


def test_every_request_survives_json() -> None:
    """What protobuf itself writes as JSON, of every request of both versions, is read back as the same message."""
    size = 0
    for version in ("v1", "v1beta1"):
        api = types().get(version)
        for method in api.methods.values():
            dice = random.Random(f"3-{method.key}")
            message = api.new(method.request)
            scatter(message, dice, 0)
            back = api.new(method.request)
            assert read_json(api, MessageToDict(message, descriptor_pool=api.pool), back) == [], method.key
            assert back == message, method.key
            size += message.ByteSize()
    assert size > 30_000  # bytes: they were not empty


def scatter(message: Any, dice: random.Random, depth: int) -> None:
    """Set most of a message's fields."""
    kind = message.DESCRIPTOR.full_name
    if kind == "google.protobuf.Timestamp":
        message.FromSeconds(dice.randrange(2**31))
    elif kind == "google.protobuf.Duration":
        message.FromMilliseconds(dice.randrange(10**6))
    elif kind == "google.protobuf.FieldMask":
        message.paths.append("a_b.c")
    elif kind == "google.protobuf.Struct":
        message.update({"a": [1, None, {"b": True}]})
    elif kind in {"google.protobuf.Value", "google.protobuf.ListValue", "google.protobuf.Any"}:
        return
    else:
        for field in message.DESCRIPTOR.fields:
            if dice.random() < 0.85 and depth < 5 and not (field.message_type and is_blank(field.message_type)):
                scatter_field(message, field, dice, depth)


def is_blank(kind: Any) -> bool:
    """Messages that say nothing by being empty, which JSON cannot tell."""
    return kind.full_name in {"google.protobuf.Value", "google.protobuf.ListValue", "google.protobuf.Any"}


def scatter_field(message: Any, field: Any, dice: random.Random, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        if value.message_type is None and value.type == value.TYPE_STRING:
            getattr(message, field.name)["k"] = "v"
    elif field.message_type is not None:
        child = getattr(message, field.name)
        child = child.add() if field.is_repeated else child
        child.SetInParent()
        scatter(child, dice, depth + 1)
    else:
        value = scalar(field, dice)
        if field.is_repeated:
            getattr(message, field.name).extend([value, value])
        else:
            setattr(message, field.name, value)


def scalar(field: Any, dice: random.Random) -> Any:
    if field.enum_type is not None:
        return dice.choice(field.enum_type.values).number
    if field.type == field.TYPE_BYTES:
        return dice.randbytes(5)
    if field.cpp_type in {field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT}:
        return dice.choice([0.5, -3.0, 1e10, float("inf")])
    if field.type == field.TYPE_BOOL:
        return dice.random() < 0.5
    return dice.choice(["", "a", "é\n"]) if field.type == field.TYPE_STRING else dice.randrange(2**31)


def test_query_parameters_are_bound_to_fields() -> None:
    request = v1().new("UpdateEndpointRequest")
    pairs = [("updateMask", "displayName,labels"), ("$alt", "json;enum-encoding=int"), ("endpoint.labels", "x")]
    found = read_query(v1(), pairs, request)
    assert list(request.update_mask.paths) == ["display_name", "labels"]
    assert [item.field for item in found] == ["endpoint.labels"]
    request = v1().new("ListEndpointsRequest")
    found = read_query(v1(), [("pageSize", "7"), ("page_token", "t"), ("readMask", "name"), ("what", "1")], request)
    assert (request.page_size, request.page_token, list(request.read_mask.paths)) == (7, "t", ["name"])
    assert "Cannot bind query parameter. Field 'what' could not be found" in found[0].description
    assert read_query(v1(), [("pageSize", "1"), ("pageSize", "2")], request)[0].field == "page_size"


@pytest.mark.parametrize(
    ("verb", "path", "key", "variables"),
    [
        ("PATCH", "/v1/projects/p/locations/l/endpoints/1", "EndpointService.UpdateEndpoint", {"endpoint.name": "1"}),
        ("POST", "/v1/projects/p/locations/l/endpoints/1:predict", "PredictionService.Predict", {"endpoint": "1"}),
        ("GET", "/v1/projects/p/locations/l/models/m@2", "ModelService.GetModel", {"name": "m@2"}),
        ("GET", "/v1/projects/p/locations/l/models/a%20b", "ModelService.GetModel", {"name": "a b"}),
        ("GET", "/v1/projects/p/locations/l/models/1/operations/2", "Operations.GetOperation", {"name": "2"}),
        ("GET", "/v1/projects/p/locations", "Locations.ListLocations", {"name": "p"}),
    ],
)
def test_paths_find_their_method(verb: str, path: str, key: str, variables: dict[str, str]) -> None:
    match = Router(v1().methods.values()).match(verb, path)
    assert match is not None
    assert (match.method.key, {k: v.rpartition("/")[2] for k, v in match.variables.items()}) == (key, variables)


def test_paths_that_no_method_has() -> None:
    router = Router(v1().methods.values())
    for path in ("/v1/", "/v1/projects/p/locations/l/endpoints/", "/v1/projects/p/locations/l/endpoints/1:nope", "/x"):
        assert router.match("GET", path) is None, path
    assert router.match("PUT", "/v1/projects/p/locations/l/endpoints/1") is None


def test_every_route_of_both_versions_finds_a_method_of_its_own_kind() -> None:
    for version in ("v1", "v1beta1"):
        api = types().get(version)
        router = Router(api.methods.values())
        count = 0
        for method in api.methods.values():
            for rule in method.http:
                template = UriTemplate.parse(rule.uri)
                path = rule.uri
                for name, pattern in template.formats.items():
                    plain = pattern.replace("**", "x/y").replace("*", "x")
                    path = path.replace(f"{{{name}={pattern}}}", plain).replace(f"{{{name}}}", plain)
                match = router.match(rule.verb, path)
                assert match is not None, path
                # Where two methods share a path (there are such), either of them answers.
                assert match.rule.uri == rule.uri, path
                count += 1
        assert count > 300


def test_masks_replace_what_they_name() -> None:
    endpoint = {"displayName": "a", "labels": {"x": "1", "y": "2"}, "encryptionSpec": {"kmsKeyName": "k"}}
    stored, changed = v1().new("Endpoint"), v1().new("Endpoint")
    assert read_json(v1(), endpoint, stored) == read_json(v1(), {"labels": {"x": "9"}}, changed) == []
    merge(stored, changed, ["labels.x", "labels.y", "encryption_spec.kms_key_name", "description"])
    assert (dict(stored.labels), stored.encryption_spec.kms_key_name, stored.display_name) == ({"x": "9"}, "", "a")
    shown = read(stored, ["display_name"])
    assert (shown.display_name, dict(shown.labels)) == ("a", {})
    found = list(mask_violations(stored.DESCRIPTOR, ["display_name", "nope", "labels.x", "name.x"], "update_mask"))
    assert [item.description.split('"')[1] for item in found] == ["nope", "name.x"]


def test_page_tokens_belong_to_their_request() -> None:
    request = v1().new("ListEndpointsRequest", parent="p", filter="f", page_size=2)
    token = make_token(request, ["a", 3])
    request.page_token, request.page_size = token, 5
    assert (read_token(request), page_size(request, 10, 4)) == (["a", 3], 4)
    for other in ({"filter": "g"}, {"parent": "q"}, {"page_token": "?"}, {"page_token": token[:-4]}):
        wrong = v1().new("ListEndpointsRequest", **{"parent": "p", "filter": "f", "page_token": token, **other})
        with pytest.raises(GoogleError) as caught:
            read_token(wrong)
        assert caught.value.code is Code.INVALID_ARGUMENT
    with pytest.raises(GoogleError):
        page_size(v1().new("ListEndpointsRequest", page_size=-1), 10, 100)


def test_field_behaviour_is_that_of_the_documentation() -> None:
    request = v1().new("CreateCustomJobRequest", parent="p")
    request.custom_job.job_spec.worker_pool_specs.add().python_package_spec.SetInParent()
    assert sorted(item.field for item in missing(v1(), request)) == [
        "custom_job.display_name",
        "custom_job.job_spec.worker_pool_specs[0].python_package_spec.executor_image_uri",
        "custom_job.job_spec.worker_pool_specs[0].python_package_spec.package_uris",
        "custom_job.job_spec.worker_pool_specs[0].python_package_spec.python_module",
    ]
    request.custom_job.name, request.custom_job.state = "n", 77
    assert [item.field for item in unknown_enums(request)] == ["custom_job.state"]
    clear_output_only(v1(), request)
    assert (request.custom_job.name, request.custom_job.state) == ("", 0)


def test_errors_are_the_same_in_json_and_in_trailers() -> None:
    error = GoogleError(Code.INVALID_ARGUMENT, "text", [bad_request([])])
    status = error.as_status(v1())
    assert (status.code, status.message, len(status.details)) == (3, "text", 1)
    assert error.as_json()["error"]["code"] == 400


def test_the_types_are_those_of_the_package() -> None:
    """Names as in the API, not as Python writes them; long-running methods know what they end with."""
    assert v1().new("StudySpec.ParameterSpec").DESCRIPTOR.fields_by_name["parameter_id"]
    assert "type" in v1().new("Event").DESCRIPTOR.fields_by_name
    deploy = v1().methods["EndpointService.DeployModel"]
    assert deploy.operation_response == f"{PACKAGE}.DeployModelResponse"
    assert deploy.operation_metadata == f"{PACKAGE}.DeployModelOperationMetadata"
    assert v1().methods["PredictionService.StreamRawPredict"].streams_responses
    assert len(v1().methods) > 340
    assert all(method.http or method.streams_requests for method in v1().methods.values())
