from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest

from mlparity.profiles.exported import MARK
from mlparity.profiles.load import Sources, load_profile
from mlparity.profiles.locate import shipped
from mlparity.profiles.model import Profile
from mlparity.profiles.zero_change import bundle_path, certificate_path, write_zero_change_files, zero_change


def profile(tmp_path: Path, name: str = "embedded") -> Profile:
    flags = {"data_dir": str(tmp_path / "data")}
    return load_profile(name, Sources({}, shipped("stacks"), tmp_path / "none", flags)).profile


def test_no_local_endpoint_is_named_to_aws_clients(tmp_path: Path) -> None:
    inherited = {
        "AWS_ENDPOINT_URL": "http://x",
        "AWS_ENDPOINT_URL_S3": "http://x",
        "MLFLOW_S3_ENDPOINT_URL": "http://x",
    }
    found = zero_change(profile(tmp_path), inherited).environment.applied_to(inherited)
    assert not [name for name in found if name.startswith("AWS_ENDPOINT") or name == "MLFLOW_S3_ENDPOINT_URL"]
    assert found["HTTPS_PROXY"] == found["http_proxy"] == "http://127.0.0.1:4572"
    assert found["AWS_ACCESS_KEY_ID"] == "mlparity"
    assert found["NO_PROXY"] == "127.0.0.1,localhost,::1"


def test_only_the_local_authority_is_trusted(tmp_path: Path) -> None:
    inherited = {"SSL_CERT_DIR": "/etc/ssl/certs", "SSL_CERT_FILE": "/etc/ssl/cert.pem", "ALL_PROXY": "socks5://x"}
    chosen = profile(tmp_path)
    found = zero_change(chosen, inherited).environment.applied_to(inherited)
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        assert found[name] == str(certificate_path(chosen))
    assert found["SSL_CERT_DIR"] == str(certificate_path(chosen).parent)
    assert "ALL_PROXY" not in found


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, {}),
        ("no json", {}),
        ("[1]", {}),
        ('{"project": "p", "session_kwargs": {"read_bufsize": 9}}', {"project": "p", "read_bufsize": 9}),
    ],
)
def test_gcsfs_is_told_of_the_proxy_besides_what_it_was_told(tmp_path: Path, given: str, kept: dict[str, str]) -> None:
    inherited = {} if given is None else {"FSSPEC_GCS": given}
    found = zero_change(profile(tmp_path), inherited).environment.applied_to(inherited)
    told = json.loads(found["FSSPEC_GCS"])
    assert told.pop("session_kwargs") | told == {**kept, "trust_env": True}


@pytest.mark.parametrize(
    "entry",
    ["*", ".amazonaws.com", "amazonaws.com", "com", ".com", "sts.us-east-1.amazonaws.com", "s3.amazonaws.com:443",
     "*.googleapis.com", "blob.core.windows.net"],
)  # fmt: skip
def test_no_proxy_opens_no_cloud(tmp_path: Path, entry: str) -> None:
    found = zero_change(profile(tmp_path), {"no_proxy": f"{entry},10.0.0.0/8,.corp.example"})
    assert found.ignored == (entry,)
    assert found.environment.values["NO_PROXY"] == "127.0.0.1,localhost,::1,10.0.0.0/8,.corp.example"


def test_hosts_of_the_persons_own_are_verified_with_his_bundle(tmp_path: Path) -> None:
    chosen = profile(tmp_path)
    own = tmp_path / "own.pem"
    own.write_text("his authorities\n")
    certificate_path(chosen).parent.mkdir(parents=True)
    certificate_path(chosen).write_text("the local one\n")
    inherited = {"NO_PROXY": "pypi.corp.example", "SSL_CERT_FILE": str(own)}
    write_zero_change_files(chosen, inherited)
    values = zero_change(chosen, inherited).environment.values
    assert values["SSL_CERT_FILE"] == str(bundle_path(chosen))
    assert bundle_path(chosen).read_text().split() == ["the", "local", "one", "his", "authorities"]


def test_code_that_names_an_aws_profile_finds_it_with_local_credentials(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion=eu-west-1\n[profile prod]\nregion=eu-west-1\nsso_session=x\n[sso-session x]\nsso_region=y\n"
    )
    (tmp_path / ".aws" / "credentials").write_text("[ci]\naws_access_key_id=AKIA\naws_secret_access_key=real-secret\n")
    chosen = profile(tmp_path)
    write_zero_change_files(chosen, {"HOME": str(tmp_path)})
    values = zero_change(chosen, {}).environment.values
    config, credentials = configparser.RawConfigParser(), configparser.RawConfigParser()
    config.read(values["AWS_CONFIG_FILE"])
    credentials.read(values["AWS_SHARED_CREDENTIALS_FILE"])
    assert config.sections() == ["default", "profile prod", "profile ci"]
    assert credentials.sections() == ["default", "prod", "ci"]
    assert {credentials[name]["aws_access_key_id"] for name in credentials.sections()} == {"mlparity"}
    assert "real-secret" not in Path(values["AWS_SHARED_CREDENTIALS_FILE"]).read_text()


def test_a_cloud_profile_gets_its_own_environment_and_nothing_of_the_gateway(tmp_path: Path) -> None:
    local = zero_change(profile(tmp_path), {}).environment.applied_to({"HTTPS_PROXY": "http://corp:3128"})
    found = zero_change(profile(tmp_path, "aws"), local).environment.applied_to(local)
    assert not [name for name in found if "CERT" in name or "BUNDLE" in name or name == MARK]
    assert found.get("AWS_ACCESS_KEY_ID") is None
