"""Puts a job's root together in this process's own mount namespace, and moves into it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from pathlib import Path

from mlparity.engine.sandbox import layout as paths
from mlparity.engine.sandbox import syscalls
from mlparity.engine.sandbox.layout import SHARED_MEMORY, TEMPORARY, Layout

_UNSEEN = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTDIR})
_PLAIN = syscalls.MS_NOSUID | syscalls.MS_NODEV


def enter(layout: Layout) -> None:
    """Build ``layout`` and make it the root. Needs CAP_SYS_ADMIN in this (unshared) mount namespace."""
    root = layout.mountpoint
    # Unbindable: the recursive binds below must not copy the root that is being built into itself.
    syscalls.mount("tmpfs", root, "tmpfs", _PLAIN, "mode=755")
    syscalls.mount("", root, flags=syscalls.MS_UNBINDABLE)
    _show_host(root, {*layout.mounts, *layout.extra, paths.SHIMS, paths.RUN, paths.JOB_HOME})
    _make_read_only(root)
    _mount_proc(root)
    if Path(root + SHARED_MEMORY).is_dir():
        syscalls.mount("tmpfs", root + SHARED_MEMORY, "tmpfs", _PLAIN, "mode=1777")
    Path(root + paths.RUN).mkdir(parents=True, exist_ok=True)
    writable = {**layout.mounts, TEMPORARY: layout.temporary, paths.JOB_HOME: layout.home}
    for target in sorted(writable):
        _bind(writable[target], root + target)
    for target, source in {**layout.extra, paths.SHIMS: layout.shims}.items():
        _bind(source, root + target)
        _freeze(root + target)
    _cover(root, layout)
    if layout.hosts_file and Path(f"{root}/etc/hosts").exists():
        syscalls.bind(layout.hosts_file, f"{root}/etc/hosts")
    syscalls.pivot_root(root)


def _show_host(root: str, targets: Collection[str]) -> None:
    rebuilt = paths.rebuilt_folders(targets)
    for folder in rebuilt:
        Path(root + folder).mkdir(exist_ok=True)
    taken = {*rebuilt, *targets, "/proc"}
    for folder in rebuilt:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue  # the host has no such folder
        for entry in entries:
            if entry.path not in taken:
                _show_entry(entry, root + entry.path)


def _show_entry(entry: os.DirEntry[str], target: str) -> None:
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            Path(target).symlink_to(Path(entry.path).readlink())
        elif stat.S_ISDIR(mode) or stat.S_ISREG(mode):
            _bind(entry.path, target)
    except OSError as error:
        # What this user cannot look at, and what vanished meanwhile, is not shown.
        if error.errno not in _UNSEEN:
            raise


def _bind(source: str, target: str) -> None:
    place = Path(target)
    if not place.exists():
        if Path(source).is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    syscalls.bind(source, target)


def _make_read_only(root: str) -> None:
    """The host's mounts become read-only; the new root's own folders stay writable, and vanish with the job."""
    if _freeze(root):
        syscalls.set_read_only(root, read_only=False, recursive=False)


def _freeze(path: str) -> bool:
    try:
        syscalls.set_read_only(path)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return False  # Linux before 5.12: the host's own permissions have to do; `probe` says so
    return True


def _mount_proc(root: str) -> None:
    target = f"{root}/proc"
    Path(target).mkdir(exist_ok=True)
    try:
        syscalls.mount("proc", target, "proc", _PLAIN | syscalls.MS_NOEXEC)
    except OSError:
        # Inside a container parts of /proc are masked, and the kernel then refuses a new one.
        syscalls.bind("/proc", target)


def _cover(root: str, layout: Layout) -> None:
    """Lay an empty folder over each hidden one, then show again what must stay visible."""
    for folder in paths.outermost(layout.hidden):
        target = root + folder
        if not Path(target).is_dir():
            continue
        syscalls.mount("tmpfs", target, "tmpfs", _PLAIN, "mode=755")
        _show_again(root, folder, layout.keep)
        syscalls.mount("", target, flags=syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY | _PLAIN)
    _show_again(root, TEMPORARY, layout.keep)


def _show_again(root: str, folder: str, keep: Collection[str]) -> None:
    for path in paths.outermost(path for path in keep if paths.is_within(path, folder)):
        if Path(path).exists():
            _bind(path, root + path)
            _freeze(root + path)
