"""The environment that points unmodified vendor SDKs at a profile, and the files that it names.

For a local profile the environment is closed: the person's AWS profiles, session tokens and per-service endpoints are
taken out, and the SDKs' configuration files are replaced by generated ones, so nothing can reach a cloud by accident.
Follows the AWS SDKs' reference guide ("Service-specific endpoints", "Shared config and credentials files") and the
configuration schema of the SageMaker Python SDK (``sagemaker.core.config.config_schema``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlparity.profiles.atomic_file import write_atomically
from mlparity.profiles.exported import MARK, exported_names, mark
from mlparity.profiles.google import LEADS_AWAY as GOOGLE_LEADS_AWAY
from mlparity.profiles.google import ensure_key_file, google_variables, key_path
from mlparity.profiles.model import Absent, CloudAws, ExternalTracking, LocalAws, LocalGcp, LocalTracking, Profile

_LOOPBACK = "127.0.0.1"
_LOCAL_HOSTS = (_LOOPBACK, "localhost", "::1")
_TELEMETRY_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "DVC_NO_ANALYTICS": "1"}
# What would lead a local client elsewhere, or give it someone else's identity.
_LEADS_AWAY = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_ACCOUNT_ID",
    "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME",
    "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT", "SAGEMAKER_MLFLOW_ASSUME_ROLE_ARN",
)  # fmt: skip


@dataclass(frozen=True)
class ClientEnvironment:
    """Variables to set, and variables to take out."""

    values: Mapping[str, str]
    removed: tuple[str, ...]

    def applied_to(self, environment: Mapping[str, str]) -> dict[str, str]:
        """``environment`` with the changes made."""
        kept = {name: value for name, value in environment.items() if name not in self.removed}
        return {**kept, **self.values}


def client_environment(profile: Profile, inherited: Mapping[str, str]) -> ClientEnvironment:
    """What a client of ``profile`` needs set and removed, in a process that has ``inherited``."""
    values = {**_common(profile), **_tracking(profile), **google_variables(profile)}
    source, names = exported_names(inherited)
    stale = names if source and source != profile.name else frozenset()
    aws = profile.roles.aws_api
    if isinstance(aws, LocalAws):
        values |= _local_aws(profile, aws, inherited)
        away = {*_LEADS_AWAY, *GOOGLE_LEADS_AWAY}
        removed = {name for name in inherited if name in away or name.startswith("AWS_ENDPOINT_URL_")} | stale
        removed.add("MLFLOW_TRACKING_URI")  # a profile without tracking tracks nowhere
        values[MARK] = mark(profile.name, values)
    else:
        values |= _cloud_aws(aws) if isinstance(aws, CloudAws) else {}
        removed = {*stale, MARK} if source and source != profile.name else set()
    return ClientEnvironment(values, tuple(sorted(removed & (inherited.keys() - values.keys()))))


def write_client_files(profile: Profile) -> None:
    """Write the files that the environment of a local profile names. Nothing for a cloud profile."""
    aws = profile.roles.aws_api
    if not isinstance(aws, LocalAws):
        return
    folder = _client_dir(profile)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(profile.roles.gcp_api, LocalGcp):
        ensure_key_file(key_path(profile), profile.roles.gcp_api)
    secret = aws.secret_access_key.get_secret_value()
    write_atomically(folder / "sagemaker.yaml", _sagemaker_sdk_config(aws))
    write_atomically(folder / "aws_config", f"[default]\nregion = {aws.region}\nendpoint_url = {_url(aws.port)}\n")
    write_atomically(
        folder / "aws_credentials",
        f"[default]\naws_access_key_id = {aws.access_key_id}\naws_secret_access_key = {secret}\n",
    )


def _common(profile: Profile) -> dict[str, str]:
    aws = profile.roles.aws_api
    values = {
        "MLPARITY_PROFILE": profile.name,
        "MLPARITY_LOCAL": "true" if profile.local else "false",
        "MLPARITY_DATA_DIR": str(profile.data_dir),
        "MLPARITY_ROLE_ARN": "" if isinstance(aws, Absent) else aws.role_arn,
        "MLPARITY_BUCKET": "" if isinstance(aws, Absent) else aws.bucket,
    }
    return {name: value for name, value in values.items() if value}


def _tracking(profile: Profile) -> dict[str, str]:
    tracking = profile.roles.tracking
    if isinstance(tracking, LocalTracking):
        # The second is for tracking URIs that are ARNs (the sagemaker-mlflow plugin).
        return {"MLFLOW_TRACKING_URI": _url(tracking.port), "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": _url(tracking.port)}
    if isinstance(tracking, ExternalTracking):
        return {"MLFLOW_TRACKING_URI": tracking.uri}
    return {}


def _local_aws(profile: Profile, aws: LocalAws, inherited: Mapping[str, str]) -> dict[str, str]:
    folder = _client_dir(profile)
    no_proxy = _no_proxy(inherited)
    return {
        **_TELEMETRY_OFF,
        # One endpoint for every service. An IP, not a name: botocore then addresses buckets by path.
        "AWS_ENDPOINT_URL": _url(aws.port),
        "AWS_ACCESS_KEY_ID": aws.access_key_id,
        "AWS_SECRET_ACCESS_KEY": aws.secret_access_key.get_secret_value(),
        "AWS_DEFAULT_REGION": aws.region,
        "AWS_REGION": aws.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "aws_config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws_credentials"),
        "MLFLOW_S3_ENDPOINT_URL": _url(aws.port),
        # The SDK asks the real STS for its default bucket unless its configuration names one.
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(folder / "sagemaker.yaml"),
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(folder / "sagemaker.yaml"),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def _cloud_aws(aws: CloudAws) -> dict[str, str]:
    values = {"AWS_DEFAULT_REGION": aws.region, "AWS_REGION": aws.region, "AWS_PROFILE": aws.profile}
    return {name: value for name, value in values.items() if value}


def _sagemaker_sdk_config(aws: LocalAws) -> str:
    import yaml

    modules = {"Session": {"DefaultS3Bucket": aws.bucket}, "TelemetryOptOut": True}
    document = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": modules}}}
    return yaml.safe_dump(document, sort_keys=False)


def _no_proxy(inherited: Mapping[str, str]) -> str:
    """The person's list, and this machine."""
    listed = [host.strip() for host in (inherited.get("NO_PROXY") or inherited.get("no_proxy") or "").split(",")]
    return ",".join(dict.fromkeys([host for host in listed if host] + list(_LOCAL_HOSTS)))


def _client_dir(profile: Profile) -> Path:
    return profile.data_dir / "client"


def _url(port: int) -> str:
    return f"http://{_LOOPBACK}:{port}"


def as_json(environment: ClientEnvironment) -> str:
    """The variables to set as one JSON object; a variable to take out is null."""
    removed: dict[str, str | None] = dict.fromkeys(environment.removed)
    return json.dumps({**environment.values, **removed}, indent=2, sort_keys=True)


def as_shell(environment: ClientEnvironment, shell: str) -> str:
    """Lines for ``eval`` in "bash" (any POSIX shell) or "fish"."""
    if shell == "fish":
        lines = [f"set -e {name};" for name in environment.removed]
        lines += [f"set -gx {name} {_fish_quoted(value)};" for name, value in sorted(environment.values.items())]
        return "\n".join(lines)
    import shlex

    lines = [f"unset {name}" for name in environment.removed]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.values.items())]
    return "\n".join(lines)


def _fish_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
