"""Jobs in private namespaces: the absolute paths that contracts promise, and nothing of it visible outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlparity.engine.sandbox.executor import SandboxExecutor
    from mlparity.engine.sandbox.probing import Mode, SandboxReport, probe

__all__ = ["Mode", "SandboxExecutor", "SandboxReport", "probe"]


def __getattr__(name: str) -> Any:
    # The executor's own imports stay out of the workers, which import this package for its system calls.
    if name == "SandboxExecutor":
        from mlparity.engine.sandbox.executor import SandboxExecutor

        return SandboxExecutor
    if name in __all__:
        from mlparity.engine.sandbox import probing

        return getattr(probing, name)
    raise AttributeError(name)
