"""Parameters: every type, in every way that a value can take; defaults, optional and named ones."""

# Components are sources of their own: kfp knows typing's names, and a component imports what it needs.
# ruff: noqa: B006, E741, PYI024, UP006, UP014, UP045

from typing import Any, Dict, List, NamedTuple, Optional  # noqa: UP035 - kfp's components import typing's own

from tests.conformance.ir_corpus.case import Case, Peer
from tests.conformance.ir_corpus.sdk import component, dsl

TRICKY = "ä \"b\" 'c' \\n {{x}} $HOME `d` 日本\n\tend "


@component
def types(
    i: int = 1,
    f: float = 2.0,
    b: bool = False,
    s: str = "",
    l: list = [1, 2.5],
    d: dict = {"n": 1},
) -> str:
    return repr((i, f, b, s, l, d))


@component
def scalars(i: int, f: float, b: bool, s: str) -> str:
    return repr((i, f, b, s))


@component
def echo(text: str) -> str:
    return text


@component
def every() -> NamedTuple(
    "Every", [("i", int), ("f", float), ("b", bool), ("s", str), ("l", List[Dict[str, int]]), ("d", Dict[str, Any])]
):
    from collections import namedtuple

    made = namedtuple("Every", ["i", "f", "b", "s", "l", "d"])
    return made(-7, 3.5, True, "x y", [{"a": 1}, {"b": 2}], {"deep": {"list": [1, 2.5, None, "e"], "no": False}})


@component
def maybe(text: Optional[str] = None, number: Optional[int] = None, items: Optional[list] = None, rest: int = 4) -> str:
    return repr((text, number, items, rest))


@dsl.pipeline(name="scalars-in-every-way")
def scalars_in_every_way(i: int = 3, f: float = 4.5, b: bool = True, s: str = "given") -> NamedTuple(
    "Out", [("constants", str), ("inputs", str), ("made", str), ("i", int), ("f", float), ("b", bool)]
):
    made = every()
    result = NamedTuple(
        "Out", [("constants", str), ("inputs", str), ("made", str), ("i", int), ("f", float), ("b", bool)]
    )
    return result(
        constants=scalars(i=5, f=6.25, b=True, s="1").output,
        inputs=scalars(i=i, f=f, b=b, s=s).output,
        made=scalars(i=made.outputs["i"], f=made.outputs["f"], b=made.outputs["b"], s=made.outputs["s"]).output,
        i=made.outputs["i"],
        f=made.outputs["f"],
        b=made.outputs["b"],
    )


@dsl.pipeline(name="whole-numbers")
def whole_numbers(
    l: List[int] = [1, 2],
    d: Dict[str, Any] = {"n": 1, "deep": {"list": [1, 2.5]}},
) -> NamedTuple("Out", [("defaults", str), ("constants", str), ("inputs", str), ("made", str)]):
    made = every()
    result = NamedTuple("Out", [("defaults", str), ("constants", str), ("inputs", str), ("made", str)])
    return result(
        defaults=types().output,
        constants=types(l=[1, [2, 3.5]], d={"a": {"b": 3}}).output,
        inputs=types(l=l, d=d).output,
        made=types(l=made.outputs["l"], d=made.outputs["d"]).output,
    )


@dsl.pipeline(name="tricky-texts")
def tricky_texts(text: str, word: str = "ü") -> NamedTuple(
    "Out", [("constant", str), ("given", str), ("joined", str), ("twice", str), ("empty", str)]
):
    given = echo(text=text)
    result = NamedTuple("Out", [("constant", str), ("given", str), ("joined", str), ("twice", str), ("empty", str)])
    return result(
        constant=echo(text=TRICKY).output,
        given=given.output,
        joined=echo(text=f"<{word}|{given.output}>").output,
        twice=echo(text=given.output).output,
        empty=echo(text="").output,
    )


@dsl.pipeline(name="optional-inputs")
def optional_inputs(text: Optional[str] = None, number: Optional[int] = None) -> NamedTuple(
    "Out", [("left_out", str), ("handed_on", str), ("given", str)]
):
    result = NamedTuple("Out", [("left_out", str), ("handed_on", str), ("given", str)])
    return result(
        left_out=maybe().output,
        handed_on=maybe(text=text, number=number).output,
        given=maybe(text="", number=0, items=[], rest=0).output,
    )


DEEP = {"list": [1, 2.5, None, "e"], "no": False}
CASES = [
    Case(
        scalars_in_every_way,
        {
            "constants": "(5, 6.25, True, '1')",
            "inputs": "(8, 9.5, False, 'it\\'s \"so\"')",
            "made": "(-7, 3.5, True, 'x y')",
            "i": -7,
            "f": 3.5,
            "b": True,
        },
        {"i": 8, "f": 9.5, "b": False, "s": 'it\'s "so"'},
    ),
    Case(
        whole_numbers,
        {
            "defaults": "(1, 2, False, '', [1, 2.5], {'n': 1})",
            "constants": "(1, 2, False, '', [1, [2, 3.5]], {'a': {'b': 3}})",
            "inputs": "(1, 2, False, '', [1, 2], {'deep': {'list': [1, 2.5]}, 'n': 1})",
            "made": f"(1, 2, False, '', [{{'a': 1}}, {{'b': 2}}], {{'deep': {DEEP}}})",
        },
        peer=Peer.WRONG,
        why="whole numbers inside lists and structures arrive as floats; from KFP's backend all come as integers",
    ),
    Case(
        tricky_texts,
        {
            "constant": TRICKY,
            "given": f"{TRICKY}!",
            "joined": f"<ü|{TRICKY}!>",
            "twice": f"{TRICKY}!",
            "empty": "",
        },
        {"text": f"{TRICKY}!"},
    ),
    Case(
        optional_inputs,
        {
            "left_out": "(None, None, None, 4)",
            "handed_on": "(None, None, None, 4)",
            "given": "('', 0, [], 0)",
        },
        peer=Peer.WRONG,
        why="an optional input of the pipeline that is not given cannot be handed on",
    ),
]
