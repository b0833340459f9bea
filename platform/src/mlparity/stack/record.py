"""``stack.json``: what the supervisor says about itself and its children."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlparity.errors import DataFolderError
from mlparity.profiles.atomic_file import write_atomically
from mlparity.stack.damage import in_words


@dataclass(frozen=True)
class ChildRecord:
    """One process of the stack."""

    name: str
    state: str  # "starting" | "ready" | "waiting" (to be restarted) | "failed" (the stack gave up)
    pid: int  # 0 while there is none
    started: float  # the process's start time as psutil gives it (seconds since the epoch); 0 while there is none
    restarts: int
    url: str
    health_url: str


@dataclass(frozen=True)
class StackRecord:
    """A stack. ``started`` with ``pid`` says whether the supervisor is still that one."""

    version: str
    profile: str
    pid: int
    started: float
    settings: Mapping[str, Any]  # the ControlPlaneConfig without secrets
    children: tuple[ChildRecord, ...]
    stopping: bool = False

    @property
    def ready(self) -> bool:
        """Whether every part answers."""
        return all(child.state == "ready" for child in self.children) and not self.stopping

    @property
    def failed(self) -> tuple[ChildRecord, ...]:
        """The parts that the supervisor gave up."""
        return tuple(child for child in self.children if child.state == "failed")


def write_record(path: Path, record: StackRecord) -> None:
    """Replace the file atomically."""
    write_atomically(path, json.dumps(asdict(record), indent=2) + "\n")


def read_record(path: Path) -> StackRecord | None:
    """The record; None where there is none. Raises ``DataFolderError`` where the file is garbage."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        children = tuple(ChildRecord(**child) for child in document.pop("children"))
        record = StackRecord(**document, children=children)
        if not all(isinstance(pid, int) for pid in (record.pid, *(child.pid for child in children))):
            raise TypeError("a process id is not a number")  # noqa: TRY301 - told like every other damage
        return record  # noqa: TRY300 - as above
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataFolderError(
            f"{path} is damaged",
            f"it is not what a supervisor writes: {in_words(error)}",
            "run `mlparity down`, then `up`",
        ) from error


def public_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` without its secrets."""
    return {name: value for name, value in config.items() if "secret" not in name}
