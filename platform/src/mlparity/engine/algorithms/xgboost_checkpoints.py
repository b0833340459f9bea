"""Checkpoints as SageMaker's XGBoost keeps them: xgboost-checkpoint.<round>, the five newest, resumed from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

_NAME = "xgboost-checkpoint"
_KEPT = 5

_log = logging.getLogger(__name__)


def latest(folder: Path) -> tuple[Path | None, int]:
    """The newest checkpoint and the number of rounds it holds; (None, 0) where there is none."""
    numbered = _numbered(folder)
    if not numbered:
        return None, 0
    last = max(numbered)
    return numbered[last], last + 1


def save(booster: Any, folder: Path, number: int) -> None:
    """Keep the model after round ``number`` (from 0), and only the newest few."""
    write(booster, folder / f"{_NAME}.{number}")
    for old, path in _numbered(folder).items():
        if old <= number - _KEPT:
            path.unlink(missing_ok=True)


def write(booster: Any, path: Path) -> None:
    """Write the native model format whole or not at all, whatever the name ends in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(bytes(booster.save_raw("ubj")))
    unfinished.replace(path)


def _numbered(folder: Path) -> dict[int, Path]:
    found = {}
    for path in folder.glob(f"{_NAME}.*"):
        number = path.name.removeprefix(f"{_NAME}.")
        if number.isdecimal():
            found[int(number)] = path
    return found
