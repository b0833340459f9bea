"""Finds out which way of running jobs this machine allows, and what to do where it allows none."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import mlparity
from mlparity.errors import SandboxUnavailableError

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")
_MAX_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
_TRIAL = "import sys; sys.path.insert(0, sys.argv[1]); from mlparity.engine.sandbox.trial import main; main({user})"
_TIMEOUT = 30.0


class Mode(Enum):
    """How a job gets its private absolute paths."""

    USER_NAMESPACE = "user namespace"
    ROOT = "root with plain mount and PID namespaces"


@dataclass(frozen=True)
class SandboxReport:
    """What this machine allows. ``mode`` None: no job can run; ``hint`` says what to do."""

    mode: Mode | None
    why: str = ""  # why the ways before ``mode`` were not taken
    hint: str = ""
    read_only_host: bool = True  # False: jobs can write wherever this user can (Linux before 5.12)
    own_proc: bool = True  # False: jobs can see the names of other processes

    def require(self) -> Mode:
        """The mode; raises ``SandboxUnavailableError`` where there is none."""
        if self.mode is None:
            raise SandboxUnavailableError("jobs cannot get their private /opt/ml on this machine", self.why, self.hint)
        return self.mode


def probe() -> SandboxReport:
    """Try each way in a short-lived process, best first. About 50 ms."""
    if sys.platform != "linux":
        return SandboxReport(
            None,
            f"{sys.platform} has no mount namespaces",
            "run mlparity on Linux, or in a Linux virtual machine; running jobs in containers is not built yet",
        )
    problems: list[str] = []
    for mode, user_namespace in ((Mode.USER_NAMESPACE, True), (Mode.ROOT, False)):
        found = _try(user_namespace)
        if "why" not in found:
            return SandboxReport(
                mode, "; ".join(problems), read_only_host=bool(found["read_only"]), own_proc=bool(found["own_proc"])
            )
        problems.append(f"{mode.value}: {found['why']}")
    why = "; ".join(problems)
    return SandboxReport(None, why, _hint())


def _try(user_namespace: bool) -> dict[str, object]:
    root = str(Path(mlparity.__file__).parents[1])
    command = [sys.executable, "-I", "-S", "-c", _TRIAL.format(user=user_namespace), root]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)  # noqa: S603
        answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return {"why": f"the trial failed: {error}"}
    if done.returncode != 0 and "why" not in answer:
        return {"why": f"the trial ended with {done.returncode}"}
    return answer


def _hint() -> str:
    if _reads(_APPARMOR, "1"):
        return (
            "AppArmor keeps user namespaces from ordinary programs here (Ubuntu 23.10 and later). Either run "
            "`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` (to keep it: a line in /etc/sysctl.d), "
            f"or allow this interpreter alone: an AppArmor profile for {Path(sys.executable).resolve()} with `userns,` "
            "in /etc/apparmor.d, then `sudo systemctl reload apparmor`"
        )
    if _reads(_CLONE, "0"):
        return "run `sudo sysctl -w kernel.unprivileged_userns_clone=1` (to keep it: a line in /etc/sysctl.d)"
    if _reads(_MAX_NAMESPACES, "0"):
        return "run `sudo sysctl -w user.max_user_namespaces=15000` (to keep it: a line in /etc/sysctl.d)"
    return (
        "inside a Docker container, start it with `--security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined`, and as root also `--cap-add SYS_ADMIN`"
    )


def _reads(path: Path, value: str) -> bool:
    try:
        return path.read_text().strip() == value
    except OSError:
        return False
