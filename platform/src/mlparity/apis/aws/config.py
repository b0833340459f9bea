"""What this API needs of the stack's configuration; ``stack.config.ControlPlaneConfig`` has it."""

from __future__ import annotations

from typing import Protocol


class AwsConfig(Protocol):
    """The values of the local profile."""

    @property
    def account_id(self) -> str:
        """Twelve digits."""
        ...

    @property
    def region(self) -> str:
        """The region of jobs, their logs and their events."""
        ...

    @property
    def role_name(self) -> str:
        """The execution role that exists from the start, and that the local key pair is a session of."""
        ...

    @property
    def access_key_id(self) -> str:
        """The local key pair's public half."""
        ...

    @property
    def secret_access_key(self) -> str:
        """The local key pair's secret half."""
        ...
