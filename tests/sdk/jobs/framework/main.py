"""The script of a FrameworkProcessor: it imports a module of its own folder."""

from __future__ import annotations

import sys
from pathlib import Path

from doubling import doubled

Path("/opt/ml/processing/output/result.txt").write_text(" ".join(doubled(word) for word in sys.argv[1:]))
