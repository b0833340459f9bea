"""Whole real stacks, one for the session each, started when the first test asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlparity.testing.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The embedded stack with MLflow."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def stack_without_tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The embedded stack with only the control plane: starts quicker."""
    with running_stack(tmp_path_factory.mktemp("bare-stack"), mlflow=False) as running:
        yield running
