"""The lineage graph in the database: recorded twice as once, all or nothing, and found again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlparity.engine.lineage import EdgeFilter, EntityFilter, LineageRepository, NewEdge, NewEntity
from mlparity.errors import ConflictError, NotFoundError
from mlparity.state import Database
from mlparity.state.paging import PageRequest
from mlparity.testing import TestClock

KINDS = ("Made", "Used")
FIRST = PageRequest("created_at", descending=False, limit=10)


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[LineageRepository]:
    database = Database.open(tmp_path / "state.db")
    yield LineageRepository(database, TestClock(), "test")
    database.close()


def entity(name: str, kind: str = "DataSet", **members: object) -> NewEntity:
    return NewEntity(f"arn:{name}", "Artifact", kind, name, f"s3://{name}", **members)  # type: ignore[arg-type]


def test_recording_twice_is_recording_once(graph: LineageRepository) -> None:
    for _ in range(2):
        graph.record([entity("a"), entity("b", "Model")], [NewEdge("arn:a", "arn:b", "Made")])
    assert [item.id for item in graph.list(EntityFilter("Artifact"), FIRST).items] == ["arn:a", "arn:b"]
    (edge,) = graph.list_edges(EdgeFilter(KINDS), FIRST).items
    assert (edge.source_kind, edge.target_kind) == ("DataSet", "Model")


def test_what_is_refreshed_is_merged_and_the_rest_stays(graph: LineageRepository) -> None:
    first = entity("a", body={"numbers": {"x": 1}, "status": "begun"}, is_open=True)
    graph.record([first], [])
    assert [item.id for item in graph.open()] == ["arn:a"]
    later = entity("a", body={"numbers": {"y": 2}, "status": "ended"})
    graph.record([later], [])
    assert graph.get("arn:a").body == first.body
    graph.record([later], [], refresh={"arn:a"})
    assert graph.get("arn:a").body == {"numbers": {"x": 1, "y": 2}, "status": "ended"}
    assert graph.open() == []


def test_a_record_with_a_loose_end_leaves_nothing(graph: LineageRepository) -> None:
    with pytest.raises(NotFoundError):
        graph.record([entity("a")], [NewEdge("arn:a", "arn:nobody", "Made")])
    assert graph.get_all(["arn:a"]) == {}


def test_ids_and_edges_are_unique(graph: LineageRepository) -> None:
    graph.create(entity("a"))
    graph.create(entity("b"))
    with pytest.raises(ConflictError):
        graph.create(entity("a", "Other"))
    graph.connect(NewEdge("arn:a", "arn:b", "Made"))
    graph.connect(NewEdge("arn:a", "arn:b", "Used"))
    with pytest.raises(ConflictError):
        graph.connect(NewEdge("arn:a", "arn:b", "Made"))
    with pytest.raises(ConflictError):
        graph.delete("arn:b")
    graph.disconnect("arn:a", "arn:b", KINDS)
    with pytest.raises(NotFoundError):
        graph.disconnect("arn:a", "arn:b", KINDS)
    graph.delete("arn:b")
    with pytest.raises(NotFoundError):
        graph.get("arn:b")


def test_edges_are_followed_either_way(graph: LineageRepository) -> None:
    names = [f"n{number}" for number in range(700)]  # more than one statement asks for
    edges = [NewEdge(f"arn:{source}", "arn:end", "Made") for source in names]
    graph.record([*map(entity, names), entity("end")], edges)
    assert len(graph.edges_of([f"arn:{name}" for name in names], ["Made"], outgoing=True)) == 700
    assert len(graph.edges_of(["arn:end"], ["Made"], outgoing=False)) == 700
    assert graph.edges_of(["arn:end"], ["Used"], outgoing=False) == []
    assert [item.id for item in graph.of_source("s3://n7")] == ["arn:n7"]
