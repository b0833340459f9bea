"""The peer of the pipelines: kfp.local's SubprocessRunner, the components calling the same functions.

kfp reads the annotations themselves, so this module does not put them off (``from __future__ import annotations``).
"""

# mypy: disable-error-code="untyped-decorator"

import contextlib
import io
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kfp import dsl, local
from kfp.dsl import Dataset, Input, Model, Output

PEER = "kfp.local"
CACHED_PEER = "kfp.local, its cache on"
NEW_PEER = "the same, a new process"
_IMAGE = "python:3.11"  # only a name: the steps run in this environment


def ready(folder: Path, *, cached: bool = False) -> None:
    """Have steps run as subprocesses of this environment, with these modules on their path."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner, pipeline_root=str(folder / "kfp"), raise_on_error=True, enable_caching=cached)


@dsl.component(base_image=_IMAGE, install_kfp_package=False)
def kfp_prepare(source: str, train: Output[Dataset], test: Output[Dataset]) -> None:
    from pathlib import Path

    from bench_steps import prepare

    prepare(Path(source), Path(train.path), Path(test.path))


@dsl.component(base_image=_IMAGE, install_kfp_package=False)
def kfp_train(train: Input[Dataset], model: Output[Model]) -> None:
    from pathlib import Path

    from bench_steps import fit

    fit(Path(train.path), Path(model.path))


@dsl.component(base_image=_IMAGE, install_kfp_package=False)
def kfp_evaluate(model: Input[Model], test: Input[Dataset]) -> float:
    from pathlib import Path

    from bench_steps import score

    return score(Path(model.path), Path(test.path))


@dsl.component(base_image=_IMAGE, install_kfp_package=False)
def kfp_register(model: Input[Model], mse: float, registry: str) -> None:
    from pathlib import Path

    from bench_steps import register

    register(Path(model.path), mse, Path(registry))


@dsl.component(base_image=_IMAGE, install_kfp_package=False)
def kfp_nothing() -> None:
    pass


@dsl.pipeline(name="bench-five-steps")
def kfp_five_steps(source: str, threshold: float, registry: str) -> None:
    prepared = kfp_prepare(source=source)
    trained = kfp_train(train=prepared.outputs["train"])
    evaluated = kfp_evaluate(model=trained.outputs["model"], test=prepared.outputs["test"])
    with dsl.If(evaluated.output <= threshold):
        kfp_register(model=trained.outputs["model"], mse=evaluated.output, registry=registry)


def chain(length: int) -> Callable[[], Any]:
    """A pipeline of ``length`` steps that do nothing, one after the other."""

    @dsl.pipeline(name="bench-noop")
    def noop() -> None:
        before = None
        for _ in range(length):
            step = kfp_nothing().set_caching_options(False)
            if before is not None:
                step.after(before)
            before = step

    run: Callable[[], Any] = noop
    return run


def fan(length: int) -> Callable[[], Any]:
    """A pipeline of ``length`` steps that do nothing: one, then all but one, then one."""

    @dsl.pipeline(name="bench-fan-out")
    def noop() -> None:
        first = kfp_nothing()
        middle = [kfp_nothing().after(first) for _ in range(length - 2)]
        kfp_nothing().after(*middle)

    run: Callable[[], Any] = noop
    return run


def five_steps_cached(folder: Path, source: Path, threshold: float, registry: Path) -> dict[str, Callable[[], Any]]:
    """The five steps with the cache on: in this process, and as a script that imports kfp, as its users run it."""
    words = [sys.executable, __file__, str(folder), str(source), str(threshold), str(registry)]
    ready(folder, cached=True)
    return {
        CACHED_PEER: partial(_five_steps, source, threshold, registry),
        NEW_PEER: partial(subprocess.run, words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
    }


def _five_steps(source: Path, threshold: float, registry: Path) -> None:
    quietly(lambda: kfp_five_steps(source=str(source), threshold=threshold, registry=str(registry)))


def quietly(action: Callable[[], object]) -> None:
    """Call ``action`` without what kfp prints. Raises ``RuntimeError`` with that where a step fails."""
    said = io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action()
    except Exception as error:
        raise RuntimeError(f"{error}: {said.getvalue()[-2000:]}") from error
    finally:
        logging.disable(logging.NOTSET)


if __name__ == "__main__":
    ready(Path(sys.argv[1]), cached=True)
    _five_steps(Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
