"""The real control plane with endpoints that are not its own: tables that a test wrote, to workers of the test's.

The supervisor loads this file by its path.
"""

from __future__ import annotations

import json
from typing import Any

from mlparity.serving.routing.table import EndpointTable
from mlparity.stack import control_plane
from mlparity.stack.config import ControlPlaneConfig

TABLES = "tables.json"  # in the data folder's ``state``


class Routed:
    """Publishes the tables when it starts."""

    def __init__(self, config: ControlPlaneConfig) -> None:
        self._config = config
        self._plane = control_plane.build(config)
        self.app = self._plane.app
        self.hand_over = self._plane.hand_over

    def start(self) -> None:
        self._plane.start()
        router: Any = self._plane._endpoints.router
        for table in json.loads((self._config.data_dir / "state" / TABLES).read_text()):
            router.publish(EndpointTable.from_json(table))

    def close(self) -> None:
        self._plane.close()


def build(config: ControlPlaneConfig) -> Routed:
    return Routed(config)
