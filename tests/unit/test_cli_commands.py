from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.cli.main import run
from mlparity.scenarios.catalogue import SYSTEMS
from mlparity.stack.folder import DataFolder
from mlparity.stack.listen import free_port
from mlparity.stack.stop import stop
from mlparity.testing.stack import RunningStack, running_stack

LOG = "first line\nsecond line\n"  # of the fake's job ``known``
FAKE = f"{Path(__file__).with_name('stack_fake_plane.py')}:build"


@pytest.fixture(scope="module")
def fake_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("cli"), mlflow=False, control_plane=FAKE) as stack:
        yield stack


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(arguments) == code, capsys.readouterr().err
    return capsys.readouterr().out


def in_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    return json.loads(printed(capsys, *arguments, code=code))


def test_status_of_a_running_stack(fake_stack: RunningStack, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(fake_stack.config.data_dir)
    document = in_json(capsys, "--data-dir", folder, "status", "--json")
    assert (document["up"], document["healthy"], document["running_jobs"]) == (True, True, 3)
    assert [part["name"] for part in document["parts"]] == ["supervisor", "control-plane"]
    text = printed(capsys, "status", "--data-dir", folder)
    assert "running jobs: 3" in text
    assert fake_stack.aws_url in text


def test_status_where_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_json(capsys, "status", "--json", "--data-dir", str(tmp_path), code=1)["up"] is False


def test_down_where_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing was running" in printed(capsys, "down", "--data-dir", str(tmp_path))


@pytest.mark.parametrize("command", [("status",), ("status", "--json"), ("down",), ("logs",), ("logs", "job")])
def test_a_folder_that_is_not_ours_is_told_by_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    foreign, file, damaged = (tmp_path / name for name in ("foreign", "file", "damaged"))
    foreign.mkdir()
    (foreign / "thesis.tex").touch()
    file.touch()
    DataFolder(damaged).prepare()
    (damaged / "mlparity.json").write_text("")
    for path, what in (
        (foreign, f"{foreign} is not a data folder of mlparity"),
        (file, f"{file} is no folder"),
        (damaged, f"{damaged / 'mlparity.json'} is damaged\n  why: it is empty"),
    ):
        assert run([*command, "--data-dir", str(path)]) == 1
        captured = capsys.readouterr()
        assert captured.err.startswith(f"error: {what}")
        assert captured.out == ""
    assert [path.name for path in foreign.iterdir()] == ["thesis.tex"]


def test_status_tells_of_a_damaged_folder_that_the_running_stack_does_not_mind(
    fake_stack: RunningStack, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fake_stack.config.data_dir
    marker = folder / "mlparity.json"
    text = marker.read_text()
    try:
        marker.write_text("{")
        shown = printed(capsys, "status", "--data-dir", str(folder), code=1)
        assert f"{marker} is damaged: it is not JSON (line 1)" in shown
        document = in_json(capsys, "status", "--json", "--data-dir", str(folder), code=1)
        assert (document["up"], document["healthy"], "is damaged" in document["damage"]) == (True, False, True)
    finally:
        marker.write_text(text)


def test_env_notes_that_the_stack_has_other_ports(
    fake_stack: RunningStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, port = str(fake_stack.config.data_dir), fake_stack.config.aws_port
    monkeypatch.setenv("MLPARITY_AWS_PORT", "4570")
    assert run(["env", "--shell", "json", "--data-dir", folder]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4570"
    assert f"note: the stack that is up has aws_port {port}, not 4570" in captured.err
    monkeypatch.setenv("MLPARITY_AWS_PORT", str(port))
    run(["env", "--shell", "json", "--data-dir", folder])
    assert f"aws_port {port}" not in capsys.readouterr().err


def test_down_tells_of_the_jobs_that_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_stack(tmp_path / "d", mlflow=False, control_plane=FAKE):
        assert printed(capsys, "down", "--data-dir", str(tmp_path / "d")) == (
            "3 running jobs are ended with it\nstopped control-plane\n"
        )


@pytest.mark.parametrize("flags", [(), ("--follow",)])
def test_logs_come_piece_by_piece(
    fake_stack: RunningStack, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    folder = str(fake_stack.config.data_dir)
    assert printed(capsys, "logs", "known", "--data-dir", folder, *flags) == LOG


def test_logs_of_an_unknown_job(fake_stack: RunningStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["logs", "a/../b c", "--data-dir", str(fake_stack.config.data_dir)]) == 1
    assert "there is no job or endpoint 'a/../b c'" in capsys.readouterr().err


def test_logs_without_a_name_list_the_jobs(fake_stack: RunningStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert "known  training  completed" in printed(capsys, "logs", "--data-dir", str(fake_stack.config.data_dir))


def test_env_as_json_and_the_files_that_it_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = in_json(capsys, "env", "--shell", "json", "--data-dir", str(tmp_path / "d"))
    assert values["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4570"
    for name in ("SAGEMAKER_USER_CONFIG_OVERRIDE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        assert Path(values[name]).is_file()


def test_scenarios_are_the_twelve_in_their_true_state(capsys: pytest.CaptureFixture[str]) -> None:
    listed = in_json(capsys, "scenarios", "--json")
    assert [scenario["name"] for scenario in listed][:12] == [name for name, _ in SYSTEMS]
    there = {scenario["name"]: scenario["profiles"] for scenario in listed if scenario["there"]}
    assert there["sagemaker_training"] == ["embedded", "aws"]
    (training,) = [scenario for scenario in listed if scenario["name"] == "sagemaker_training"]
    assert list(training["parts"]) == ["cached", "tuning", "transform", "schedule", "selective"]
    text = printed(capsys, "scenarios")
    assert "not there yet" in text
    assert "parts of sagemaker_training (--parts NAME,NAME or --all):\n  cached     the pipeline again" in text


def test_profile_list_marks_the_active_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPARITY_PROFILE", "aws")
    active = [profile["name"] for profile in in_json(capsys, "profile", "list", "--json") if profile["active"]]
    assert active == ["aws"]


def test_profile_show_prints_values_with_their_origin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = in_json(capsys, "--data-dir", str(tmp_path), "profile", "show", "--json")["values"]
    assert shown["data_dir"] == {"value": str(tmp_path), "origin": "flag --data-dir"}
    assert shown["roles.aws_api.secret_access_key"]["value"] == "********"
    assert "roles.aws_api.port" in printed(capsys, "profile", "show", "embedded")


def test_doctor_of_the_local_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPARITY_AWS_PORT", str(free_port()))
    monkeypatch.setenv("MLPARITY_MLFLOW_PORT", str(free_port()))
    run(["doctor", "--json", "--data-dir", str(tmp_path / "d")])
    document = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check["ok"] for check in document["checks"]}
    assert checks["python"] is checks["packages"] is checks["data folder"] is checks["port"] is True
    assert checks["docker"] is None
    assert document["ok"] == all(ok is not False for ok in checks.values())


def test_doctor_of_the_cloud_profile_tells_what_is_missing_without_the_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4570")
    document = in_json(capsys, "doctor", "-p", "aws", "--json", "--data-dir", str(tmp_path / "d"), code=1)
    missing = {check["name"] for check in document["checks"] if check["ok"] is False}
    assert missing == {"endpoint", "region", "role", "bucket", "credentials"}


def test_doctor_of_a_cloud_profile_that_is_set_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_REGION": "eu-west-1",
        "SAGEMAKER_ROLE": "arn:aws:iam::123456789012:role/R",
        "MLPARITY_AWS_BUCKET": "my-bucket",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-real-one",
    }.items():
        monkeypatch.setenv(name, value)
    text = printed(capsys, "doctor", "-p", "aws", "--data-dir", str(tmp_path / "d"))
    assert "aws: ready" in text
    assert "not-a-real-one" not in text


def test_up_tells_of_a_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ["up", "--data-dir", str(tmp_path / "d"), "--aws-port", str(port), "--mlflow-port", "1025"]
        assert run(arguments) == 1
    stop(DataFolder(tmp_path / "d"))
    error = capsys.readouterr().err
    assert f"port {port}, for the AWS APIs, is in use" in error
    assert "--aws-port or MLPARITY_AWS_PORT" in error
