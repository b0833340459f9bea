"""Pipelines for the tests of the Kubeflow API. kfp reads annotations as they are: no postponed ones here."""

import warnings
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kfp import compiler, dsl


@dsl.container_component
def count(rows: int):  # type: ignore[no-untyped-def]
    return dsl.ContainerSpec(image="alpine", command=["echo"], args=[rows])


@dsl.container_component
def fit(rows: int, model: dsl.Output[dsl.Model]):  # type: ignore[no-untyped-def]
    return dsl.ContainerSpec(image="alpine", command=["echo"], args=[rows, model.path])


@dsl.pipeline(name="two-steps")
def two_steps(rows: int = 3, label: str = "none", parts: list[int] = []) -> None:  # noqa: B006, RUF100 - kfp's way
    counted = count(rows=rows)
    fit(rows=rows).after(counted)


@dsl.pipeline(name="needs-rows")
def needs_rows(rows: int) -> None:
    count(rows=rows)


def compiled(pipeline: Any, path: Path) -> str:
    """The file that the SDK makes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiler.Compiler().compile(pipeline, str(path))
    return str(path)
