"""A loop whose programs tell a server of theirs when they begin and when they have done all."""

# Components are sources of their own: kfp knows typing's names, and a component imports what it needs.
# ruff: noqa: PTH123, UP006

from typing import List  # noqa: UP035 - kfp's components import typing's own

from kfp.dsl import Dataset, Output

from tests.conformance.ir_corpus.sdk import component, dsl


@component
def square(number: int, url: str, made: Output[Dataset]) -> int:
    from urllib.request import urlopen

    with urlopen(f"{url}/begin/{number}") as answer, open(made.path, "w") as stream:
        stream.write(f"{number} began for the {answer.read().decode()}. time")
    made.metadata["number"] = str(number)
    with urlopen(f"{url}/end/{number}"):
        return number * number


@component
def total(values: List[int]) -> int:
    return sum(values)


@dsl.pipeline(name="squares")
def squares(numbers: List[int], url: str) -> int:
    with dsl.ParallelFor(numbers) as number:
        one = square(number=number, url=url)
    return total(values=dsl.Collected(one.outputs["Output"])).output
