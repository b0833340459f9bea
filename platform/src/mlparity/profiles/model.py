"""What a profile is: roles, the provider that fills each, and that provider's settings."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Port = Annotated[int, Field(ge=1, le=65535)]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
RoleArn = Annotated[str, Field(pattern=r"^(arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9_+=,.@/-]+)?$")]
BucketName = Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class LocalAws(_Frozen):
    """The one AWS endpoint of mlparity, on this machine."""

    provider: Literal["mlparity"]
    port: Port = 4570
    region: Region = "us-east-1"
    account_id: Annotated[str, Field(pattern=r"^\d{12}$")] = "123456789012"
    role_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_+=,.@-]{1,64}$")] = "MlparitySageMakerRole"
    access_key_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{4,128}$")] = "mlparity"
    # A fixed pair for this machine alone, worth nothing elsewhere.
    secret_access_key: SecretStr = SecretStr("mlparity-local-only")

    @property
    def role_arn(self) -> str:
        """The execution role that exists from the start."""
        return f"arn:aws:iam::{self.account_id}:role/{self.role_name}"

    @property
    def bucket(self) -> str:
        """The bucket that the SageMaker SDK takes by default."""
        return f"sagemaker-{self.region}-{self.account_id}"


class CloudAws(_Frozen):
    """The real AWS. Credentials are the SDK's business (environment, shared files, SSO); they are never kept here."""

    provider: Literal["aws"]
    region: Region | Literal[""] = ""
    profile: str = ""  # a named profile of ~/.aws/config; "": the SDK's own choice
    role_arn: RoleArn = ""
    bucket: BucketName = ""


class ObjectStore(_Frozen):
    """Where objects are: mlparity's bucket store, or S3 itself."""

    provider: Literal["mlparity", "aws"]


class LocalTracking(_Frozen):
    """An MLflow server that the stack starts."""

    provider: Literal["mlflow"]
    port: Port = 4571


class ExternalTracking(_Frozen):
    """A tracking server that runs elsewhere: an http(s) URL or the ARN of a SageMaker tracking server."""

    provider: Literal["external"]
    uri: Annotated[str, Field(pattern=r"^(https?://|arn:aws[a-z-]*:sagemaker:).+$")]


class NoTracking(_Frozen):
    """No tracking server."""

    provider: Literal["none"]


class StateDatabase(_Frozen):
    """Where the platform's own state is."""

    provider: Literal["sqlite", "none"]


class Engine(_Frozen):
    """How much runs at once."""

    max_parallel_jobs: Annotated[int, Field(ge=1, le=1024)] = os.cpu_count() or 2
    exact_runtimes: bool = False


class Gateway(_Frozen):
    """The proxy of zero-change mode (`mlparity exec`): answers for the clouds' own hosts, refuses every other."""

    port: Port = 4572


class Roles(_Frozen):
    """Which provider fills each role."""

    aws_api: Annotated[LocalAws | CloudAws, Field(discriminator="provider")]
    object_store: ObjectStore
    tracking: Annotated[LocalTracking | ExternalTracking | NoTracking, Field(discriminator="provider")]
    state_database: StateDatabase


class Profile(_Frozen):
    """A profile with every value in force."""

    name: str
    title: str
    kind: Literal["local", "cloud"]
    data_dir: Path
    roles: Roles
    engine: Engine = Engine()
    gateway: Gateway | None = None  # a local profile's

    @property
    def local(self) -> bool:
        """Whether the profile runs on this machine."""
        return self.kind == "local"

    @model_validator(mode="after")
    def _never_mixed(self) -> Self:
        """A local profile never reaches a cloud, and a cloud profile never falls back to this machine."""
        allowed = (
            {"aws_api": ("mlparity",), "object_store": ("mlparity",), "tracking": ("mlflow", "none"),
             "state_database": ("sqlite",)}
            if self.local
            else {"aws_api": ("aws",), "object_store": ("aws",), "tracking": ("external", "none"),
                  "state_database": ("none",)}
        )  # fmt: skip
        for role, providers in allowed.items():
            provider = getattr(self.roles, role).provider
            if provider not in providers:
                raise ValueError(
                    f"roles.{role}.provider is {provider}; a {self.kind} profile allows {' or '.join(providers)}"
                )
        if self.gateway and not self.local:
            raise ValueError("a cloud profile has no gateway")
        self._check_ports()
        return self

    def _check_ports(self) -> None:
        aws, tracking = self.roles.aws_api, self.roles.tracking
        ports = {
            "roles.aws_api.port": aws.port if isinstance(aws, LocalAws) else 0,
            "roles.tracking.port": tracking.port if isinstance(tracking, LocalTracking) else 0,
            "gateway.port": self.gateway.port if self.gateway else 0,
        }
        for (one, port), (other, same) in combinations(ports.items(), 2):
            if port and port == same:
                raise ValueError(f"{one} and {other} are both {port}")
