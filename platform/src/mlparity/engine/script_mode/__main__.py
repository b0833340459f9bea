"""``python3 -m mlparity.engine.script_mode``: the ``train`` program of a framework image."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mlparity.engine.script_mode.program import run

if __name__ == "__main__":
    sys.exit(run(Path("/opt/ml"), os.environ))
