"""KFP's executor, imported ahead in warm workers and kept out of sight.

With ``_KFP_RUNTIME=true``, as lightweight components have it, ``import kfp`` leaves out the SDK's client and compiler.
A job that imports kfp without it must not find this half: it stays hidden until ``start_component`` asks for it.
Importing this module does the work: workers preload it.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

_VARIABLE = "_KFP_RUNTIME"
_kept: dict[str, ModuleType] = {}


def show() -> None:
    """Make the modules that were kept importable."""
    for name, module in _kept.items():
        sys.modules.setdefault(name, module)


def _keep() -> None:
    if any(_is_kfp(name) for name in sys.modules):
        return
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "true"
    try:
        import kfp.dsl.executor_main  # noqa: F401
    except ImportError:
        return  # not installed: a job that needs it says so
    finally:
        os.environ.pop(_VARIABLE)
        if before is not None:
            os.environ[_VARIABLE] = before
        for name in [name for name in sys.modules if _is_kfp(name)]:
            _kept[name] = sys.modules.pop(name)
    _kept.pop("kfp.dsl.executor_main", None)  # it is what runs: as __main__


def _is_kfp(name: str) -> bool:
    return name == "kfp" or name.startswith("kfp.")


_keep()
