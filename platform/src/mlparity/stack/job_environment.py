"""The environment that every job gets: the local endpoints, so that SDKs inside jobs stay on this machine."""

from __future__ import annotations

from pathlib import Path

from mlparity.apis.aws.credentials import KeyPair
from mlparity.profiles.zero_change import certificate_variables, proxy_variables
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.gateway import authority_files

# The local authority's certificate as jobs see it: the data folder is hidden from them.
CERTIFICATE_IN_JOBS = "/opt/mlparity/ca.pem"
SERVICE_ACCOUNT_IN_JOBS = "/opt/mlparity/gcp_service_account.json"
# The instances of a training or processing job call each other by these names, without a proxy.
_INSTANCES = tuple(f"algo-{number}" for number in range(1, 21))


def job_environment(config: ControlPlaneConfig) -> dict[str, str]:
    """Endpoints, credentials of the execution role's stand-in, and telemetry off."""
    values = {
        "AWS_ENDPOINT_URL": config.aws_url,
        "AWS_ACCESS_KEY_ID": config.access_key_id,
        "AWS_SECRET_ACCESS_KEY": config.secret_access_key,
        "AWS_DEFAULT_REGION": config.region,
        "AWS_REGION": config.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_S3_ENDPOINT_URL": config.aws_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "NO_PROXY": "127.0.0.1,localhost,::1",
        "no_proxy": "127.0.0.1,localhost,::1",
    }
    if config.gcp_url:
        values |= {
            "STORAGE_EMULATOR_HOST": config.gcp_url,
            "GOOGLE_APPLICATION_CREDENTIALS": SERVICE_ACCOUNT_IN_JOBS,
            "GOOGLE_CLOUD_PROJECT": config.gcp_project,
            "GOOGLE_CLOUD_REGION": config.gcp_location,
            "MLPARITY_GCP_API_ENDPOINT": config.gcp_url,
            "NO_GCE_CHECK": "true",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
    if config.pipelines_url:
        values["KF_PIPELINES_ENDPOINT"] = config.pipelines_url
    if config.mlflow_url:
        values["MLFLOW_TRACKING_URI"] = config.mlflow_url
        values["SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT"] = config.mlflow_url  # for tracking URIs that are ARNs
    if config.gateway_port:  # hosts that a job's code has hard-coded are caught, as in `mlparity exec`
        values |= proxy_variables(config.gateway_url, _INSTANCES) | certificate_variables(CERTIFICATE_IN_JOBS)
    return values


def job_files(config: ControlPlaneConfig) -> dict[str, Path]:
    """Path in every job -> file on the host, read-only."""
    files = {CERTIFICATE_IN_JOBS: authority_files(config).certificate} if config.gateway_port else {}
    return {**files, **({SERVICE_ACCOUNT_IN_JOBS: config.service_account_path} if config.gcp_port else {})}


def role_variables(pair: KeyPair) -> dict[str, str]:
    """What makes a job's SDKs act as its role."""
    return {
        "AWS_ACCESS_KEY_ID": pair.access_key,
        "AWS_SECRET_ACCESS_KEY": pair.secret,
        "AWS_SESSION_TOKEN": pair.session_token,
    }
