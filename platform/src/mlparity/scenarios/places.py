"""Google Cloud and Kubeflow Pipelines as a scenario sees them: names, and the vendors' own clients for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GooglePlace:
    """A project of Google Cloud, or the local one."""

    project: str
    location: str
    bucket: str  # for staging and pipeline roots
    service_account: str  # what jobs and pipelines run as; "": the project's default
    api_endpoint: str  # "http://127.0.0.1:4573"; "": Google's own

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> GooglePlace | None:
        """As ``mlparity run`` and ``mlparity env`` set it; None where the profile has no Google APIs."""
        project = environment.get("MLPARITY_GCP_PROJECT", "")
        if not project:
            return None
        names = ("LOCATION", "BUCKET", "SERVICE_ACCOUNT", "API_ENDPOINT")
        return cls(project, *(environment.get(f"MLPARITY_GCP_{name}", "") for name in names))

    def init(self, **options: Any) -> Any:
        """Call ``aiplatform.init`` for the profile, with ``options`` beside; the SDK's module.

        This is the one line that differs: the Vertex AI SDK reads no endpoint from the environment.
        """
        import logging

        from google.cloud import aiplatform

        for name in [each for each in logging.root.manager.loggerDict if each.startswith("google.cloud.aiplatform")]:
            logging.getLogger(name).setLevel(logging.WARNING)  # else it tells every step of its own, with cloud links
        where = {"api_endpoint": self.api_endpoint, "api_transport": "rest"} if self.api_endpoint else {}
        aiplatform.init(
            project=self.project, location=self.location, staging_bucket=f"gs://{self.bucket}", **where, **options
        )
        return aiplatform

    def storage(self) -> Any:
        """A client of Cloud Storage."""
        from google.cloud import storage

        return storage.Client(project=self.project)


@dataclass(frozen=True)
class PipelinesPlace:
    """A Kubeflow Pipelines endpoint."""

    host: str
    root: str  # where pipelines keep their artifacts; "": the endpoint's own choice
    namespace: str  # of a multi-user installation; "": none

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PipelinesPlace | None:
        """As ``mlparity run`` and ``mlparity env`` set it; None where the profile has no such endpoint."""
        host = environment.get("KF_PIPELINES_ENDPOINT", "")
        if not host:
            return None
        names = ("MLPARITY_PIPELINES_ROOT", "MLPARITY_PIPELINES_NAMESPACE")
        return cls(host, *(environment.get(name, "") for name in names))

    def client(self) -> Any:
        """``kfp.Client`` for it."""
        import warnings

        import kfp

        warnings.filterwarnings("ignore", category=FutureWarning, module="kfp")  # about versions before 2023
        return kfp.Client(host=self.host, namespace=self.namespace or "kubeflow")
