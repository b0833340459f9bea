"""The retraining loops of the profile that a scenario runs on."""

from __future__ import annotations

import os

from mlparity.errors import ConfigurationError
from mlparity.scenarios.platform import Platform
from mlparity.stack.loop_client import Loops

__all__ = ["Loops", "loops_of"]


def loops_of(platform: Platform) -> Loops:
    """Those of the local control plane. Raises ``ConfigurationError`` for a profile that does not run here."""
    url = os.environ.get("AWS_ENDPOINT_URL", "")
    if not platform.local or not url:
        raise ConfigurationError(
            "loops are run by the local control plane",
            f"the profile {platform.profile} has none",
            "use a local profile",
        )
    return Loops(url)
