from __future__ import annotations

import configparser
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mlparity.profiles.environment import (
    ClientEnvironment,
    as_json,
    as_shell,
    client_environment,
    write_client_files,
)
from mlparity.profiles.exported import MARK
from mlparity.profiles.load import Sources, load_profile
from mlparity.profiles.locate import shipped
from mlparity.profiles.model import Profile

ROLE = "arn:aws:iam::123456789012:role/R"


def profile(data_dir: Path, name: str = "embedded", environment: dict[str, str] | None = None) -> Profile:
    sources = Sources(environment or {}, shipped("stacks"), data_dir / "none", {"data_dir": str(data_dir)})
    return load_profile(name, sources).profile


def test_a_local_environment_points_every_sdk_at_this_machine(tmp_path: Path) -> None:
    values = client_environment(profile(tmp_path), {}).values
    assert values["AWS_ENDPOINT_URL"] == values["MLFLOW_S3_ENDPOINT_URL"] == "http://127.0.0.1:4570"
    assert values["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:4571"
    assert values["AWS_DEFAULT_REGION"] == values["AWS_REGION"] == "us-east-1"
    assert values["MLPARITY_ROLE_ARN"] == "arn:aws:iam::123456789012:role/MlparitySageMakerRole"
    assert values["MLPARITY_BUCKET"] == "sagemaker-us-east-1-123456789012"
    assert values["DO_NOT_TRACK"] == "true"


def test_what_would_lead_a_local_client_away_is_taken_out(tmp_path: Path) -> None:
    inherited = {
        "AWS_PROFILE": "prod",
        "AWS_SESSION_TOKEN": "t",
        "AWS_ENDPOINT_URL_S3": "https://s3.example.com",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "MLFLOW_TRACKING_TOKEN": "t",
        "AWS_SECRET_ACCESS_KEY": "the person's own",
        "PATH": "/bin",
        "NO_PROXY": "intranet",
    }
    result = client_environment(profile(tmp_path), inherited).applied_to(inherited)
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "MLFLOW_TRACKING_TOKEN"} & result.keys()
    assert "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" not in result
    assert result["AWS_SECRET_ACCESS_KEY"] == "mlparity-local-only"
    assert result["NO_PROXY"] == "intranet,127.0.0.1,localhost,::1"
    assert result["PATH"] == "/bin"


def test_botocore_resolves_to_the_local_endpoint_and_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = profile(tmp_path)
    write_client_files(chosen)
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    environment = client_environment(chosen, {"AWS_PROFILE": "does-not-exist"})
    for name in environment.removed:
        monkeypatch.delenv(name)
    for name, value in environment.values.items():
        monkeypatch.setenv(name, value)
    import botocore.session

    session = botocore.session.Session()
    client = session.create_client("sagemaker")
    assert client.meta.endpoint_url == "http://127.0.0.1:4570"
    credentials = session.get_credentials()
    assert credentials is not None
    assert credentials.access_key == "mlparity"
    client.close()


def test_a_cloud_environment_is_only_what_was_given(tmp_path: Path) -> None:
    given = {"MLPARITY_REGION": "eu-west-1", "SAGEMAKER_ROLE": ROLE, "MLPARITY_AWS_BUCKET": "mine"}
    environment = client_environment(profile(tmp_path, "aws", given), given)
    assert dict(environment.values) == {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "MLPARITY_PROFILE": "aws",
        "MLPARITY_LOCAL": "false",
        "MLPARITY_DATA_DIR": str(tmp_path),
        "MLPARITY_ROLE_ARN": ROLE,
        "MLPARITY_BUCKET": "mine",
    }
    assert environment.removed == ()


def test_a_shell_that_was_local_does_not_leak_into_the_cloud(tmp_path: Path) -> None:
    local = client_environment(profile(tmp_path), {}).applied_to({"PATH": "/bin"})
    cloud = profile(tmp_path, "aws", local)
    assert cloud.roles.aws_api.region == ""  # the local region is not taken for the person's
    result = client_environment(cloud, local).applied_to(local)
    assert not [name for name in result if name.startswith(("AWS_", "SAGEMAKER_", "MLFLOW_"))]
    assert result["PATH"] == "/bin"
    assert MARK not in result


def test_the_sdk_configuration_names_the_bucket_and_turns_telemetry_off(tmp_path: Path) -> None:
    write_client_files(profile(tmp_path))
    document = yaml.safe_load((tmp_path / "client" / "sagemaker.yaml").read_text())
    modules = document["SageMaker"]["PythonSDK"]["Modules"]
    assert modules == {"Session": {"DefaultS3Bucket": "sagemaker-us-east-1-123456789012"}, "TelemetryOptOut": True}
    assert document["SchemaVersion"] == "1.0"


def test_the_sdk_accepts_its_configuration(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = pytest.importorskip("sagemaker.core.config.config_schema").SAGEMAKER_PYTHON_SDK_CONFIG_SCHEMA
    write_client_files(profile(tmp_path))
    jsonschema.validate(yaml.safe_load((tmp_path / "client" / "sagemaker.yaml").read_text()), schema)


def test_client_files_are_private_and_hold_the_local_pair(tmp_path: Path) -> None:
    write_client_files(profile(tmp_path))
    credentials = tmp_path / "client" / "aws_credentials"
    parsed = configparser.ConfigParser()
    parsed.read(credentials)
    assert parsed["default"]["aws_access_key_id"] == "mlparity"
    assert credentials.stat().st_mode & 0o077 == 0


AWKWARD = ClientEnvironment({"A": 'it\'s $HOME `x` "q" \\ end', "B": "two words"}, ("GONE",))


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_shell_lines_survive_any_value(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = as_shell(AWKWARD, shell) + "\nenv -0"
    done = subprocess.run(
        [program, "-c", script], env={"GONE": "1", "PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    shown = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if "=" in line)
    assert {name: shown[name] for name in AWKWARD.values} == dict(AWKWARD.values)
    assert "GONE" not in shown


def test_json_shows_removed_variables_as_null() -> None:
    assert json.loads(as_json(AWKWARD)) == {**AWKWARD.values, "GONE": None}
