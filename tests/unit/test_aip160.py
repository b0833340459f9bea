"""Google's list filters: documented examples, what they select, and that no text gets past the parser otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlparity.errors import InvalidRequestError
from mlparity.wire import aip160
from mlparity.wire.aip132 import Order, in_order, parse_order_by
from mlparity.wire.aip160 import Language, matches
from mlparity.wire.aip160_syntax import Comparison, Conjunction, Disjunction, Literal, Negated, Syntax, parse

COMPARED = ("=", "!=", "<", "<=", ">", ">=", ":")
LANGUAGE = Language(
    {
        "display_name": aip160.text(COMPARED, wildcards=True),
        "uri": aip160.text(),
        "size": aip160.number(),
        "is_default": aip160.boolean(),
        "state": aip160.enumeration(("LIVE", "PENDING")),
        "create_time": aip160.time(),
        "end_time": aip160.time(),
        "labels": aip160.text_map(),
        "metadata": aip160.struct(),
        "parent_contexts": aip160.text_list(),
        "create_pipeline_job_request": aip160.presence(),
        "template_metadata.version": aip160.text(),
    },
    {"in_context": 1},
    most_nested=5,
)
ITEM: Mapping[str, Any] = {
    "display_name": "my job *1*",
    "uri": "gs://bucket/a b",
    "size": 3,
    "is_default": True,
    "state": "LIVE",
    "create_time": datetime(2021, 5, 11, 20, 30, tzinfo=UTC),
    "labels": {"team": "red", "a key": "x", "empty": ""},
    "metadata": {"accuracy": 0.93, "field:1": 10, "ok": True, "name": "lr", "in": {"deep": 1}},
    "parent_contexts": ["p/1", "p/2"],
    "create_pipeline_job_request": {},
    "template_metadata.version": "v1",
}


def chosen(text: str) -> bool:
    return matches(
        LANGUAGE.parse(text), ITEM.get, lambda name, arguments: (name, arguments) == ("in_context", ("c/1",))
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        'display_name = "my job \\*1\\*"',
        'displayName="my*"',
        'display_name:"*job*"',
        'display_name != "your*"',
        'display_name > "my"',
        "uri : gs://bucket*",
        'uri = "gs://bucket/a b"',
        "size >= 3 size < 4.5e0",
        "size>-30",
        "is_default=true",
        'state="LIVE" OR state=PENDING',
        'create_time = "2021-05-11T12:30:00-08:00"',
        "create_time <= 2021-05-11T12:30:00.000001-08:00",
        "NOT end_time:*",
        "create_time:*",
        "labels.team=red",
        'labels."a key"="x" AND labels:empty AND labels.empty:*',
        "labels.team != blue",
        "-labels.none:*",
        "metadata.accuracy.number_value > 0.9",
        'metadata."field:1".number_value = 10.0',
        "metadata.ok.bool_value = true",
        'metadata.name.string_value = "l*"',
        "metadata.in.struct_value.fields.deep.number_value = 1 AND metadata.in.struct_value.deep.number_value = 1",
        'parent_contexts:"p/1"',
        'parent_contexts:"p/1","p/2"',
        'in_context("c/1") AND NOT in_context("c/2")',
        "create_pipeline_job_request:*",
        "template_metadata.version=v1",
        # OR binds tighter than AND, and a sequence is an AND
        "size=3 OR size=4 AND is_default=true",
        "NOT (size=4 OR size=5) is_default=true",
    ],
)
def test_documented_forms_match(text: str) -> None:
    assert chosen(text)


@pytest.mark.parametrize(
    "text",
    [
        'display_name = "MY JOB \\*1\\*"',
        'display_name = "job"',
        'uri = "gs://*"',  # a wildcard is none where only ":" has them
        "size > 3",
        "is_default != true",
        "end_time != 2021-05-11T12:30:00Z",  # absent fields match no comparison
        "labels.none != red",
        "labels:none",
        'metadata.accuracy.string_value = "0.93"',
        "metadata.ok.number_value = 1",
        "metadata.in.number_value = 1",
        'parent_contexts:"p/1","p/3"',
        'in_context("c/2")',
        "size=3 AND is_default=false OR size=4",
    ],
)
def test_what_does_not_hold_does_not_match(text: str) -> None:
    assert not chosen(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('name = "x"', "the field 'name' is not supported"),
        ('display_name.first = "x"', "'display_name' has no field 'first'"),
        ('display_name "x"', "expected a comparison operator after 'display_name' at position 14"),
        ('display_name = "x', "the string that begins at position 16 has no end"),
        ("display_name =", "expected a value at position 15, it ends there"),
        ('(display_name = "x"', "expected ')'"),
        ('display_name = "x")', "expected an operator or the end at position 19"),
        ("AND size=1", "expected a field"),
        ("size = 3 AND", "expected a field"),
        ('size = "3"', "'size' is compared with a number, not '3'"),
        ("size = nan", "'size' is compared with a number"),
        ("size : 3", "the operator ':' is not supported for 'size'"),
        ("uri < a", "the operator '<' is not supported for 'uri'"),
        ("is_default = TRUE", "compared with true or false"),
        ("state = GONE", "'GONE' is not a value of 'state'"),
        ('create_time > "2021-05-11"', "a time in RFC 3339 format"),
        ('create_time > "2021-15-11T00:00:00Z"', "a time in RFC 3339 format"),
        ("create_time : 2021-05-11T00:00:00Z", "can only be compared with *"),
        ("labels = x", "the operator '=' is not supported for 'labels'"),
        ("labels.a.b = x", "must be quoted"),
        ("metadata.accuracy = 1", "metadata.<field_name>.<type_value>"),
        ("metadata = 1", "metadata.<field_name>.<type_value>"),
        ("metadata.ok.bool_value < true", "the operator '<' is not supported"),
        ("metadata.a.b.number_value = 1", "metadata.<field_name>.<type_value>"),
        ('near("x")', "the function 'near' is not supported"),
        ("in_context()", "in_context takes 1 argument(s), not 0"),
        ("create_pipeline_job_request:x", "can only be compared with *"),
        ("(" * 6 + "size=1" + ")" * 6, "it nests deeper than 5 levels"),
        (" OR ".join(["size=1"] * 257), "more than 256 restrictions"),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        LANGUAGE.parse(text)
    assert reason in caught.value.why
    assert caught.value.what.startswith("Invalid filter ")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab_.:=<>!\"'()*,-\\ \n10ANDORT", max_size=40) | st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(InvalidRequestError):
        LANGUAGE.parse(text)


WORDS = st.text(min_size=1, max_size=6)
LITERALS = st.lists(st.text(max_size=4), min_size=1, max_size=3).map(
    lambda parts: Literal("*".join(parts), quoted=True, parts=tuple(parts))
)
COMPARISONS = st.builds(
    Comparison, st.lists(WORDS, min_size=1, max_size=3).map(tuple), st.sampled_from(COMPARED), LITERALS
)


def joined(kind: Callable[[tuple[Syntax, ...]], Syntax], items: list[Syntax]) -> Syntax:
    flat: list[Syntax] = []
    for item in items:
        flat += item.items if isinstance(item, Conjunction | Disjunction) and type(item) is kind else (item,)
    return kind(tuple(flat))


TREES = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds(Negated, inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: joined(Conjunction, items)),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: joined(Disjunction, items)),
    ),
    max_leaves=8,
)


def quoted(parts: tuple[str, ...]) -> str:
    escaped = ("".join(f"\\{sign}" if sign in "\"'\\*" else sign for sign in part) for part in parts)
    return '"' + "*".join(escaped) + '"'


def written(tree: Syntax) -> str:
    match tree:
        case Comparison():
            return ".".join(quoted((word,)) for word in tree.path) + f" {tree.operator} " + quoted(tree.argument.parts)
        case Negated():
            return f"NOT ({written(tree.item)})"
        case Conjunction() | Disjunction():
            word = " AND " if isinstance(tree, Conjunction) else " OR "
            return word.join(f"({written(item)})" for item in tree.items)
        case _:
            raise AssertionError(tree)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_a_tree_that_is_written_is_read_again(tree: Syntax) -> None:
    assert parse(written(tree)) == tree


NUMBERS = st.integers(-3, 3)
NAMES = st.sampled_from(["", "a", "ab", "b*", "*"])


@st.composite
def filters(draw: st.DrawFn, depth: int = 3) -> tuple[str, Callable[[Mapping[str, Any]], bool]]:
    """A filter, and the same thing said in Python."""
    kind = draw(st.sampled_from(["size", "name", "label", "not", "and", "or"] if depth else ["size", "name", "label"]))
    if kind == "size":
        bound, operator = draw(NUMBERS), draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]))
        python = {"=": "=="}.get(operator, operator)
        return f"size{operator}{bound}", lambda item: bool(eval(f"{item['size']}{python}{bound}"))
    if kind == "name":
        name = draw(NAMES)
        return f"display_name={quoted((name,))}", lambda item: bool(item["display_name"] == name)
    if kind == "label":
        key = draw(NAMES)
        return f"labels:{json.dumps(key)}", lambda item: key in item["labels"]
    inner = [draw(filters(depth - 1)) for _ in range(1 if kind == "not" else draw(st.integers(2, 3)))]
    if kind == "not":
        return f"NOT ({inner[0][0]})", lambda item: not inner[0][1](item)
    every = all if kind == "and" else any
    return (
        "(" + f") {kind.upper()} (".join(text for text, _ in inner) + ")",
        lambda item: every(holds(item) for _, holds in inner),
    )


ITEMS = st.fixed_dictionaries({"size": NUMBERS, "display_name": NAMES, "labels": st.dictionaries(NAMES, NAMES)})


@settings(max_examples=150, deadline=None)
@given(filters(), st.lists(ITEMS, max_size=5))
def test_a_filter_selects_what_it_says(
    both: tuple[str, Callable[[Mapping[str, Any]], bool]], items: list[Mapping[str, Any]]
) -> None:
    text, expected = both
    expression = LANGUAGE.parse(text)
    assert [matches(expression, item.get) for item in items] == [expected(item) for item in items]


def test_order_by() -> None:
    fields = ("display_name", "create_time")
    assert parse_order_by(" ", fields) == ()
    orders = parse_order_by("createTime desc, display_name asc", fields)
    assert orders == (Order("create_time", descending=True), Order("display_name", descending=False))
    items = [{"display_name": "b", "create_time": 1}, {"display_name": "a", "create_time": 1}, {"display_name": "c"}]
    found = in_order(items, orders, lambda item, name: item.get(name))
    assert [item["display_name"] for item in found] == ["a", "b", "c"]
    for wrong in ("size", "display_name down", "display_name,", "display_name desc asc"):
        with pytest.raises(InvalidRequestError, match="Invalid order_by"):
            parse_order_by(wrong, fields)
