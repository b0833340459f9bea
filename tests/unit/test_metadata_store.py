"""The metadata store: nodes, their relations, lists over any filter, and the parts of the lineage graph."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from mlparity.errors import ConflictError, InvalidRequestError, NotFoundError
from mlparity.ids import SeededIds
from mlparity.metadata import (
    EventType,
    Family,
    ListRequest,
    MetadataStore,
    Naming,
    NewEvent,
    NewNode,
    Node,
    StaleError,
    TooManyError,
)
from mlparity.metadata.conditions import LANGUAGES
from mlparity.metadata.lineage import Lineage
from mlparity.state import Database
from mlparity.testing import TestClock
from mlparity.wire.aip160 import Expression, matches

INPUT, OUTPUT = EventType.INPUT, EventType.OUTPUT


@pytest.fixture
def clock() -> TestClock:
    return TestClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "state.db")
    yield database
    database.close()


@pytest.fixture
def store(database: Database, clock: TestClock) -> MetadataStore:
    return MetadataStore(database, clock, SeededIds(1), "vertex/p/l/default")


def ids(nodes: Sequence[Node]) -> list[str]:
    return [node.id for node in nodes]


def test_a_node_is_made_once_changed_by_etag_and_removed(store: MetadataStore, clock: TestClock) -> None:
    made = store.artifacts.create(
        NewNode("data", "Data", "system.Dataset", metadata={"rows": 3, "loss": float("nan")}, uri="gs://b/data")
    )
    assert made.metadata == {"rows": 3, "loss": "NaN"}
    assert store.artifacts.ensure(NewNode("data", "Another")) == made
    with pytest.raises(ConflictError):
        store.artifacts.create(NewNode("data"))
    assert store.executions.create(NewNode("data")).family is Family.EXECUTION  # another family, another id
    clock.advance(1)
    changed = store.artifacts.update("data", {"metadata": {"cols": 2}, "state": "LIVE"}, merge=True, etag=made.etag)
    assert (changed.metadata, changed.state) == ({"rows": 3, "loss": "NaN", "cols": 2}, "LIVE")
    assert changed.updated_at - made.updated_at == timedelta(seconds=1)
    assert store.artifacts.update("data", {"metadata": {}}).metadata == {}
    for stale in (made.etag, changed.etag):
        with pytest.raises(StaleError):
            store.artifacts.update("data", {}, etag=stale)
        with pytest.raises(StaleError):
            store.artifacts.delete("data", etag=stale)
    with pytest.raises(InvalidRequestError):
        store.artifacts.update("data", {"id": "other"})
    store.artifacts.delete("data")
    for gone in (store.artifacts.get, store.artifacts.delete):
        with pytest.raises(NotFoundError):
            gone("data")
    unnamed = store.contexts.create(NewNode())
    assert store.contexts.get_all([unnamed.id, "none"]) == {unnamed.id: unnamed}


def test_scopes_are_apart(store: MetadataStore, database: Database, clock: TestClock) -> None:
    other = MetadataStore(database, clock, SeededIds(2), "kubeflow")
    store.contexts.create(NewNode("c"))
    assert other.is_empty()
    with pytest.raises(NotFoundError):
        other.add_members("c")
    other.contexts.create(NewNode("c"))
    store.clear()
    assert store.is_empty()
    assert ids(other.contexts.list().items) == ["c"]


def test_nothing_is_kept_of_a_transaction_that_fails(store: MetadataStore) -> None:
    store.contexts.create(NewNode("run"))

    def record() -> None:
        with store.transaction():
            store.artifacts.create(NewNode("model"))
            store.add_members("run", artifacts=["model"])
            store.add_events("no-such-execution", [NewEvent("model", OUTPUT)])

    with pytest.raises(NotFoundError):
        record()
    assert ids(store.artifacts.list().items) == []
    assert store.context_lineage("run").artifacts == []


def test_contexts_hold_contexts_without_cycles(store: MetadataStore) -> None:
    for name in ("experiment", "run", "part", *(f"p{number}" for number in range(10))):
        store.contexts.create(NewNode(name))
    for _ in range(2):  # a second time changes nothing
        store.add_children("experiment", ["run"])
        store.add_children("run", ["part"])
    assert store.parents(["run", "experiment"]) == {"run": ("experiment",), "experiment": ()}
    assert store.children(["experiment"]) == {"experiment": ("run",)}
    for parent, child in (("part", "experiment"), ("run", "run")):
        with pytest.raises(InvalidRequestError, match="cycle"):
            store.add_children(parent, [child])
    for number in range(9):
        store.add_children(f"p{number}", ["run"])
    with pytest.raises(InvalidRequestError, match="10 parents"):
        store.add_children("p9", ["run"])
    assert len(store.parents(["run"])["run"]) == 10
    store.remove_children("experiment", ["run", "part"])
    assert store.children(["experiment"]) == {"experiment": ()}
    assert ids(store.contexts.list(ListRequest('child_contexts:"part"')).items) == ["run"]
    assert ids(store.contexts.list(ListRequest('parent_contexts:"p0" AND NOT parent_contexts:"p9"')).items) == ["run"]


def lineage_of_two_steps(store: MetadataStore) -> None:
    """data -> train -> model -> evaluate -> metrics, and data -> evaluate; the run holds all but the data."""
    for name in ("data", "model", "metrics"):
        store.artifacts.create(NewNode(name, schema_title=f"system.{name.capitalize()}"))
    for name in ("train", "evaluate"):
        store.executions.create(NewNode(name))
    store.add_events("train", [NewEvent("data", INPUT), NewEvent("model", OUTPUT, {"name": "model"})])
    store.add_events("evaluate", [NewEvent("data", INPUT), NewEvent("model", INPUT), NewEvent("metrics", OUTPUT)])
    store.contexts.create(NewNode("run"))
    for _ in range(2):
        store.add_members("run", ["model", "metrics"], ["train", "evaluate"])


def test_lineage(store: MetadataStore) -> None:
    lineage_of_two_steps(store)
    run = store.context_lineage("run")
    assert (ids(run.artifacts), ids(run.executions)) == (["model", "metrics"], ["train", "evaluate"])
    assert {(event.execution, event.artifact, event.type) for event in run.events} == {
        ("train", "model", OUTPUT),
        ("evaluate", "model", INPUT),
        ("evaluate", "metrics", OUTPUT),
    }
    assert run.events[0].labels == {"name": "model"}
    train = store.execution_lineage("train")
    assert (ids(train.artifacts), ids(train.executions), len(train.events)) == (["data", "model"], ["train"], 2)
    reached = [store.artifact_lineage("metrics", hops) for hops in (0, 1, 2, 3, None)]
    assert [(ids(part.artifacts), ids(part.executions)) for part in reached] == [
        (["metrics"], []),
        (["metrics"], ["evaluate"]),
        (["data", "model", "metrics"], ["evaluate"]),
        (["data", "model", "metrics"], ["train", "evaluate"]),
        (["data", "model", "metrics"], ["train", "evaluate"]),
    ]
    assert [len(part.events) for part in reached] == [0, 1, 3, 5, 5]
    chosen = store.artifact_lineage("metrics", None, 'schema_title="system.Data"')
    assert (ids(chosen.artifacts), ids(chosen.executions)) == (["data", "metrics"], ["train", "evaluate"])
    with pytest.raises(InvalidRequestError):
        store.artifact_lineage("metrics", -1)
    assert store.contexts_of(Family.ARTIFACT, ["data", "model"]) == {"data": (), "model": ("run",)}
    store.artifacts.delete("model")  # its events and memberships go with it
    assert len(store.artifact_lineage("metrics").events) == 3
    assert ids(store.context_lineage("run").artifacts) == ["metrics"]


def test_a_lineage_too_large_is_refused(store: MetadataStore, database: Database) -> None:
    lineage_of_two_steps(store)
    lineage = Lineage(database, "vertex/p/l/default", store.artifacts, store.executions, store.contexts)
    for ask in (lambda: lineage.of_context("run", 2), lambda: lineage.of_artifact("data", limit=2)):
        with pytest.raises(TooManyError):
            ask()


def test_events_are_stored_once(store: MetadataStore) -> None:
    store.artifacts.create(NewNode("a"))
    store.executions.create(NewNode("e"))
    both = [NewEvent("a", INPUT, path="left"), NewEvent("a", INPUT, path="right")]
    for _ in range(2):
        store.add_events("e", both)
    assert [event.path for event in store.execution_lineage("e").events] == ["left", "right"]
    store.add_events("e", [NewEvent("a", OUTPUT)], once_per_artifact=True)
    assert len(store.execution_lineage("e").events) == 2
    with pytest.raises(NotFoundError):
        store.add_events("e", [NewEvent("none", INPUT)])


def test_purging_says_first_what_it_would_remove(store: MetadataStore, clock: TestClock) -> None:
    for number in range(3):
        store.artifacts.create(NewNode(f"a{number}"))
        clock.advance(60)
    old = "update_time <= 2026-01-01T00:01:00+00:00"
    for force in (False, True):
        purged = store.artifacts.purge(old, force=force)
        assert (purged.count, list(purged.sample)) == (2, ["a0", "a1"])
    assert ids(store.artifacts.list().items) == ["a2"]


def test_names_in_filters_are_the_apis_own(store: MetadataStore) -> None:
    prefix = "projects/p/locations/l/metadataStores/default/"

    def context_id(name: str) -> str | None:
        return name.removeprefix(f"{prefix}contexts/") if name.startswith(prefix) else None

    naming = Naming(f"{prefix}artifacts/", context_id)
    lineage_of_two_steps(store)

    def listed(filter_text: str) -> list[str]:
        return ids(store.artifacts.list(ListRequest(filter_text), naming).items)

    assert listed(f'name="{prefix}artifacts/model"') == ["model"]
    assert listed('name="model"') == []
    assert listed(f'name="{prefix}artifacts/m*"') == ["model", "metrics"]
    assert listed(f'in_context("{prefix}contexts/run")') == ["model", "metrics"]
    assert listed(f'NOT in_context("{prefix}contexts/run")') == ["data"]
    assert listed('in_context("projects/other/contexts/run")') == []
    assert listed(f'in_context("{prefix}contexts/none")') == []


def test_pages_follow_the_order_and_refuse_another_filter(store: MetadataStore, clock: TestClock) -> None:
    for number in range(7):
        store.executions.create(NewNode(f"e{number}", display_name=f"n{number % 3}", state="COMPLETE"))
        clock.advance(1)

    def pages(order_by: str) -> list[str]:
        found: list[str] = []
        token: str | None = ""
        while token is not None:
            request = ListRequest("state=COMPLETE", order_by, 2, token)
            page = store.executions.list(request)
            found, token = found + ids(page.items), page.next_token
        return found

    assert pages("") == [f"e{number}" for number in range(7)]
    assert pages("create_time desc") == [f"e{number}" for number in reversed(range(7))]
    assert pages("display_name desc, create_time") == ["e2", "e5", "e1", "e4", "e0", "e3", "e6"]
    assert pages("displayName, name desc") == ["e6", "e3", "e0", "e4", "e1", "e5", "e2"]
    token = store.executions.list(ListRequest(page_size=2)).next_token
    assert token
    for wrong in (ListRequest("state=FAILED", page_token=token), ListRequest(page_token="x")):
        with pytest.raises(InvalidRequestError, match="page token"):
            store.executions.list(wrong)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.5, -1.5]), st.sampled_from(["", "a", "ab", "A*?["])
)
KEYS = st.sampled_from(["k", "k.v", 'k"', "é", "[0]", "$"])
NODES = st.fixed_dictionaries(
    {
        "display_name": st.sampled_from(["", "a", "ab", "A*?["]),
        "uri": st.sampled_from(["", "gs://b/x"]),
        "state": st.sampled_from(["LIVE", "PENDING"]),
        "labels": st.dictionaries(KEYS, st.sampled_from(["", "a", "ab"]), max_size=2),
        "metadata": st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES, max_size=1), max_size=3),
    }
)
LITERALS = st.sampled_from(["a", "ab", "*", "a*", "*b", "A\\*?[", "A*"])


def quoted(key: str) -> str:
    return '"' + key.replace('"', '\\"') + '"'


@st.composite
def filters(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.sampled_from(["text", "label", "presence", "member", "deep", "time", *["logic"] * 2 * bool(depth)]))
    operator = draw(st.sampled_from(["=", "!=", "<", ">="]))
    match kind:
        case "text":
            field = draw(st.sampled_from(["display_name", "uri"]))
            return f'{field} {operator} "{draw(LITERALS)}"'
        case "label":
            return f'labels.{quoted(draw(KEYS))} {draw(st.sampled_from(["=", "!=", ":"]))} "{draw(LITERALS)}"'
        case "presence":
            return draw(st.sampled_from([f"labels:{quoted(draw(KEYS))}", "labels:*", "state=LIVE", "uri:*"]))
        case "time":
            return f"create_time {operator} 2026-01-01T00:00:0{draw(st.integers(0, 3))}Z"
        case "logic":
            both = f"({draw(filters(depth - 1))}) {draw(st.sampled_from(['AND', 'OR']))} ({draw(filters(depth - 1))})"
            return draw(st.sampled_from([both, f"NOT ({both})"]))
    path = quoted(draw(KEYS)) + (f".struct_value.{quoted(draw(KEYS))}" if kind == "deep" else "")
    value = draw(st.sampled_from(["number", "string", "bool", "there"]))
    return {
        "number": f"metadata.{path}.number_value {operator} {draw(st.integers(-2, 2))}",
        "string": f'metadata.{path}.string_value {operator} "{draw(LITERALS)}"',
        "bool": f"metadata.{path}.bool_value = {draw(st.sampled_from(['true', 'false']))}",
        "there": f"metadata.{path}.{draw(st.sampled_from(['number', 'string', 'bool']))}_value:*",
    }[value]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NODES, min_size=1, max_size=6), st.lists(filters(), min_size=1, max_size=6))
def test_the_database_selects_what_the_evaluator_selects(
    store: MetadataStore, nodes: list[Mapping[str, Any]], wanted: list[str]
) -> None:
    store.clear()
    assert isinstance(store.artifacts._clock, TestClock)
    store.artifacts._clock = TestClock(datetime(2026, 1, 1, tzinfo=UTC))
    for node in nodes:
        store.artifacts.create(NewNode(**node))
        store.artifacts._clock.advance(1)
    stored = store.artifacts.list().items
    assert json.dumps([node.metadata for node in stored]) == json.dumps([node["metadata"] for node in nodes])
    for filter_text in wanted:
        expression = LANGUAGES[Family.ARTIFACT].parse(filter_text)

        def holds(node: Node, wanted: Expression = expression) -> bool:
            return matches(wanted, lambda name: node.created_at if name == "create_time" else getattr(node, name))

        expected = [node.id for node in stored if holds(node)]
        assert ids(store.artifacts.list(ListRequest(filter_text)).items) == expected, filter_text


@pytest.mark.parametrize(
    ("request_", "index"),
    [
        (ListRequest(order_by="create_time desc"), "ix_ml_nodes_created"),
        (ListRequest(order_by="update_time"), "ix_ml_nodes_updated"),
        (ListRequest('display_name="x"'), "ix_ml_nodes_name"),
        (ListRequest('uri="x" AND metadata.a.number_value > 1'), "ix_ml_nodes_uri"),
        (ListRequest('schema_title="system.Model" AND in_context("c")'), "schema_title=? AND rowid=?"),
    ],
)
def test_lists_read_an_index_and_not_the_table(
    store: MetadataStore, database: Database, request_: ListRequest, index: str
) -> None:
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("SELECT ml_nodes.number"):
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row.detail for row in rows)

    store.artifacts.create(NewNode("a"))
    event.listen(database.engine, "before_cursor_execute", explain)
    store.artifacts.list(request_)
    (used, *_) = [plan for plan in plans if " ml_nodes " in plan]
    assert index in used
    assert not used.startswith("SCAN")


PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=14)
GRAPH_SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@GRAPH_SETTINGS
@given(PAIRS)
def test_a_link_is_refused_just_where_it_would_close_a_circle(
    store: MetadataStore, wanted: list[tuple[int, int]]
) -> None:
    store.clear()
    for number in range(6):
        store.contexts.create(NewNode(f"c{number}"))
    below: dict[int, set[int]] = {number: {number} for number in range(6)}  # all that lies in a context, and itself
    linked: set[tuple[int, int]] = set()
    for parent, child in wanted:
        if parent in below[child]:
            with pytest.raises(InvalidRequestError, match="cycle"):
                store.add_children(f"c{parent}", [f"c{child}"])
            continue
        store.add_children(f"c{parent}", [f"c{child}"])
        linked.add((parent, child))
        for found in below.values():
            if parent in found:
                found.update(below[child])
    children = store.children([f"c{number}" for number in range(6)])
    assert {(int(up[1]), int(down[1])) for up, found in children.items() for down in found} == linked


@GRAPH_SETTINGS
@given(PAIRS, st.integers(0, 5), st.sets(st.integers(1, 5), max_size=2))
def test_lineage_reaches_what_is_so_many_events_away(
    store: MetadataStore, events: list[tuple[int, int]], hops: int, unwanted: set[int]
) -> None:
    store.clear()
    for number in range(6):
        store.artifacts.create(NewNode(f"a{number}", display_name="no" if number in unwanted else "yes"))
        store.executions.create(NewNode(f"e{number}"))
    for artifact, execution in events:
        store.add_events(f"e{execution}", [NewEvent(f"a{artifact}", INPUT)])
    reached, near = {"a0"}, {"a0"}
    ends = {(f"a{artifact}", f"e{execution}") for artifact, execution in events if artifact not in unwanted}
    for _ in range(hops):
        near = {two for one, two in ends | {(two, one) for one, two in ends} if one in near} - reached
        reached |= near
    part = store.artifact_lineage("a0", hops, 'display_name="yes"')
    assert {node.id for node in [*part.artifacts, *part.executions]} == reached
    assert {(event.artifact, event.execution) for event in part.events} == {
        (one, two) for one, two in ends if one in reached and two in reached
    }
