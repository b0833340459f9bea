"""The gateway of a stack, and its certificate authority."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mlparity.clock import SystemClock
from mlparity.gateway.authority import AuthorityFiles, Certificates, ensure_authority
from mlparity.gateway.hosts import CLOUD_DOMAINS, Hosts
from mlparity.ids import SystemIds
from mlparity.stack.config import ControlPlaneConfig

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mlparity.gateway.gateway import Gateway

# What has an ASGI app of its own beside ``mlparity.apis.aws``.
_OWN = ("s3", "sagemaker")


def authority_files(config: ControlPlaneConfig) -> AuthorityFiles:
    """Where this data folder's certificate authority is."""
    return AuthorityFiles(config.gateway_dir)


def prepare_gateway(config: ControlPlaneConfig) -> None:
    """Make the certificate authority if there is none. Raises ``DataFolderError``."""
    ensure_authority(authority_files(config), CLOUD_DOMAINS, SystemClock())


def gateway(app: ASGIApp, config: ControlPlaneConfig, google: ASGIApp, grpc_port: Callable[[], int]) -> Gateway:
    """The gateway before ``app``, the AWS endpoint, and ``google``; ``grpc_port`` is where Google's gRPC is."""
    from mlparity.apis.aws.table import BY_SIGNING_NAME
    from mlparity.gateway.gateway import Gateway
    from mlparity.gateway.proxied_app import Apps

    hosts = Hosts({*BY_SIGNING_NAME, *_OWN}, tracking=bool(config.mlflow_port), google=bool(config.gcp_port))
    apps = Apps(app, google, config.mlflow_port, grpc_port)
    certificates = Certificates(authority_files(config), SystemClock())
    return Gateway(apps, hosts, certificates, SystemIds(), config.gateway_port)
