"""Every operation that is served, asked wrongly: always the vendor's 4xx, never a 500.

From the vendor's own model come, for each operation, a valid request and requests that break one constraint each:
a required member left out, a wrong type, too short or long, a bad pattern or enumeration, out of range. The choice
among the many is seeded. Requests are real signed HTTP requests to the whole control plane, in this process.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mlparity.apis.sagemaker.operations import OPERATIONS
from mlparity.clock import SystemClock
from mlparity.ids import SystemIds
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.control_plane import ControlPlane
from mlparity.wire.aws_model import AwsModel

SEED = 20131
CASES = 80  # broken requests for each operation, of each operation's hundreds
SLOWEST = 1.0  # processor seconds of this process for one refusal, however busy the machine is
NAMES = sorted(operation.name for operation in OPERATIONS)
MODEL = AwsModel.load("sagemaker")
SHAPES: dict[str, Any] = dict(MODEL.document["shapes"])
# Values that between them satisfy the patterns of the model.
CANDIDATES = (
    "a1",
    "1.0",
    "abc",
    "arn:aws:iam::123456789012:role/a",
    "s3://bucket/key",
    "arn:aws:sagemaker:us-east-1:123456789012:pipeline/a/execution/abcdefghijkl",
    "arn:aws:sagemaker:us-east-1:123456789012:experiment/a",
    "arn:aws:sagemaker:us-east-1:123456789012:artifact/a",
    "arn:aws:sagemaker:us-east-1:123456789012:model-package/a/1",
    "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/a",
    "arn:aws:sagemaker:us-east-1:123456789012:training-plan/a",
    "arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/a",
    "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/a",
    "arn:aws:sagemaker:us-east-1:123456789012:mlflow-server/a",
    "arn:aws:lambda:us-east-1:123456789012:function:a",
    "arn:aws:sns:us-east-1:123456789012:a",
    "arn:aws:sagemaker:us-east-1:123456789012:hub-content/a/DataSet/a/1.0.0",
    "arn:aws:sagemaker:us-east-1:123456789012:hub-content/a/Model/a/1.0.0",
    "sha256:" + "0" * 64,
    "https://bucket/key",
    "application/json",
    "Mon:03:30",
    "fs-0123456789abcdef0",
    "/opt/ml/checkpoints",
    "1.0.0",
    "d-abc",
    "12K",
    "PT1H",
    "0" * 12,
    "0" * 36,
)
OF_ANOTHER_TYPE = {"string": 7, "integer": "seven", "long": "seven", "float": [], "double": [], "boolean": "yes"}


@dataclass(frozen=True)
class Answer:
    status: int
    code: str
    message: str
    seconds: float


@dataclass(frozen=True)
class Broken:
    """A request with one thing wrong: where (as the vendor writes paths), what, and the code it must get."""

    where: str
    what: str
    body: dict[str, Any]
    code: str = "ValidationException"


@dataclass(frozen=True)
class Caller:
    """Signs and sends to the control plane."""

    app: Any
    runner: asyncio.Runner
    secret: str
    key: str
    region: str

    def __call__(self, operation: str, body: Any, **changes: Any) -> Answer:
        """Call an operation; ``body`` is a value or the raw bytes."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = {"X-Amz-Target": f"SageMaker.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        return self.send(data, headers, **changes)

    def send(
        self, data: bytes, headers: dict[str, str], *, sign: bool = True, tamper: Callable[[Any], None] | None = None
    ) -> Answer:
        """Send one request; ``tamper`` may change it after it is signed."""
        request = AWSRequest("POST", "http://127.0.0.1:4570/", headers=headers, data=data)
        if sign:
            SigV4Auth(Credentials(self.key, self.secret), "sagemaker", self.region).add_auth(request)
        if tamper is not None:
            tamper(request)
        begun = time.process_time()
        answer = self.runner.run(self._post(request.data, dict(request.headers.items())))
        seconds = time.process_time() - begun
        try:
            document = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            document = {}
        assert isinstance(document, dict)
        return Answer(answer.status_code, document.get("__type", ""), document.get("message", ""), seconds)

    async def _post(self, data: bytes, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4570") as client:
            return await client.post("/", content=data, headers=headers)


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """The control plane over a database of its own. Its threads are not started: refusals need none."""
    config = ControlPlaneConfig(tmp_path_factory.mktemp("negative"), mlflow_port=0)
    plane = ControlPlane(config, SystemClock(), SystemIds())
    with asyncio.Runner() as runner:
        yield Caller(plane.app, runner, config.secret_access_key, config.access_key_id, config.region)
    plane.close()


def valid(shape: str, path: tuple[str, ...] = ()) -> Any:
    """The smallest value of a shape that the model allows, with the members along ``path`` given."""
    found = SHAPES[shape]
    kind = found["type"]
    if kind == "structure":
        return _structure(found, path)
    if kind == "list":
        size = max(found.get("min", 0), 1 if path else 0)
        return [valid(found["member"]["shape"], path[1:] if index == 0 else ()) for index in range(size)]
    if kind == "map":
        size = found.get("min", 0)
        return {f"{_text(found['key']['shape'])}{index}": valid(found["value"]["shape"]) for index in range(size)}
    if kind == "string":
        return _text(shape)
    if kind in {"boolean", "timestamp"}:
        return True if kind == "boolean" else 1600000000
    return min(max(found.get("min", 1), 1), found.get("max", 1 << 30))


def _structure(found: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    wanted = dict.fromkeys([*found.get("required", ()), *path[:1]])
    if found.get("union"):
        wanted = dict.fromkeys([*path[:1]] or [next(iter(found["members"]))])
    return {name: valid(found["members"][name]["shape"], path[1:] if path[:1] == (name,) else ()) for name in wanted}


def _text(shape: str) -> str:
    found = SHAPES[shape]
    if "enum" in found:
        return str(found["enum"][0])
    for candidate in (*CANDIDATES, "a" * max(found.get("min", 1), 1)):
        if not MODEL.read_shape(shape, candidate)[1]:
            return candidate
    raise AssertionError(f"no candidate satisfies {shape}: {found}")


def paths(shape: str, above: tuple[str, ...] = (), seen: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place of a request: member names, and "[]" for a list's element."""
    found = SHAPES[shape]
    if shape in seen:
        return
    if found["type"] == "structure":
        for name, member in found.get("members", {}).items():
            yield (*above, name)
            yield from paths(member["shape"], (*above, name), (*seen, shape))
    elif found["type"] == "list":
        yield (*above, "[]")
        yield from paths(found["member"]["shape"], (*above, "[]"), (*seen, shape))


def shape_at(shape: str, path: tuple[str, ...]) -> str:
    for part in path:
        found = SHAPES[shape]
        shape = found["member"]["shape"] if part == "[]" else found["members"][part]["shape"]
    return shape


def written(path: tuple[str, ...]) -> str:
    """A path as AWS's messages write it."""
    return ".".join("1.member" if part == "[]" else part[:1].lower() + part[1:] for part in path)


def put(body: Any, path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        body = body[0] if part == "[]" else body[part]
    body[0 if path[-1] == "[]" else path[-1]] = value


def take(body: Any, path: tuple[str, ...]) -> None:
    for part in path[:-1]:
        body = body[0] if part == "[]" else body[part]
    del body[path[-1]]


def broken_values(shape: str) -> Iterator[tuple[str, Any, str]]:
    """(what is wrong, the value, the code) for a place of this shape."""
    found = SHAPES[shape]
    kind, minimum, maximum = found["type"], found.get("min"), found.get("max")
    if kind in {"structure", "map", "list"}:
        yield "wrong type", "text", "SerializationException"
        if kind == "list" and maximum is not None and maximum <= 60:
            yield "too many", [valid(found["member"]["shape"])] * (maximum + 1), "ValidationException"
        if kind == "list" and minimum:
            yield "too few", [], "ValidationException"
        return
    if kind in OF_ANOTHER_TYPE:
        yield "wrong type", OF_ANOTHER_TYPE[kind], "SerializationException"
    if kind == "timestamp":
        yield "no time", "soon", "SerializationException"
        yield "beyond time", 1e30, "SerializationException"
    if kind in {"integer", "long", "float", "double"}:
        if maximum is not None:
            yield "too large", maximum + 1, "ValidationException"
        if minimum is not None:
            yield "too small", minimum - 1, "ValidationException"
    if kind == "string":
        yield from _broken_texts(found, minimum, maximum)


def _broken_texts(found: dict[str, Any], minimum: int | None, maximum: int | None) -> Iterator[tuple[str, Any, str]]:
    if "enum" in found:
        yield "not in the enumeration", "No Such Value", "ValidationException"
        return
    if maximum is not None and maximum <= 5000:
        yield "too long", "a" * (maximum + 1), "ValidationException"
    if minimum:
        yield "too short", "", "ValidationException"
    if "pattern" in found:
        probe = "\x00 ../../é\n"[: maximum or 100]
        import regex

        if not regex.compile(found["pattern"].replace(r"\uD800\uDC00-\uDBFF\uDFFF", "")).fullmatch(probe):
            yield "pattern", probe, "ValidationException"


def breakages(operation: str) -> list[Broken]:
    """Every way to break one constraint of one request."""
    shape = MODEL.document["operations"][operation]["input"]["shape"]
    found = []
    for path in paths(shape):
        parent = SHAPES[shape_at(shape, path[:-1])]
        if path[-1] in parent.get("required", ()):
            body = valid(shape, path)
            take(body, path)
            found.append(Broken(written(path), "left out", body))
        for what, value, code in broken_values(shape_at(shape, path)):
            body = valid(shape, path)
            put(body, path, value)
            found.append(Broken(written(path), what, body, code))
    return found


def sample(operation: str) -> list[Broken]:
    """A seeded choice that has every kind of breakage at least once."""
    everything = breakages(operation)
    dice = random.Random(f"{SEED}-{operation}")
    dice.shuffle(everything)
    kinds = {broken.what: broken for broken in everything}
    rest = [broken for broken in everything if broken not in kinds.values()]
    return [*kinds.values(), *rest[: max(0, CASES - len(kinds))]]


@pytest.mark.parametrize("operation", NAMES)
def test_one_broken_constraint_is_named(call: Caller, operation: str) -> None:
    for broken in sample(operation):
        answer = call(operation, broken.body)
        told = f"{operation}: {broken.where} {broken.what}: {answer}"
        assert answer.status == 400, told
        assert answer.code == broken.code, told
        if broken.code == "ValidationException":
            assert f"at '{broken.where}' failed to satisfy constraint" in answer.message, told
        assert answer.seconds < SLOWEST, told


@pytest.mark.parametrize("operation", NAMES)
def test_valid_requests_about_nothing_are_answered(call: Caller, operation: str) -> None:
    """No member alone makes a defect: each optional member is given once, in a request the model allows."""
    shape = MODEL.document["operations"][operation]["input"]["shape"]
    places = list(paths(shape))
    random.Random(f"{SEED}-{operation}").shuffle(places)
    for path in [(), *places[:CASES]]:
        body = valid(shape, path)
        assert MODEL.read_request(operation, body)[1] == []
        answer = call(operation, body)
        told = f"{operation} with {written(path) or 'what is required'}: {answer}"
        assert answer.status in {200, 400, 404, 409}, told
        assert answer.status == 200 or answer.code, told
        assert "validation error" not in answer.message, told


def test_bodies_that_are_no_requests(call: Caller) -> None:
    bodies = {
        b"{": "SerializationException",
        b"{'TrainingJobName': 'a'}": "SerializationException",
        b'{"TrainingJobName": "\xff"}': "SerializationException",
        b'{"TrainingJobName": "\\ud800"}': "SerializationException",
        b"[]": "SerializationException",
        b'"text"': "SerializationException",
        b"null": "SerializationException",
        b'{"TrainingJobName": NaN}': "SerializationException",
        b'{"TrainingJobName": {"a": 1}}': "SerializationException",
        b"": "ValidationException",
        b'{"TrainingJobName": null}': "ValidationException",
        b'{"Unknown": 1}': "ValidationException",
        b"[" * 100_000: "SerializationException",
        b'{"TrainingJobName": "' + b"a" * 1_000_000 + b'"}': "ValidationException",
    }
    for body, code in bodies.items():
        answer = call("DescribeTrainingJob", body)
        assert (answer.status, answer.code) == (400, code), f"{body[:40]!r}: {answer}"
        assert len(answer.message) < 4000, body[:40]


def test_operations_that_are_not_there(call: Caller) -> None:
    absent = next(name for name in MODEL.operations if name not in NAMES)
    for operation in ("NoSuchOperation", "", "describetrainingjob", absent):
        answer = call(operation, {})
        assert (answer.status, answer.code) == (400, "UnknownOperationException"), answer
    assert absent in call(absent, {}).message
    for target in ("TrainingJob", "Logs_20140328.SageMaker.DescribeTrainingJob", "SageMaker"):
        answer = call.send(b"{}", {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"})
        assert (answer.status, answer.code) == (400, "UnknownOperationException"), (target, answer)


@pytest.mark.parametrize("operation", NAMES)
def test_nothing_is_answered_without_a_signature(call: Caller, operation: str) -> None:
    answer = call(operation, {}, sign=False)
    assert (answer.status, answer.code) == (403, "MissingAuthenticationTokenException"), answer


def test_signatures_that_do_not_stand(call: Caller) -> None:
    def other_body(request: Any) -> None:
        request.data = b'{"TrainingJobName": "b"}'

    def other_header(request: Any) -> None:
        request.headers.replace_header("X-Amz-Target", "SageMaker.DeleteTrainingJob")

    def old(request: Any) -> None:
        then = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y%m%dT%H%M%SZ")
        request.headers.replace_header("X-Amz-Date", then)

    def garbage(request: Any) -> None:
        request.headers.replace_header("Authorization", "AWS4-HMAC-SHA256 nonsense")

    body = {"TrainingJobName": "a"}
    cases = {
        "wrong secret": (replace(call, secret="wrong"), None, {"InvalidSignatureException"}),
        "unknown key": (replace(call, key="AKIANOBODY"), None, {"UnrecognizedClientException"}),
        "other body": (call, other_body, {"InvalidSignatureException"}),
        "other target": (call, other_header, {"InvalidSignatureException"}),
        "an hour old": (call, old, {"InvalidSignatureException"}),
        "unreadable": (call, garbage, {"IncompleteSignatureException"}),
    }
    for case, (caller, tamper, codes) in cases.items():
        answer = caller("DescribeTrainingJob", body, tamper=tamper)
        assert answer.status == 403, f"{case}: {answer}"
        assert answer.code in codes, f"{case}: {answer}"
        assert call.secret not in answer.message, case


def test_names_never_become_paths(call: Caller) -> None:
    """Names that the model lets through, or values inside them, that look like paths."""
    for name in ("..", "../../etc/passwd", "/etc/passwd", "a/../b", "a\\b", "a\x00b", "a" * 64):
        for operation, member in (
            ("DescribeTrainingJob", "TrainingJobName"),
            ("DescribeProcessingJob", "ProcessingJobName"),
            ("DescribePipeline", "PipelineName"),
            ("DescribeModelPackageGroup", "ModelPackageGroupName"),
        ):
            answer = call(operation, {member: name})
            assert answer.status == 400, (operation, name, answer)
            assert answer.code in {"ValidationException", "ResourceNotFound"}, (operation, name, answer)


def test_the_generator_breaks_what_it_says() -> None:
    """Guards the tests above: every operation can be asked validly, and every kind of breakage occurs."""
    kinds = {broken.what for operation in NAMES for broken in sample(operation)}
    assert kinds >= {"left out", "wrong type", "too long", "pattern", "not in the enumeration", "too small", "too many"}
    assert all(len({broken.where for broken in sample(operation)}) >= 1 for operation in NAMES)
    everything = sum(len(breakages(operation)) for operation in ("CreateTrainingJob", "CreateModelPackage"))
    assert everything > 500
    assert sample("CreateTrainingJob") == sample("CreateTrainingJob")


def test_answers_name_their_error_in_the_header_too(call: Caller) -> None:
    request = AWSRequest(
        "POST",
        "http://127.0.0.1:4570/",
        headers={"X-Amz-Target": "SageMaker.DescribeTrainingJob", "Content-Type": "application/x-amz-json-1.1"},
        data=b"{}",
    )
    SigV4Auth(Credentials(call.key, call.secret), "sagemaker", call.region).add_auth(request)
    answer = call.runner.run(call._post(request.data, dict(request.headers.items())))
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-requestid"]


def test_a_data_folder_is_all_that_is_written(call: Caller, tmp_path: Path) -> None:
    """Refused requests leave nothing behind."""
    answer = call("ListTrainingJobs", {})
    assert answer.status == 200
    assert list(tmp_path.iterdir()) == []
