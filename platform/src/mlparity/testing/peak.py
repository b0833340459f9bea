"""The most memory that another process has held since it was last asked to forget (Linux)."""

from __future__ import annotations

import re
from pathlib import Path


def forget_peak(pid: int) -> int:
    """Begin anew; the bytes held now. See proc_pid_clear_refs(5): 5 resets the peak of the resident set."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak(pid)


def peak(pid: int) -> int:
    """VmHWM in bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"process {pid} says no VmHWM")
    return int(found[1]) * 1024
