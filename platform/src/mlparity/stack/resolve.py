"""From a profile to what the stack's processes need to know."""

from __future__ import annotations

from mlparity.errors import ConfigurationError
from mlparity.profiles.model import LocalAws, LocalGcp, LocalPipelines, LocalTracking, Profile
from mlparity.stack.config import ControlPlaneConfig


def control_plane_config(profile: Profile) -> ControlPlaneConfig:
    """The effective values of a local profile. Raises ``ConfigurationError`` for a cloud profile."""
    aws, tracking, gcp = profile.roles.aws_api, profile.roles.tracking, profile.roles.gcp_api
    pipelines = profile.roles.pipelines_api
    google = gcp if isinstance(gcp, LocalGcp) else LocalGcp(provider="mlparity")
    if not isinstance(aws, LocalAws):
        raise ConfigurationError(
            f"the profile {profile.name} starts nothing on this machine",
            "it stands for the real cloud",
            f"check it with `mlparity doctor --profile {profile.name}`, or choose a local profile",
        )
    return ControlPlaneConfig(
        data_dir=profile.data_dir,
        profile=profile.name,
        aws_port=aws.port,
        mlflow_port=tracking.port if isinstance(tracking, LocalTracking) else 0,
        gateway_port=profile.gateway.port if profile.gateway else 0,
        gcp_port=gcp.port if isinstance(gcp, LocalGcp) else 0,
        pipelines_port=pipelines.port if isinstance(pipelines, LocalPipelines) else 0,
        gcp_project=google.project,
        gcp_project_number=google.project_number,
        gcp_location=google.location,
        region=aws.region,
        account_id=aws.account_id,
        role_name=aws.role_name,
        access_key_id=aws.access_key_id,
        secret_access_key=aws.secret_access_key.get_secret_value(),
        max_parallel_jobs=profile.engine.max_parallel_jobs,
        exact_runtimes=profile.engine.exact_runtimes,
    )
