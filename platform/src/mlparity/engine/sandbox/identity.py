"""A user namespace in which this process is root: uid 0 inside, as in the vendors' containers."""

from __future__ import annotations

import os
from pathlib import Path

from mlparity.engine.sandbox import syscalls


def enter(flags: int) -> None:
    """Unshare a user namespace together with ``flags`` and map this user to root in it.

    As root every id is mapped to itself, so that files of other users stay reachable; otherwise only this
    user's, to 0. The process must have one thread. Raises ``OSError`` where the system denies it.
    """
    if os.geteuid() == 0:
        _enter_as_root(flags)
        return
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | flags)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _enter_as_root(flags: int) -> None:
    # A map of many ids must be written from outside the new namespace: by a child that stays behind.
    target = os.getpid()
    go_read, go_write = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(go_write)
        os._exit(_write_identity_maps(target) if os.read(go_read, 1) else 1)
    os.close(go_read)
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | flags)
        os.write(go_write, b"x")
    finally:
        os.close(go_write)
        _, status = os.waitpid(helper, 0)
    if status != 0:
        raise PermissionError(1, "the id maps of the new user namespace were refused")


def _write_identity_maps(pid: int) -> int:
    try:
        for kind in ("uid_map", "gid_map"):
            ranges = [line.split() for line in Path(f"/proc/self/{kind}").read_text().splitlines()]
            text = "".join(f"{inside} {inside} {count}\n" for inside, _, count in ranges)
            Path(f"/proc/{pid}/{kind}").write_text(text)
    except OSError:
        return 1
    return 0
