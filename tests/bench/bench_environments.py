"""Peers in Python environments of their own, kept in the cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench_measure import Options

_INSTALL_SECONDS = 400


def environment(options: Options, *packages: str) -> Path | None:
    """The Python of an environment with ``packages``, built when first wanted; None, with the reason said, without."""
    name = packages[0].replace("==", "-")
    folder = options.cache / name
    python = folder / "bin" / "python"
    if (folder / "whole").exists():
        return python
    uv = shutil.which("uv")
    if uv is None:
        options.say(f"  without {name}: uv is not installed")
        return None
    options.say(f"  installing {name} into {folder}")
    try:
        for words in ([uv, "venv", "-q", "--clear", "-p", sys.executable, str(folder)],
                      [uv, "pip", "install", "-q", "-p", str(python), *packages]):  # fmt: skip
            subprocess.run(
                words, capture_output=True, text=True, check=True, timeout=_INSTALL_SECONDS,
                env={**os.environ, **options.person},
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        options.say(f"  without {name}: uv took more than {_INSTALL_SECONDS} s")
        return None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        options.say(f"  without {name}: uv could not install it ({said[-1] if said else error.returncode})")
        return None
    (folder / "whole").touch()
    return python
