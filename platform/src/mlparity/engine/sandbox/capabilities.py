"""What a job may do as the root of its namespaces: what a Docker container may by default, and no mounts."""

from __future__ import annotations

from mlparity.engine.sandbox import syscalls

# linux/capability.h; the set is the default of Docker and containerd.
CONTAINER_DEFAULT = frozenset(
    {
        0,  # CHOWN
        1,  # DAC_OVERRIDE
        3,  # FOWNER
        4,  # FSETID
        5,  # KILL
        6,  # SETGID
        7,  # SETUID
        8,  # SETPCAP
        10,  # NET_BIND_SERVICE
        13,  # NET_RAW
        18,  # SYS_CHROOT
        27,  # MKNOD
        29,  # AUDIT_WRITE
        31,  # SETFCAP
    }
)


def drop() -> None:
    """Keep only ``CONTAINER_DEFAULT``: a job cannot undo the mounts that shape its view."""
    syscalls.keep_capabilities(CONTAINER_DEFAULT)
