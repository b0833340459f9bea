"""Which environment variables and flags override which key. Nothing else reads the environment for a setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """A key of a profile that may come from elsewhere than a file."""

    key: str
    variables: tuple[str, ...]  # the first that is set and not empty wins
    flag: str = ""  # "--aws-port"; as it is shown to a person
    only: str = ""  # "local" or "cloud": the kind of profile it is for; "": both
    secret: bool = False
    provider: str = ""  # of its role; "": any

    def is_of(self, provider: object) -> bool:
        """Whether a role that is filled by ``provider`` has it."""
        return provider == self.provider if self.provider else provider not in (None, "none")


SETTINGS: tuple[Setting, ...] = (
    Setting("data_dir", ("MLPARITY_DATA_DIR",), "--data-dir"),
    Setting("engine.max_parallel_jobs", ("MLPARITY_MAX_PARALLEL_JOBS",)),
    Setting("engine.exact_runtimes", ("MLPARITY_EXACT_RUNTIMES",), only="local"),
    Setting("roles.aws_api.port", ("MLPARITY_AWS_PORT",), "--aws-port", only="local", provider="mlparity"),
    Setting("roles.tracking.port", ("MLPARITY_MLFLOW_PORT",), "--mlflow-port", only="local", provider="mlflow"),
    Setting("roles.gcp_api.port", ("MLPARITY_GCP_PORT",), "--gcp-port", only="local"),
    Setting("roles.pipelines_api.port", ("MLPARITY_PIPELINES_PORT",), "--pipelines-port", only="local"),
    Setting("roles.gcp_api.project", ("MLPARITY_GCP_PROJECT",), only="local"),
    Setting("roles.gcp_api.location", ("MLPARITY_GCP_LOCATION",), only="local"),
    Setting("gateway.port", ("MLPARITY_GATEWAY_PORT",), "--gateway-port", only="local"),
    Setting("roles.aws_api.region", ("MLPARITY_REGION",), "--region", only="local"),
    Setting("roles.aws_api.account_id", ("MLPARITY_ACCOUNT_ID",), only="local"),
    Setting("roles.aws_api.secret_access_key", (), only="local", secret=True),
    # In the cloud the names that the vendor's own tools read count as well.
    Setting("roles.aws_api.region", ("MLPARITY_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"), "--region", only="cloud"),
    Setting("roles.aws_api.profile", ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"), only="cloud"),
    Setting("roles.aws_api.role_arn", ("MLPARITY_AWS_ROLE_ARN", "SAGEMAKER_ROLE"), only="cloud"),
    Setting("roles.aws_api.bucket", ("MLPARITY_AWS_BUCKET",), only="cloud"),
    Setting("roles.gcp_api.project", ("MLPARITY_GCP_PROJECT", "GOOGLE_CLOUD_PROJECT"), only="cloud"),
    Setting("roles.gcp_api.location", ("MLPARITY_GCP_LOCATION", "GOOGLE_CLOUD_LOCATION"), only="cloud"),
    Setting("roles.gcp_api.bucket", ("MLPARITY_GCP_BUCKET",), only="cloud"),
    Setting("roles.gcp_api.service_account", ("MLPARITY_GCP_SERVICE_ACCOUNT",), only="cloud"),
    Setting("roles.pipelines_api.host", ("MLPARITY_PIPELINES_HOST", "KF_PIPELINES_ENDPOINT"), only="cloud"),
    Setting("roles.pipelines_api.namespace", ("MLPARITY_PIPELINES_NAMESPACE",), only="cloud"),
)


def for_kind(kind: str) -> tuple[Setting, ...]:
    """The settings that a profile of ``kind`` has."""
    return tuple(setting for setting in SETTINGS if setting.only in ("", kind))


def from_environment(setting: Setting, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The (variable, value) that sets ``setting``; None where none does."""
    for variable in setting.variables:
        value = environment.get(variable, "")
        if value:
            return variable, value
    return None


def how_to_set(key: str, kind: str) -> str:
    """The ways to set ``key`` without editing a file, as a phrase; "" where there is none."""
    for setting in for_kind(kind):
        if setting.key == key:
            return " or ".join(filter(None, (setting.flag, *setting.variables[:2])))
    return ""
