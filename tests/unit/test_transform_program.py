"""The transform program: files into requests, answers into files, failures into reasons; with real servers."""

from __future__ import annotations

import gzip
import json
import os
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mlparity.serving.transform import driver
from mlparity.serving.transform.association import Association, compile_path, select
from mlparity.serving.transform.errors import DataError
from mlparity.serving.transform.plan import ContainerPlan, Settings, TransformPlan
from mlparity.serving.transform.records import Batch, Batching, batches

SETTINGS = Settings("text/csv", "text/csv", True, False, True, True, 6, 1, 30.0, 0)
MIRROR = "def model_fn(d): return 1\ndef transform_fn(m, body, kind, accept): return body, accept\n"


def rules(**changes: object) -> Batching:
    values = {"split_lines": True, "multi_record": True, "max_bytes": 0, "prepare": bytes, **changes}
    return Batching(**values)  # type: ignore[arg-type]


def made(path: Path, content: bytes, wanted: Batching, *, compressed: bool = False) -> list[Batch]:
    path.write_bytes(content)
    return list(batches(path, compressed=compressed, rules=wanted))


def test_lines_fill_requests_up_to_the_limit(tmp_path: Path) -> None:
    found = made(tmp_path / "f", b"aa\nbb\r\n\ncc", rules(max_bytes=6))
    assert [batch.body for batch in found] == [b"aa\nbb\n", b"cc\n"]
    assert [list(batch.records) for batch in found] == [[b"aa", b"bb"], [b"cc"]]


def test_one_record_a_request_has_no_newline(tmp_path: Path) -> None:
    found = made(tmp_path / "f", b"aa\nbb\n", rules(multi_record=False))
    assert [batch.body for batch in found] == [b"aa", b"bb"]


def test_an_unsplit_file_is_one_request(tmp_path: Path) -> None:
    assert [batch.body for batch in made(tmp_path / "f", b"a\nb\n", rules(split_lines=False))] == [b"a\nb\n"]


def test_compressed_files_are_unpacked(tmp_path: Path) -> None:
    found = made(tmp_path / "f", gzip.compress(b"a\nb\n"), rules(), compressed=True)
    assert found[0].body == b"a\nb\n"
    with pytest.raises(DataError, match="not gzip-compressed"):
        made(tmp_path / "g", b"plain", rules(), compressed=True)


@pytest.mark.parametrize("changes", [{}, {"multi_record": False}, {"split_lines": False}])
def test_a_record_beyond_the_limit_is_refused(tmp_path: Path, changes: Mapping[str, bool]) -> None:
    with pytest.raises(DataError, match="exceeds MaxPayloadInMB"):
        made(tmp_path / "f", b"a" * 9, rules(max_bytes=8, **changes))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", [10, 11, 12, 13, 14, 15]),
        ("$[1]", 11),
        ("$[-1]", 15),
        ("$[1,3]", [11, 13]),
        ("$[1:3]", [11, 12]),
        ("$[0,4:]", [10, 14, 15]),
    ],
)
def test_paths_select_from_rows(path: str, expected: object) -> None:
    assert select(compile_path(path), [10, 11, 12, 13, 14, 15]) == expected


def test_paths_select_from_objects() -> None:
    value = {"id": 1, "f": {"a": 2, "b": 3}, "g": [4, 5]}
    assert select(compile_path("$.f.a"), value) == 2
    assert select(compile_path("$['id','g']"), value) == {"id": 1, "g": [4, 5]}
    assert select(compile_path("$.f.['a','b']"), value) == {"a": 2, "b": 3}
    assert select(compile_path("$.g.*"), value) == [4, 5]
    with pytest.raises(DataError, match="selects nothing"):
        select(compile_path("$.no"), value)
    with pytest.raises(ValueError, match="is not a JSONPath"):
        compile_path("id")


def test_json_is_joined_as_the_documentation_shows() -> None:
    joined = Association("application/json", "application/json", False, join_input=True)
    assert json.loads(joined.finish([b'{"key":1}'], b'{"label":1}')) == {"key": 1, "SageMakerOutput": {"label": 1}}
    assert json.loads(joined.finish([b"[1]"], b"2")) == {"SageMakerInput": [1], "SageMakerOutput": 2}


def test_rows_are_joined_as_rows() -> None:
    joined = Association("text/csv", "text/csv", True, join_input=True)
    assert joined.finish([b"1,2", b'"a,b",4'], b"0.5\n0.25,x\n") == b'1,2,0.5\n"a,b",4,0.25,x'
    with pytest.raises(DataError, match="1 records to 2"):
        joined.finish([b"1", b"2"], b"1\n")


def plan(root: Path, *codes: str, **settings: object) -> TransformPlan:
    """A job whose containers are these inference programs."""
    containers = []
    for number, code in enumerate(codes):
        archive = root / f"archive-{number}"
        archive.mkdir()
        (root / "inference.py").write_text(code)
        with tarfile.open(archive / "model.tar.gz", "w:gz") as tar:
            tar.add(root / "inference.py", "code/inference.py")
        containers.append(ContainerPlan(str(root / f"model-{number}"), str(archive), "", {"NUMBER": str(number)}))
    (root / "in").mkdir()
    wanted = replace(SETTINGS, **settings)  # type: ignore[arg-type]
    return TransformPlan(
        containers, wanted, str(root / "in"), str(root / "out"), str(root / "failure"), "bucket/prefix/"
    )


@pytest.fixture(autouse=True)
def _this_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a job ``python3`` is the job's interpreter; here it is the tests'."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def test_many_requests_at_once_keep_the_order(tmp_path: Path) -> None:
    job = plan(tmp_path, MIRROR, multi_record=False, max_concurrent=4)
    lines = [str(number) for number in range(200)]
    (tmp_path / "in" / "a").write_text("\n".join(lines))
    (tmp_path / "in" / "sub").mkdir()
    (tmp_path / "in" / "sub" / "b").write_text("x\n")
    (tmp_path / "in" / "empty").write_text("")
    read = TransformPlan.read(_written(tmp_path / "plan.json", job))
    assert driver.run(read) == ""
    assert (tmp_path / "out" / "a.out").read_text().splitlines() == lines
    assert (tmp_path / "out" / "sub" / "b.out").read_text() == "x\n"
    assert (tmp_path / "out" / "empty.out").read_text() == ""


def _written(path: Path, job: TransformPlan) -> Path:
    path.write_text(job.to_json())
    return path


def test_containers_answer_one_after_the_other_with_their_own_environment(tmp_path: Path) -> None:
    code = "import os\ndef model_fn(d): return os.environ['NUMBER'] + os.environ['SAGEMAKER_BATCH']\n"
    code += "def transform_fn(m, b, c, a): return b.strip() + '-' + m, 'text/csv'\n"
    job = plan(tmp_path, code, code)
    (tmp_path / "in" / "a").write_text("x\n")
    assert driver.run(job) == ""
    assert (tmp_path / "out" / "a.out").read_text() == "x-0true-1true\n"


def test_a_server_that_does_not_start_is_the_algorithms_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = plan(tmp_path, "def model_fn(d): raise RuntimeError('no weights')\n")
    (tmp_path / "in" / "a").write_text("x\n")
    assert driver.run(job) == "AlgorithmError: See job logs for more information"
    said = capfd.readouterr()
    assert "the model server ended with exit code 1" in said.out
    assert "no weights" in said.out + said.err


def test_failures_are_retried_as_often_as_asked(tmp_path: Path) -> None:
    code = "count = [0]\ndef model_fn(d): return 1\ndef transform_fn(m, b, c, a):\n"
    code += "    count[0] += 1\n    if count[0] < 3: raise RuntimeError('not yet')\n    return str(count[0]), a\n"
    job = plan(tmp_path, code, max_retries=2)
    (tmp_path / "in" / "a").write_text("x\n")
    assert driver.run(job) == ""
    assert (tmp_path / "out" / "a.out").read_text() == "3\n"


def test_a_slow_answer_is_given_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import threading\ndef model_fn(d): return 1\n"
    code += "def transform_fn(m, b, c, a): threading.Event().wait(2)\n"
    job = plan(tmp_path, code, timeout_seconds=0.2)
    (tmp_path / "in" / "a").write_text("x\n")
    assert driver.run(job) == "AlgorithmError: See job logs for more information"
    assert "did not respond to /invocations request within 0.2 seconds" in capfd.readouterr().out
    assert not list((tmp_path / "out").iterdir())


def test_an_archive_that_is_none_is_the_clients_error(tmp_path: Path) -> None:
    job = plan(tmp_path, MIRROR)
    (tmp_path / "archive-0" / "model.tar.gz").write_bytes(b"not an archive")
    assert driver.run(job).startswith("ClientError: Cannot extract model.tar.gz")
