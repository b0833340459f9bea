"""What a supervisor is told to run: on its standard input, and in a file for the processes that it starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mlparity.profiles.atomic_file import write_atomically
from mlparity.stack.config import ControlPlaneConfig

LOCKED = 75  # a supervisor's exit code where another one has the data folder
CONTROL_PLANE = "mlparity.stack.control_plane:build"


@dataclass(frozen=True)
class StackSpec:
    """The configuration, and which factory makes the control plane (``module:function``)."""

    config: ControlPlaneConfig
    control_plane: str = CONTROL_PLANE

    def as_text(self) -> str:
        """As JSON. It holds the local credentials."""
        return json.dumps({"config": self.config.as_json(), "control_plane": self.control_plane}, indent=2) + "\n"

    def write(self, path: Path) -> None:
        """Write the file (mode 0600)."""
        write_atomically(path, self.as_text())

    @classmethod
    def read(cls, path: Path) -> StackSpec:
        """Read what ``write`` wrote."""
        return cls.from_text(path.read_text(encoding="utf-8"))

    @classmethod
    def from_text(cls, text: str) -> StackSpec:
        """The reverse of ``as_text``."""
        document = json.loads(text)
        return cls(ControlPlaneConfig.from_json(document["config"]), document["control_plane"])
