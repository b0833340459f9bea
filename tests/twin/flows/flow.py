"""What every flow shares: the session that a notebook would make, data, and a place for what was found."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import sagemaker

CODE = Path(__file__).parents[1] / "code"
SKLEARN = "1.2-1"
XGBOOST = "1.7-1"
MACHINE = "ml.m5.large"
SESSION = sagemaker.Session()
ROLE = sagemaker.get_execution_role(SESSION)
FOLDER = Path(tempfile.mkdtemp(prefix="flow-", dir=Path(sys.argv[1]).parent))


def table(rows: int, seed: int) -> Any:
    """Three features, and before them what follows from them."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 3))
    return np.column_stack([features @ [2.0, -1.0, 0.5] + random.normal(scale=0.1, size=rows), features])


def csv(name: str, content: Any) -> str:
    """A CSV file in a folder of its own; the folder."""
    folder = FOLDER / name
    folder.mkdir()
    np.savetxt(folder / "part.csv", content, delimiter=",", fmt="%.17g")
    return str(folder)


def uploaded(name: str, content: Any, prefix: str) -> str:
    """A CSV file in the default bucket; its prefix."""
    return str(SESSION.upload_data(csv(name, content), key_prefix=f"{prefix}/{name}"))


def together(**calls: Callable[[], Any]) -> dict[str, str]:
    """Call all at once: the SDK's waits begin with five seconds of sleep. By name, what those that raise say."""

    def outcome(call: Callable[[], Any]) -> str:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - what the SDK makes of a failed job
            return f"{type(error).__name__}: {error}"
        return ""

    with ThreadPoolExecutor(len(calls)) as pool:
        said = pool.map(outcome, calls.values())
        return {name: text for name, text in zip(calls, said, strict=True) if text}


def report(**found: Any) -> None:
    """Leave what was found where the test looks for it."""
    Path(sys.argv[1]).write_text(json.dumps(found, default=str))
