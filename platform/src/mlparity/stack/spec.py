"""What a supervisor is told to run, as a file between ``mlparity up`` and its processes."""

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

    def write(self, path: Path) -> None:
        """Write the file (mode 0600: it holds the local credentials)."""
        document = {"config": self.config.as_json(), "control_plane": self.control_plane}
        write_atomically(path, json.dumps(document, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> StackSpec:
        """Read what ``write`` wrote."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(ControlPlaneConfig.from_json(document["config"]), document["control_plane"])
