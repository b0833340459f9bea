"""What the control plane needs to know: the active local profile, resolved to plain values."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ControlPlaneConfig:
    """The effective values of a local profile. ``stack.resolve`` makes it; nothing else reads the environment."""

    data_dir: Path
    profile: str = "embedded"
    aws_port: int = 4570  # the one AWS endpoint: SageMaker, S3, STS, IAM, Logs, EventBridge, ...
    mlflow_port: int = 4571  # 0: the profile has no tracking server
    gateway_port: int = 0  # the proxy of zero-change mode, 4572 in the profile; 0: the profile has none
    gcp_port: int = 0  # Vertex AI and Cloud Storage, 4573 in the profile; 0: the profile has none
    pipelines_port: int = 0  # the Kubeflow Pipelines API, 4574 in the profile; 0: the profile has none
    gcp_project: str = "mlparity-local"
    gcp_project_number: str = "123456789012"
    gcp_location: str = "us-central1"
    region: str = "us-east-1"
    account_id: str = "123456789012"
    role_name: str = "MlparitySageMakerRole"
    access_key_id: str = "mlparity"
    secret_access_key: str = "mlparity-local-only"  # noqa: S105 - a local fixed pair, worth nothing elsewhere
    max_parallel_jobs: int = os.cpu_count() or 2
    exact_runtimes: bool = False  # images run with their own library versions, in environments built for them

    @property
    def aws_url(self) -> str:
        """The one AWS endpoint. An IP, not a name: botocore then uses path-style S3."""
        return f"http://{LOOPBACK}:{self.aws_port}"

    @property
    def mlflow_url(self) -> str:
        """The tracking server; "" where there is none."""
        return f"http://{LOOPBACK}:{self.mlflow_port}" if self.mlflow_port else ""

    @property
    def gateway_url(self) -> str:
        """The proxy of zero-change mode; "" where there is none."""
        return f"http://{LOOPBACK}:{self.gateway_port}" if self.gateway_port else ""

    @property
    def gcp_url(self) -> str:
        """The one Google endpoint; "" where there is none."""
        return f"http://{LOOPBACK}:{self.gcp_port}" if self.gcp_port else ""

    @property
    def pipelines_url(self) -> str:
        """The Kubeflow Pipelines API; "" where there is none."""
        return f"http://{LOOPBACK}:{self.pipelines_port}" if self.pipelines_port else ""

    @property
    def gcp_bucket(self) -> str:
        """The staging bucket of Vertex AI. The control plane makes it when it starts."""
        return f"{self.gcp_project}-vertex"

    @property
    def gcp_service_account(self) -> str:
        """The account that Vertex AI's jobs act as where none is named."""
        return f"{self.gcp_project_number}-compute@developer.gserviceaccount.com"

    @property
    def service_account_path(self) -> Path:
        """The key file of the local service account, for Google's SDKs."""
        return self.data_dir / "client" / "gcp_service_account.json"

    @property
    def pipelines_bucket(self) -> str:
        """The versioned bucket of pipelines' artifacts. The control plane makes it when it starts."""
        return "mlparity-pipelines"

    @property
    def gateway_dir(self) -> Path:
        """The local certificate authority."""
        return self.data_dir / "gateway"

    @property
    def mlflow_bucket(self) -> str:
        """The bucket of MLflow's artifacts. The control plane makes it when it starts."""
        return "mlflow"

    @property
    def role_arn(self) -> str:
        """The execution role that exists from the start."""
        return f"arn:aws:iam::{self.account_id}:role/{self.role_name}"

    @property
    def default_bucket(self) -> str:
        """The bucket that SageMaker's SDK calls its default."""
        return f"sagemaker-{self.region}-{self.account_id}"

    @property
    def database_path(self) -> Path:
        """The state database."""
        return self.data_dir / "state" / "mlparity.db"

    @property
    def mlflow_database_path(self) -> Path:
        """The tracking server's own database."""
        return self.data_dir / "state" / "mlflow.db"

    @property
    def blobs_dir(self) -> Path:
        """The bytes of the bucket store."""
        return self.data_dir / "objects"

    @property
    def jobs_dir(self) -> Path:
        """One folder a job: its mounts while it runs, its log for good."""
        return self.data_dir / "jobs"

    @property
    def capture_dir(self) -> Path:
        """Captured requests of endpoints on their way to the bucket store."""
        return self.data_dir / "state" / "capture"

    @property
    def logs_dir(self) -> Path:
        """Logs of the stack's own processes."""
        return self.data_dir / "logs"

    def as_json(self) -> dict[str, Any]:
        """Plain values, for the processes of the stack."""
        return {**asdict(self), "data_dir": str(self.data_dir)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ControlPlaneConfig:
        """The reverse of ``as_json``."""
        return cls(**{**document, "data_dir": Path(document["data_dir"])})
