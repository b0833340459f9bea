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
ProjectId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
Location = Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+\d{1,2}$")]
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


class LocalGcp(_Frozen):
    """The Google APIs of mlparity on this machine: Vertex AI and Cloud Storage behind one port."""

    provider: Literal["mlparity"]
    port: Port = 4573
    project: ProjectId = "mlparity-local"
    project_number: Annotated[str, Field(pattern=r"^\d{6,15}$")] = "123456789012"
    location: Location = "us-central1"

    @property
    def bucket(self) -> str:
        """The staging bucket that exists from the start."""
        return f"{self.project}-vertex"

    @property
    def service_account(self) -> str:
        """The account that jobs and pipelines act as where none is named: Compute Engine's default one."""
        return f"{self.project_number}-compute@developer.gserviceaccount.com"


class CloudGcp(_Frozen):
    """The real Google Cloud. Credentials are the SDK's business (application default credentials)."""

    provider: Literal["gcp"]
    project: ProjectId | Literal[""] = ""
    location: Location | Literal[""] = ""
    bucket: BucketName = ""  # for staging and pipeline roots
    service_account: str = ""  # what pipelines run as; "": the project's default


class LocalPipelines(_Frozen):
    """The Kubeflow Pipelines API of mlparity, on this machine."""

    provider: Literal["mlparity"]
    port: Port = 4574

    @property
    def bucket(self) -> str:
        """Where pipelines keep their artifacts unless they say otherwise."""
        return "mlparity-pipelines"


class ExternalPipelines(_Frozen):
    """A Kubeflow Pipelines endpoint that runs elsewhere: a cluster on this machine, on EKS, AKS or GKE."""

    provider: Literal["external"]
    host: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,63}$")] = ""  # of a multi-user installation


class Absent(_Frozen):
    """The profile has nothing for the role."""

    provider: Literal["none"]


class ObjectStore(_Frozen):
    """Where objects are: mlparity's bucket store, S3 or Cloud Storage itself."""

    provider: Literal["mlparity", "aws", "gcp", "none"]


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

    aws_api: Annotated[LocalAws | CloudAws | Absent, Field(discriminator="provider")]
    object_store: ObjectStore
    tracking: Annotated[LocalTracking | ExternalTracking | NoTracking, Field(discriminator="provider")]
    state_database: StateDatabase
    gcp_api: Annotated[LocalGcp | CloudGcp | Absent, Field(discriminator="provider")] = Absent(provider="none")
    pipelines_api: Annotated[LocalPipelines | ExternalPipelines | Absent, Field(discriminator="provider")] = Absent(
        provider="none"
    )


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
             "state_database": ("sqlite",), "gcp_api": ("mlparity", "none"), "pipelines_api": ("mlparity", "none")}
            if self.local
            else {"aws_api": ("aws", "none"), "object_store": ("aws", "gcp", "none"),
                  "tracking": ("external", "none"), "state_database": ("none",), "gcp_api": ("gcp", "none"),
                  "pipelines_api": ("external", "none")}
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
        aws, tracking, gcp = self.roles.aws_api, self.roles.tracking, self.roles.gcp_api
        pipelines = self.roles.pipelines_api
        ports = {
            "roles.aws_api.port": aws.port if isinstance(aws, LocalAws) else 0,
            "roles.tracking.port": tracking.port if isinstance(tracking, LocalTracking) else 0,
            "roles.gcp_api.port": gcp.port if isinstance(gcp, LocalGcp) else 0,
            "roles.pipelines_api.port": pipelines.port if isinstance(pipelines, LocalPipelines) else 0,
            "gateway.port": self.gateway.port if self.gateway else 0,
        }
        for (one, port), (other, same) in combinations(ports.items(), 2):
            if port and port == same:
                raise ValueError(f"{one} and {other} are both {port}")
