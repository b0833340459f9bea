"""The parts of mlflow_serving that need no stack: prices, the reaper's reasons, the model's digest, ECS, the image."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mlparity.errors import ConfigurationError, ScenarioError
from scenarios.mlflow_serving import ecs, engine, image
from scenarios.mlflow_serving.arguments import wish
from scenarios.mlflow_serving.digest import archive, model_digest
from scenarios.mlflow_serving.prices import PriceList, price_list
from scenarios.mlflow_serving.reaper import Candidate, reason_to_go
from scenarios.mlflow_serving.saved_image import MANIFEST, manifest_in
from scenarios.mlflow_serving.versions import Version

FOLDER = Path(__file__).parents[2] / "scenarios" / "mlflow_serving"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIST = PriceList(date(2026, 1, 1), "made up", "us-east-1", {"ml.m5.large": 0.1})


def test_an_estimate_says_its_date_and_gets_old() -> None:
    young = LIST.estimate("ml.m5.large", 2, "us-east-1", date(2026, 1, 2))
    assert young == (
        "about 0.200 USD an hour, 146 USD a month (2 x ml.m5.large), by the list of 2026-01-01 for us-east-1"
    )
    old = LIST.estimate("ml.m5.large", 1, "eu-west-1", date(2026, 12, 31))
    assert "eu-west-1 has other prices" in old
    assert "364 days old" in old


def test_an_unknown_instance_type_has_no_price() -> None:
    words = LIST.estimate("ml.z9.huge", 1, "us-east-1", date(2026, 1, 2))
    assert words == "the price of ml.z9.huge is not known: the list of 2026-01-01 does not name it"


def test_the_price_file_is_a_list_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    assert price_list(FOLDER / "prices.yaml").per_hour["ml.m5.large"] > 0
    broken = tmp_path / "prices.yaml"
    broken.write_text("{as_of: some day, source: x, region: y, per_hour: {}}")
    with pytest.raises(ConfigurationError, match=r"prices\.yaml is no price list"):
        price_list(broken)


@pytest.mark.parametrize(
    ("ttl", "made", "asked", "reason"),
    [
        (60, 500, 5, ""),
        (-1, 500, 0, "has passed 1 min ago"),
        (0, 500, 0, "has passed 0 min ago"),
        (60, 500, 30, "no Invocations for 30 min"),
        (60, 500, 29, ""),
        (60, 500, None, "no Invocations for 500 min, none since it was made or changed"),
        (60, 10, None, ""),  # new: nobody has had time to ask
        (60, 10, 90, ""),  # changed since
        (None, 500, 5, ""),  # a tag that is no time is no reason
    ],
)
def test_why_an_endpoint_goes(ttl: int | None, made: int, asked: int | None, reason: str) -> None:
    until = "tomorrow" if ttl is None else (NOON + timedelta(minutes=ttl)).isoformat()
    last = None if asked is None else NOON - timedelta(minutes=asked)
    said = reason_to_go(Candidate("e", until, NOON - timedelta(minutes=made), last), NOON, 30)
    assert said.endswith(reason) if reason else said == ""


def model(folder: Path, *, run: str = "a", weights: bytes = b"1", flavour: str = "python_function") -> Path:
    (folder / "code").mkdir(parents=True)
    (folder / "MLmodel").write_text(f"run_id: {run}\nmodel_id: m-{run}\nflavors: {{{flavour}: {{}}}}\n")
    (folder / "weights").write_bytes(weights)
    (folder / "code" / "rules.py").write_text("x = 1\n")
    return folder


def test_the_same_model_has_the_same_digest(tmp_path: Path) -> None:
    first = model(tmp_path / "first")
    again = model(tmp_path / "again", run="b")
    (again / "registered_model_meta").write_text("model_version: '7'")
    (again / "code" / "__pycache__").mkdir()
    (again / "code" / "__pycache__" / "rules.pyc").write_bytes(b"x")
    assert model_digest(first) == model_digest(again)
    others = [
        model(tmp_path / "weights", weights=b"2"),
        model(tmp_path / "flavour", flavour="sklearn"),
        model(tmp_path / "code"),
    ]
    (others[2] / "code" / "rules.py").write_text("x = 2\n")
    assert len({model_digest(first), *map(model_digest, others)}) == 4


def test_the_archive_is_the_model_and_has_no_times(tmp_path: Path) -> None:
    folder = model(tmp_path / "model")
    packed = archive(folder)
    (folder / "weights").touch()
    assert archive(folder) == packed
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == ["MLmodel", "code/rules.py", "weights"]
        assert {entry.mtime for entry in tar} == {0}


def test_the_manifest_says_that_nothing_was_built_and_its_layers_exist(tmp_path: Path) -> None:
    version = Version("1", model(tmp_path / "model"), "d" * 64)
    packed = archive(version.folder)
    context = image.build_context(FOLDER, version, tmp_path / "context")
    manifest = json.loads(image.description(FOLDER, version, packed))
    assert manifest["annotations"]["mlparity.built"] == "false"
    blobs = {name: (context / name).read_bytes() for name in ("Dockerfile", "serve")} | {"model.tar.gz": packed}
    described = {
        layer["annotations"]["org.opencontainers.image.title"]: (layer["digest"], layer["size"])
        for layer in manifest["layers"]
    }
    assert described == {
        name: (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data)) for name, data in blobs.items()
    }
    assert (context / "model" / "MLmodel").is_file()


@pytest.mark.parametrize("attested", [False, True])
def test_the_manifest_that_a_newer_docker_saves_is_taken_as_it_is(attested: bool) -> None:
    manifest = b'{"schemaVersion": 2}'
    blobs = [manifest]
    described = {"mediaType": MANIFEST, "digest": digest_of(manifest), "platform": {"os": "linux"}}
    if attested:  # an index with the image and what was said of its build
        other = {"digest": digest_of(b"{}"), "mediaType": MANIFEST, "platform": {"os": "unknown"}}
        blobs.append(json.dumps({"manifests": [other, described]}).encode())
        described = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest_of(blobs[1])}
    saved = io.BytesIO()
    with tarfile.open(fileobj=saved, mode="w") as tar:
        index = {"index.json": json.dumps({"manifests": [described]}).encode()}
        for name, data in {**{f"blobs/{digest_of(one).replace(':', '/')}": one for one in blobs}, **index}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    saved.seek(0)
    assert manifest_in(saved) == manifest.decode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("installed", [False, True])
def test_without_an_engine_three_lines_say_what_to_do(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setenv("PATH", str(tmp_path))
    elif shutil.which("docker") is None:
        pytest.skip("there is no docker command on this machine")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none'}")
    with pytest.raises(ScenarioError) as caught:
        engine.require()
    what, why, hint = caught.value.lines()
    assert "--build needs a container engine" in what
    assert str(tmp_path / "none") in why if installed else "no `docker` command" in why
    assert "`docker info` answers, or leave --build away" in hint
    assert engine.built() == []


def test_the_task_definition_is_one_and_a_wrong_one_is_refused() -> None:
    definition = ecs.task_definition("r/mlflow-pyfunc:abc", "arn:aws:iam::123456789012:role/r", "us-east-1")
    ecs.check(definition)
    assert definition["containerDefinitions"][0]["image"] == "r/mlflow-pyfunc:abc"
    with pytest.raises(ScenarioError, match="the task definition is none"):
        ecs.check({**definition, "cpu": 1024})


def test_one_step_at_a_time() -> None:
    assert wish(["--promote", "3"]).promote == "3"
    for wrong in (
        ["--promote", "3", "--back"],
        ["--delete"],
        ["--idle-minutes", "0"],
        ["--ttl-hours", "0"],
        ["--nonsense"],
    ):
        with pytest.raises(ConfigurationError, match="mlflow_serving"):
            wish(wrong)
