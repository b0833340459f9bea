"""Which processes a local stack consists of, with their environments."""

from __future__ import annotations

import os
import sys

from mlparity.engine.environments import BUILD_VARIABLE
from mlparity.profiles.settings import how_to_set
from mlparity.stack.child import ChildSpec
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.folder import DataFolder
from mlparity.stack.listen import listen
from mlparity.stack.spec import StackSpec

# What the processes of the stack may see of the person's environment.
_PASSED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "USER",
)
# What uv needs to reach the person's package index; handed to it alone, when it builds an environment.
_FOR_BUILDING = ("UV_", "PIP_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "XDG_CACHE_HOME")


def ports(config: ControlPlaneConfig) -> list[tuple[int, str, str]]:
    """The (port, part, how to choose another) of every part that listens."""
    found = [(config.aws_port, "the AWS APIs", how_to_set("roles.aws_api.port", "local"))]
    if config.mlflow_port:
        found.append((config.mlflow_port, "MLflow", how_to_set("roles.tracking.port", "local")))
    if config.gcp_port:
        found.append((config.gcp_port, "the Google APIs", how_to_set("roles.gcp_api.port", "local")))
    if config.pipelines_port:
        ways = how_to_set("roles.pipelines_api.port", "local")
        found.append((config.pipelines_port, "the Kubeflow Pipelines API", ways))
    if config.gateway_port:
        found.append((config.gateway_port, "the gateway", how_to_set("gateway.port", "local")))
    return found


def child_specs(spec: StackSpec, folder: DataFolder) -> list[ChildSpec]:
    """Bind the ports and say what to start. Raises ``PortInUseError``."""
    config = spec.config
    bound = {port: listen(port, part, ways).detach() for port, part, ways in ports(config)}
    fds = [bound[config.aws_port]]
    options = ["--fd", str(fds[0])]
    beside = {
        "--gateway-fd": config.gateway_port,
        "--gcp-fd": config.gcp_port,
        "--pipelines-fd": config.pipelines_port,
    }
    for option, port in beside.items():  # the same process listens there
        if port:
            fds.append(bound[port])
            options += [option, str(bound[port])]
    specs = [
        ChildSpec(
            name="control-plane",
            command=_command("mlparity.stack.serve", folder, options),
            environment=_environment(config),
            inherited_fds=tuple(fds),
            log_path=folder.rotate_log("control-plane"),
            url=config.aws_url,
            health_url=f"{config.aws_url}/_mlparity/health",
        )
    ]
    if config.mlflow_port:
        fd = bound[config.mlflow_port]
        specs.append(
            ChildSpec(
                name="mlflow",
                command=_command("mlparity.stack.serve_mlflow", folder, ["--fd", str(fd)]),
                environment=_mlflow_environment(config),
                inherited_fds=(fd,),
                log_path=folder.rotate_log("mlflow"),
                url=config.mlflow_url,
                health_url=f"{config.mlflow_url}/health",
            )
        )
    return specs


def _command(module: str, folder: DataFolder, options: list[str]) -> tuple[str, ...]:
    return (sys.executable, "-m", module, "--spec", str(folder.spec_path), *options)


def _environment(config: ControlPlaneConfig) -> dict[str, str]:
    """A clean environment: the person's cloud credentials and proxies stay outside."""
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    building = {
        f"{BUILD_VARIABLE}{name}": value for name, value in os.environ.items() if name.upper().startswith(_FOR_BUILDING)
    }
    return {
        **kept,
        **building,
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",  # glibc otherwise keeps an arena a thread, and idle memory grows
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": config.region,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def _mlflow_environment(config: ControlPlaneConfig) -> dict[str, str]:
    """What ``mlflow server --no-serve-artifacts`` sets for its workers, and how it reaches the bucket store."""
    return {
        **_environment(config),
        "AWS_ENDPOINT_URL": config.aws_url,
        "MLFLOW_S3_ENDPOINT_URL": config.aws_url,
        "AWS_ACCESS_KEY_ID": config.access_key_id,
        "AWS_SECRET_ACCESS_KEY": config.secret_access_key,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{config.mlflow_database_path}",
        "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{config.mlflow_database_path}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": f"s3://{config.mlflow_bucket}/artifacts",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
