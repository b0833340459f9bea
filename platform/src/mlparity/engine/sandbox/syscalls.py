"""The few Linux system calls that Python 3.11 does not offer, through ctypes. Each raises ``OSError`` when refused."""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MNT_DETACH = 0x2

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_MOUNT_ATTR_RDONLY = 0x1
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process (for ``CLONE_NEWPID``: its later children) to new namespaces."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def enter_namespace(descriptor: int, kind: int) -> None:
    """Join the namespace that ``descriptor`` (an open /proc/<pid>/ns file) names."""
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, filesystem: str = "", flags: int = 0, options: str = "") -> None:
    """Attach a file system, or with ``MS_BIND`` another place of the tree, at ``target``."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(filesystem) or None,
        ctypes.c_ulong(flags),
        os.fsencode(options) or None,
    )
    _check(result, f"mount {source} at {target}")


def bind(source: str, target: str) -> None:
    """Show ``source`` and everything mounted under it at ``target`` too."""
    mount(source, target, flags=MS_BIND | MS_REC)


def set_read_only(path: str, *, read_only: bool = True, recursive: bool = True) -> None:
    """Set or clear the read-only flag of the mounts at (and under) ``path``. Linux 5.12 or newer."""
    bit = _MOUNT_ATTR_RDONLY
    attributes = struct.pack("=QQQQ", bit if read_only else 0, 0 if read_only else bit, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(path),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    _check(result, f"mount_setattr {path}")


def pivot_root(new_root: str) -> None:
    """Make ``new_root`` (a mount) the root, and let go of the old one."""
    os.chdir(new_root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", ctypes.c_int(MNT_DETACH)), "umount the old root")
    os.chdir("/")


def set_parent_death_signal(signal: int) -> None:
    """Have the kernel send ``signal`` to this process when the thread that made it ends."""
    _check(_libc.prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal), 0, 0, 0), "prctl")


def refuse_tracing() -> None:
    """Keep other processes of this user from tracing this one and from reading its memory."""
    _check(_libc.prctl(ctypes.c_int(_PR_SET_DUMPABLE), ctypes.c_ulong(0), 0, 0, 0), "prctl")


def keep_capabilities(kept: frozenset[int]) -> None:
    """Give up every capability not in ``kept``, for this process and whatever it starts."""
    for number in range(64):
        if number not in kept and _libc.prctl(ctypes.c_int(_PR_CAPBSET_DROP), ctypes.c_ulong(number), 0, 0, 0) != 0:
            break  # past the kernel's last one
    mask = sum(1 << number for number in kept)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    _check(_libc.capget(header, data), "capget")
    _, permitted_low, _, _, permitted_high, _ = struct.unpack("=6I", data.raw)
    low, high = low & permitted_low, high & permitted_high
    _check(_libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)), "capset")
