"""What a job sees as its file system, as plain values. ``filesystem`` makes it so."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

HOME = "/opt/mlparity"  # what the sandbox itself adds lives here
SHIMS = f"{HOME}/bin"
RUN = f"{HOME}/run"
JOB_HOME = f"{HOME}/home"
SOCKET = f"{RUN}/init.sock"
PYTHON = f"{SHIMS}/python"
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - private as well
TEMPORARY = "/tmp"  # noqa: S108 - the path that every contract promises, and private


@dataclass(frozen=True)
class Layout:
    """The host read-only, with these exceptions. All values are absolute paths on the host unless said otherwise."""

    mountpoint: str  # an existing empty folder on which the new root is put together
    mounts: Mapping[str, str]  # path inside -> folder on the host, writable
    shims: str  # shown at SHIMS
    temporary: str  # shown at /tmp
    home: str  # shown at JOB_HOME
    hidden: Sequence[str] = ()  # folders that a job sees empty
    keep: Sequence[str] = ()  # folders and files that stay visible though /tmp or ``hidden`` would cover them
    hosts_file: str = ""  # shown at /etc/hosts
    extra: Mapping[str, str] = field(default_factory=dict)  # path inside -> folder or file on the host, read-only


def ancestors(path: str) -> list[str]:
    """Every proper parent of ``path``, shortest first: ["/", "/opt"] for "/opt/ml"."""
    return [str(parent) for parent in reversed(PurePosixPath(path).parents)]


@functools.lru_cache(maxsize=4096)  # most are the system's own, and the same in every job
def is_within(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies under it."""
    return PurePosixPath(path).is_relative_to(folder)


def rebuilt_folders(targets: Iterable[str]) -> list[str]:
    """The folders that must be put together anew so that each of ``targets`` can be mounted: parents first."""
    return sorted({parent for target in targets for parent in ancestors(target)}, key=lambda p: (p.count("/"), p))


def outermost(paths: Iterable[str]) -> list[str]:
    """``paths`` without those that lie under another of them."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(is_within(path, other) for other in kept):
            kept.append(path)
    return kept
