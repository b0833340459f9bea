"""A crash at every commit of an operation: made again with its token, it has happened once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from mlparity.apis.sagemaker.context import Caller, SageMaker
from mlparity.apis.sagemaker.operations import BY_NAME
from mlparity.apis.sagemaker.steps import handlers
from mlparity.clock import SystemClock
from mlparity.engine.runs import Run, RunPlan, RunStatus, Step, StepContext, StepPlan, StepStatus
from mlparity.errors import ConflictError
from mlparity.ids import SystemIds
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.control_plane import ControlPlane
from mlparity.state import Database
from mlparity.state.documents import DocumentRepository
from mlparity.state.schema.engine import events, runs
from mlparity.state.schema.registry import model_groups, model_versions
from mlparity.testing import TestClock

CALLER = Caller("arn:aws:iam::123456789012:user/crash", "AIDACRASH")
ROLE = "arn:aws:iam::123456789012:role/any"
DEFINITION = '{"Version": "2020-12-01", "Parameters": [], "Steps": [{"Name": "f", "Type": "Fail", "Arguments": {}}]}'
MOST_COMMITS = 8


class Crash(BaseException):
    """The process is gone here."""


class Plug:
    """Ends the process, as it were, before or after its ``number``-th commit."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._original = Database.write
        self._left: int | None = None
        self._before = False
        plug = self

        @contextmanager
        def write(self: Database) -> Iterator[Connection]:
            outermost = self._open.connection is None
            with plug._original(self) as connection:
                yield connection
                if outermost:
                    plug.count(before=True)
            if outermost:
                plug.count(before=False)

        patch.setattr(Database, "write", write)

    @contextmanager
    def pulled(self, number: int, *, before: bool) -> Iterator[None]:
        self._left, self._before = number, before
        try:
            yield
        finally:
            self._left = None

    def count(self, *, before: bool) -> None:
        if self._left is None or before is not self._before:
            return
        self._left -= 1
        if self._left < 0:
            raise Crash


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    return Plug(monkeypatch)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """The real parts, without their threads."""
    made = ControlPlane(ControlPlaneConfig(tmp_path / "data", mlflow_port=0), SystemClock(), SystemIds())
    yield made
    made.close()


def counted(plane: ControlPlane, table: Any) -> int:
    with plane._on.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def once(plug: Plug, action: Callable[[], Any], number: int, *, before: bool) -> tuple[Any, bool]:
    """``action``, cut off, and then made again by a client that heard nothing; whether it was cut off."""
    try:
        with plug.pulled(number, before=before):
            return action(), False
    except Crash:
        return action(), True


def call(api: SageMaker, operation: str, **request: Any) -> dict[str, Any]:
    return dict(BY_NAME[operation].handler(api, request, CALLER))


def crashes() -> Iterator[tuple[int, bool]]:
    for number in range(MOST_COMMITS):
        yield number, True
        yield number, False


def test_a_model_package_is_made_once(plane: ControlPlane, plug: Plug) -> None:
    api = plane._sagemaker.api
    cut = 0
    call(api, "CreateModelPackageGroup", ModelPackageGroupName="g")
    for made, (number, before) in enumerate(crashes(), 1):
        token = f"t-{number}-{before}"
        request = {"ModelPackageGroupName": "g", "ClientToken": token, "Tags": [{"Key": "a", "Value": "b"}]}
        answer, was_cut = once(plug, partial(call, api, "CreateModelPackage", **request), number, before=before)
        cut += was_cut
        arn = answer["ModelPackageArn"]
        assert arn.endswith(f"/g/{made}")
        assert api.tags.get(arn) == {"a": "b"}
        assert (counted(plane, model_versions), counted(plane, events)) == (made, made)
        assert call(api, "CreateModelPackage", **request) == answer
    assert cut >= 2


def test_a_pipeline_and_its_execution_are_made_once(plane: ControlPlane, plug: Plug) -> None:
    api = plane._sagemaker.api
    cut = 0
    for made, (number, before) in enumerate(crashes(), 1):
        name = f"p-{number}-{before}"
        pipeline = {
            "PipelineName": name,
            "PipelineDefinition": DEFINITION,
            "RoleArn": ROLE,
            "ClientRequestToken": "t" * 32,
        }
        _, was_cut = once(plug, partial(call, api, "CreatePipeline", **pipeline), number, before=before)
        cut += was_cut
        start = {"PipelineName": name, "ClientRequestToken": f"{name}-{'s' * 32}"}
        answer, was_cut = once(plug, partial(call, api, "StartPipelineExecution", **start), number, before=before)
        cut += was_cut
        assert counted(plane, runs) == made
        assert call(api, "StartPipelineExecution", **start) == answer
    assert cut >= 4


def test_a_register_step_registers_once(plane: ControlPlane, plug: Plug) -> None:
    api = plane._sagemaker.api
    handler = handlers(lambda: api)[("sagemaker", "RegisterModel")]
    for made, (number, before) in enumerate(crashes(), 1):
        context = register_context(f"run-{number}-{before}".lower())
        update, _ = once(plug, partial(handler.start, context), number, before=before)
        assert update.status is StepStatus.SUCCEEDED, update.failure_reason
        assert (counted(plane, model_versions), counted(plane, model_groups)) == (made, 1)


def register_context(run_id: str) -> StepContext:
    plan = StepPlan("register", "RegisterModel", depends_on=(), body={"Arguments": {"ModelPackageGroupName": "steps"}})
    now = SystemClock().now()
    known: dict[str, Any] = {"id": run_id, "api": "sagemaker", "kind": "PipelineExecution", "parent": "p", "name": "e"}
    whole = RunPlan(steps=(plan,), parameters={}, context={"RoleArn": ROLE}, max_parallel_steps=0)
    rest = dict.fromkeys(Run.__dataclass_fields__)
    run = Run(**{**rest, **known, "request": {}, "plan": whole, "status": RunStatus.EXECUTING, "created_at": now})
    blank: dict[str, Any] = dict.fromkeys(Step.__dataclass_fields__)
    blank |= {"run_id": run_id, "name": "register", "status": StepStatus.STARTING, "past_jobs": [], "outputs": {}}
    step = Step(**blank)
    return StepContext(run, plan, step, {"register": step})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "state.db")
    yield opened
    opened.close()


def test_a_block_inside_a_block_is_committed_with_it_or_not_at_all(database: Database) -> None:
    documents = DocumentRepository(database, TestClock(), "a")
    done: list[str] = []

    def lost() -> None:
        with documents.transaction():
            documents.create("k", "lost", {})
            database.after_commit(lambda: done.append("lost"))
            raise Crash

    def part() -> None:
        with documents.transaction():
            database.after_commit(lambda: done.append("part"))
            documents.create("k", "part", {})
            documents.create("k", "kept", {})

    with pytest.raises(Crash):
        lost()
    with documents.transaction():
        documents.create("k", "kept", {})
        database.after_commit(lambda: done.append("kept"))
        with pytest.raises(ConflictError):
            part()  # undone alone
        assert documents.get("k", "kept").body == {}  # it sees what it has written
        assert done == []
    assert done == ["kept"]
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT name FROM documents").scalars().all()
    assert rows == ["kept"]
