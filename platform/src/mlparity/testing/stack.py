"""A whole real stack for a test: its own data folder, its own free ports, and gone when the block ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.errors import PortInUseError
from mlparity.profiles.environment import client_environment, write_client_files
from mlparity.profiles.load import Sources, load_profile
from mlparity.profiles.model import NoTracking, Profile
from mlparity.profiles.zero_change import write_zero_change_files, zero_change
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.folder import DataFolder
from mlparity.stack.listen import free_port
from mlparity.stack.record import StackRecord
from mlparity.stack.resolve import control_plane_config
from mlparity.stack.running import require_running
from mlparity.stack.spec import CONTROL_PLANE, StackSpec
from mlparity.stack.start import Started, start
from mlparity.stack.stop import stop

_PORTS = (
    "roles.aws_api.port", "roles.tracking.port", "roles.gcp_api.port", "roles.pipelines_api.port", "gateway.port",
)  # fmt: skip
_ATTEMPTS = 5  # another program may take a free port before the stack does


@dataclass(frozen=True)
class RunningStack:
    """A stack that answers."""

    profile: Profile
    config: ControlPlaneConfig
    folder: DataFolder

    @property
    def aws_url(self) -> str:
        """The one AWS endpoint."""
        return self.config.aws_url

    @property
    def mlflow_url(self) -> str:
        """The tracking server; "" without one."""
        return self.config.mlflow_url

    @property
    def gcp_url(self) -> str:
        """The one Google endpoint: Vertex AI and Cloud Storage."""
        return self.config.gcp_url

    @property
    def pipelines_url(self) -> str:
        """The Kubeflow Pipelines API."""
        return self.config.pipelines_url

    def record(self) -> StackRecord:
        """What the supervisor says now: process ids, restarts."""
        return require_running(self.folder)

    def environment(self) -> dict[str, str]:
        """This process's environment, pointed at the stack: for a child process."""
        return client_environment(self.profile, os.environ).applied_to(os.environ)

    def exec_environment(self) -> dict[str, str]:
        """What `mlparity exec` gives to a command: this process's environment, behind the stack's gateway."""
        write_zero_change_files(self.profile, os.environ)
        return zero_change(self.profile, os.environ).environment.applied_to(os.environ)

    @contextmanager
    def environment_applied(self) -> Iterator[None]:
        """Point this process's own SDK clients at the stack, and put everything back afterwards."""
        before = dict(os.environ)
        changes = client_environment(self.profile, before)
        try:
            for name in changes.removed:
                del os.environ[name]
            os.environ.update(changes.values)
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def client(self, service: str) -> Any:
        """A boto3 client of ``service`` for the stack, whatever the environment says."""
        import boto3

        session: Any = boto3.Session(
            aws_access_key_id=self.config.access_key_id,
            aws_secret_access_key=self.config.secret_access_key,
            region_name=self.config.region,
        )
        return session.client(service, endpoint_url=self.config.aws_url)


@contextmanager
def running_stack(
    data_dir: Path, *, mlflow: bool = True, control_plane: str = CONTROL_PLANE, timeout: float = 120.0
) -> Iterator[RunningStack]:
    """Start the embedded stack on free ports in ``data_dir``, and stop it when the block ends.

    ``data_dir`` stays: a second block with the same folder continues where the first ended. Raises ``StackError``.
    """
    profile, config, started = _start(data_dir, control_plane, timeout, mlflow=mlflow)
    folder = DataFolder(config.data_dir)
    try:
        write_client_files(profile)
        yield RunningStack(profile, config, folder)
    finally:
        stop(folder)
        if started.process is not None:
            started.process.wait()


def _start(
    data_dir: Path, control_plane: str, timeout: float, *, mlflow: bool
) -> tuple[Profile, ControlPlaneConfig, Started]:
    for attempt in range(1, _ATTEMPTS + 1):
        profile = _profile(data_dir, mlflow=mlflow)
        config = control_plane_config(profile)
        try:
            return profile, config, start(StackSpec(config, control_plane), timeout=timeout)
        except PortInUseError:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _profile(data_dir: Path, *, mlflow: bool) -> Profile:
    """The embedded profile with nothing of the person's own settings."""
    ports = {key: free_port() for key in _PORTS}
    flags = {"data_dir": str(data_dir), **ports}
    usual = Sources.usual({}, flags)
    profile = load_profile("embedded", Sources({}, usual.stacks, usual.stacks / "none", flags)).profile
    if mlflow:
        return profile
    roles = profile.roles.model_copy(update={"tracking": NoTracking(provider="none")})
    return profile.model_copy(update={"roles": roles})
