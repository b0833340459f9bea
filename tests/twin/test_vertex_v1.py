"""google-cloud-aiplatform 1.165 and 2.7: one script, two servers alike, and the same answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from mlparity.engine.environments import Environments, requirement_lines
from mlparity.engine.process import Runtime
from mlparity.errors import RuntimeUnavailableError
from mlparity.testing.stack import RunningStack
from tests.conformance.s3_fixtures import serve
from tests.vertex_bench import PARENT, VertexBench

_HERE = Path(__file__).parent
_CACHE = _HERE.parents[1] / "build" / "twin"
_SECONDS = 120.0


@pytest.fixture(scope="module")
def first_python() -> str:
    """The interpreter that has SDK 1.x: built once by uv from vertex.lock, offline after that."""
    pins = requirement_lines((_HERE / "vertex.lock").read_text("utf-8"))
    try:
        return Environments(_CACHE).ready(Runtime("aiplatform-1", "venv", requirements=pins)).python
    except RuntimeUnavailableError as error:
        reason = ". ".join(error.lines())
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def found(first_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What the script found with each version; both run at once."""
    folder = tmp_path_factory.mktemp("vertex-twin")
    with ExitStack() as stack:
        started = []
        for name, python in (("first", first_python), ("second", sys.executable)):
            bench = stack.enter_context(VertexBench(folder / name))
            bench.store.ensure_bucket("bucket")
            for version in ("1", "2"):
                bench.store.put_bytes("bucket", f"{version}/model.joblib", b"weights")
            url = stack.enter_context(serve(bench.rest_app))
            result, log = folder / f"{name}.json", folder / f"{name}.log"
            script = _HERE / "flows" / "vertex.py"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [python, "-W", "ignore", str(script), url, f"127.0.0.1:{bench.grpc_port}", str(result)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append((process, log, result))
        read = []
        for process, log, result in started:
            assert process.wait(_SECONDS) == 0, log.read_text(errors="replace")[-6000:]
            read.append(json.loads(result.read_text()))
        yield read


def test_the_first_version_is_served_behind_the_gateway(
    first_python: str, twin_stack: RunningStack, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(50, 3))
    model = Ridge(alpha=0.5).fit(features, features @ [2.0, -1.0, 0.5])
    joblib.dump(model, tmp_path / "model.joblib")
    from tests.twin.sum_pipeline import compiled  # importing kfp takes seconds

    template = compiled(tmp_path / "sum.yaml")
    script, result = _HERE / "flows" / "vertex_stack.py", tmp_path / "found.json"
    ended = subprocess.run(
        [first_python, "-W", "ignore", str(script), str(tmp_path / "model.joblib"), str(template), str(result)],
        env=twin_stack.exec_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}"[-6000:]
    found = json.loads(result.read_text())
    assert found["version"] == "1.165.1"
    served = found["serving"]
    assert served["name"].startswith("projects/twin-project/locations/europe-west4/models/")
    assert (served["asked"], served["split"]) == (served["name"], [100])
    assert sorted(served["alias"]) == ["champion", "default"]
    np.testing.assert_allclose(served["predictions"], model.predict([[1, 2, 3], [0, 0, 0]]), rtol=1e-9)
    np.testing.assert_allclose(served["raw"], model.predict([[1, 0, 0]]), rtol=1e-9)
    assert found["pipeline"]["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert (found["pipeline"]["tasks"]["add"], found["pipeline"]["output"]) == ("SUCCEEDED", 15)
    assert found["experiment"] == {"name": "one", "params": {"alpha": 0.5}, "metrics": {"mse": 0.25}}


def test_both_versions_are_answered_alike(found: list[dict[str, Any]]) -> None:
    first, second = found
    assert (first.pop("version"), second.pop("version")[:2]) == ("1.165.1", "2.")
    assert first == second
    rest = first["rest"]
    assert rest["names"][0] == f"{PARENT}/endpoints/first"
    assert rest["renamed"] == ["renamed", "of two", {"stage": "prod"}]
    assert (rest["filtered"], rest["sorted"], rest["again"]) == (["renamed"], ["first", "renamed"], "dev")
    assert rest["gone"]["error"] == "NotFound"
    assert (rest["twice"]["error"], rest["twice"]["message"][-15:]) == ("Conflict", "already exists.")
    assert first["models"]["before"] == {"1": ["default"], "2": ["challenger"]}
    assert first["models"]["after"] == {"1": [], "2": ["challenger", "default"]}
    assert first["models"]["chosen"] == ["2", "gs://bucket/2", f"{PARENT}/models/model"]
    for version in ("v1", "v1beta1"):
        assert first[version]["changed"][1] == "d"
        assert first[version]["wrong"]["details"] == ["BadRequest"]
        assert first[version]["wrong"]["message"].endswith(
            "endpoint.display_name; Message: Required field is not set.\t"
        )
        assert first[version]["bad"]["details"] == ["ErrorInfo"]
    assert len(first["v1beta1"]["listed"]) == 3
