"""A pipeline of two steps. KFP reads annotations as they are, so this file postpones none."""

from pathlib import Path

from kfp import compiler, dsl


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def add(a: int, b: int) -> int:
    return a + b


@dsl.pipeline(name="sum")
def add_twice(a: int, b: int) -> None:
    first = add(a=a, b=b)
    add(a=first.output, b=10)


def compiled(path: Path) -> Path:
    """The pipeline as the KFP compiler writes it."""
    compiler.Compiler().compile(add_twice, str(path))
    return path
