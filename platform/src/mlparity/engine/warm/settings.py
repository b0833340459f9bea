"""What the executor tells a zygote at its start; shared by both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# ``python -c`` with the source root and the settings (JSON) as arguments.
# Nothing of the folder it is started in may be importable.
BOOTSTRAP = (
    "import sys; del sys.path[0]; sys.path.append(sys.argv[1]); from mlparity.engine.warm.zygote import main; main()"
)


@dataclass(frozen=True)
class ZygoteSettings:
    """The values of one zygote."""

    socket: int  # the descriptor of its end of the executor's socket
    preload: Sequence[str]
    user_namespace: bool  # False: root with plain mount and PID namespaces
    source_root: str  # where this package is imported from, if the interpreter does not find it by itself
    python_names: Sequence[str]  # commands that mean this interpreter
