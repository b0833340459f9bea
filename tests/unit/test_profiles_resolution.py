from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlparity.errors import ConfigurationError
from mlparity.profiles.load import LoadedProfile, Sources, chosen_name, load_profile
from mlparity.profiles.locate import profile_names, shipped
from mlparity.profiles.model import CloudAws, CloudGcp, ExternalPipelines, LocalAws, LocalGcp, LocalTracking, NoTracking


@pytest.fixture
def user(tmp_path: Path) -> Path:
    folder = tmp_path / "profiles"
    folder.mkdir()
    return folder


def load(user: Path, name: str = "embedded", environment: dict[str, str] | None = None, **flags: Any) -> LoadedProfile:
    keys = {key.replace("__", "."): value for key, value in flags.items()}
    return load_profile(name, Sources(environment or {}, shipped("stacks"), user, keys))


def origin(loaded: LoadedProfile, key: str) -> tuple[str, str]:
    value = next(value for value in loaded.values if value.key == key)
    return value.value, str(value.origin)


def test_the_shipped_profiles_are_valid_and_of_their_kind(user: Path) -> None:
    assert profile_names(shipped("stacks"), user) == ["aws", "embedded", "gcp", "kubeflow"]
    embedded, aws, gcp = load(user).profile, load(user, "aws").profile, load(user, "gcp").profile
    assert embedded.local
    assert isinstance(embedded.roles.aws_api, LocalAws)
    assert isinstance(embedded.roles.tracking, LocalTracking)
    assert not aws.local
    assert isinstance(aws.roles.aws_api, CloudAws)
    assert isinstance(embedded.roles.gcp_api, LocalGcp)
    assert not gcp.local
    assert isinstance(gcp.roles.gcp_api, CloudGcp)
    assert isinstance(load(user, "kubeflow").profile.roles.pipelines_api, ExternalPipelines)


def test_each_layer_wins_over_the_one_before_and_says_so(user: Path) -> None:
    key = "roles.aws_api.port"
    shipped_file = shipped("stacks") / "embedded.yaml"
    assert origin(load(user), key) == ("4570", f"profile file {shipped_file}")
    own = user / "embedded.yaml"
    own.write_text("roles: {aws_api: {port: 5001}}\n")
    assert origin(load(user), key) == ("5001", f"user file {own}")
    environment = {"MLPARITY_AWS_PORT": "5002"}
    assert origin(load(user, environment=environment), key) == ("5002", "environment MLPARITY_AWS_PORT")
    assert origin(load(user, environment=environment, roles__aws_api__port=5003), key) == ("5003", "flag --aws-port")


def test_values_that_nobody_set_are_built_in_and_secrets_are_masked(user: Path) -> None:
    loaded = load(user)
    assert origin(loaded, "engine.max_parallel_jobs")[1] == "built-in"
    assert origin(loaded, "roles.aws_api.secret_access_key") == ("********", "built-in")
    assert "mlparity-local-only" not in repr(loaded)


def test_empty_variables_count_as_not_set(user: Path) -> None:
    assert origin(load(user, environment={"MLPARITY_REGION": ""}), "roles.aws_api.region")[0] == "us-east-1"


def test_the_cloud_profile_reads_the_names_of_the_vendors_tools(user: Path) -> None:
    environment = {"AWS_DEFAULT_REGION": "eu-west-1", "SAGEMAKER_ROLE": "arn:aws:iam::123456789012:role/path/R"}
    loaded = load(user, "aws", environment)
    assert origin(loaded, "roles.aws_api.region") == ("eu-west-1", "environment AWS_DEFAULT_REGION")
    assert origin(loaded, "roles.aws_api.role_arn") == (environment["SAGEMAKER_ROLE"], "environment SAGEMAKER_ROLE")


def test_a_local_profile_ignores_them(user: Path) -> None:
    assert origin(load(user, environment={"AWS_REGION": "eu-west-1"}), "roles.aws_api.region")[0] == "us-east-1"


def test_another_provider_drops_the_settings_of_the_old_one(user: Path) -> None:
    (user / "embedded.yaml").write_text("roles: {tracking: {provider: none}}\n")
    loaded = load(user, environment={"MLPARITY_MLFLOW_PORT": "5005"})
    assert isinstance(loaded.profile.roles.tracking, NoTracking)


def test_a_person_can_have_a_profile_of_their_own(user: Path) -> None:
    (user / "mine.yaml").write_text((shipped("stacks") / "embedded.yaml").read_text().replace("4570", "4999"))
    loaded = load(user, "mine")
    assert loaded.profile.name == "mine"
    assert origin(loaded, "roles.aws_api.port")[0] == "4999"


def test_the_active_profile_is_flag_then_variable_then_embedded() -> None:
    assert chosen_name(None, {}) == "embedded"
    assert chosen_name(None, {"MLPARITY_PROFILE": "aws"}) == "aws"
    assert chosen_name("mine", {"MLPARITY_PROFILE": "aws"}) == "mine"


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        ("roles: {aws_api: {provider: gcp}}", "roles.aws_api.provider is 'gcp'", "'mlparity', 'aws'"),
        ("roles: {aws_api: {prt: 1}}", "unknown key roles.aws_api.prt", "no such setting"),
        ("roles: {aws_api: {port: 70000}}", "roles.aws_api.port is 70000", "65535"),
        ("roles: {aws_api: {secret_access_key: 5}}", "roles.aws_api.secret_access_key is ********", "string"),
        ("roles: {state_database: {provider: mysql}}", "roles.state_database.provider is 'mysql'", "'sqlite'"),
        ("foo: {bar: 1}", "unknown key foo", "no such setting"),
        ("roles: 3", "roles is 3", "Roles"),
        ("kind: odd", "kind is 'odd'", "'local' or 'cloud'"),
        ("title: {a: 1}", "title is", "string"),
        ("a: [", "line 1: not valid YAML", ""),
        ("- 1", "not a profile", ""),
        ("", "not a profile", ""),
    ],
)
def test_a_wrong_file_is_named_with_the_key_and_what_is_allowed(user: Path, text: str, what: str, why: str) -> None:
    path = user / "embedded.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(user)
    assert str(path) in caught.value.what
    assert what in caught.value.what
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        ({"MLPARITY_AWS_PORT": "abc"}, "MLPARITY_AWS_PORT: roles.aws_api.port is 'abc'"),
        ({"MLPARITY_AWS_PORT": "4571"}, "both 4571"),
        ({"MLPARITY_REGION": "mars"}, "MLPARITY_REGION: roles.aws_api.region is 'mars'"),
        ({"MLPARITY_MAX_PARALLEL_JOBS": "0"}, "MLPARITY_MAX_PARALLEL_JOBS: engine.max_parallel_jobs is '0'"),
    ],
)
def test_a_wrong_variable_is_named(user: Path, environment: dict[str, str], what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(user, environment=environment)
    assert what in caught.value.what


@pytest.mark.parametrize("name", ["nope", "../stacks/embedded", "/etc/passwd", "runtimes", ""])
def test_an_unknown_name_lists_the_known_ones(user: Path, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(user, name)
    assert caught.value.why == "known profiles: aws, embedded, gcp, kubeflow"


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("embedded", "roles: {aws_api: {provider: aws}}", "a local profile allows mlparity"),
        ("aws", "roles: {object_store: {provider: mlparity}}", "a cloud profile allows aws"),
        ("aws", "roles: {tracking: {provider: mlflow}}", "a cloud profile allows external or none"),
    ],
)
def test_local_and_cloud_are_never_mixed(user: Path, name: str, text: str, what: str) -> None:
    (user / f"{name}.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(user, name)
    assert what in caught.value.what


def test_a_profile_is_frozen(user: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(user).profile.title = "other"
