"""Tries what the sandbox needs, in a process of its own. Prints what worked as JSON; see ``probe``."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable

from mlparity.engine.sandbox import identity, syscalls

_KINDS = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC


def main(user_namespace: bool) -> None:
    """Enter the namespaces, fork, and mount. Exit code 0 where jobs can run this way."""
    try:
        if user_namespace:
            identity.enter(_KINDS)
        else:
            syscalls.unshare(_KINDS)
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
        place = tempfile.gettempdir()
        child = os.fork()
    except OSError as error:
        print(json.dumps({"why": str(error)}))  # noqa: T201 - the answer
        sys.exit(1)
    if child:
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
    sys.exit(_mounts(place))


def _mounts(place: str) -> int:
    try:
        syscalls.mount("tmpfs", place, "tmpfs")
        syscalls.bind("/", place)
    except OSError as error:
        print(json.dumps({"why": str(error)}), flush=True)  # noqa: T201
        return 1
    found = {"read_only": _works(lambda: syscalls.set_read_only(place)), "own_proc": _works(lambda: _proc(place))}
    print(json.dumps(found), flush=True)  # noqa: T201
    return 0


def _proc(place: str) -> None:
    syscalls.mount("proc", f"{place}/proc", "proc")


def _works(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True
