"""A worker survives a library that fails while it is imported, and keeps nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
from mlparity.engine.warm import worker
class Settings: preload = ("broken", "absent_library", "colorsys")
worker._preload(Settings)
print(sorted({"broken", "broken.half", "colorsys"} & set(sys.modules)))
"""


def test_a_library_that_fails_leaves_the_worker_alive(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").write_text("import broken.half\nraise ValueError('binary incompatibility')\n")
    (tmp_path / "broken" / "half.py").write_text("")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env={"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.stdout == "['colorsys']\n", done.stderr
    assert "not preloaded: broken: binary incompatibility" in done.stderr
    assert "not preloaded: absent_library" in done.stderr
