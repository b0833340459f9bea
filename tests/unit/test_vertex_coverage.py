"""The coverage table names every method of the package once, and nothing that is not there."""

from __future__ import annotations

from collections import Counter

from mlparity.apis.vertex.coverage import coverage
from mlparity.apis.vertex.operations_table import BY_NAME, OPERATIONS
from tests.vertex_bench import types


def test_every_method_has_its_row() -> None:
    rows = list(coverage())
    names = [name for name, _, _ in rows]
    assert set(names) == types().get("v1").methods.keys() | BY_NAME.keys()
    assert max(Counter(names).values()) == 1
    states = {name: state for name, state, _ in rows}
    assert all((states[name] == "absent") == (name not in BY_NAME) for name in names)
    assert states["EndpointService.GetEndpoint"] == "works"


def test_the_table_names_methods_of_the_package_once() -> None:
    known = types().get("v1").methods.keys() | types().get("v1beta1").methods.keys()
    assert {operation.name for operation in OPERATIONS} <= known
    assert len(OPERATIONS) == len(BY_NAME)
