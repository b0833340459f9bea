"""The control plane is killed in the middle of a fan-out of fifty tasks: the next one finishes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance import ir_pipelines
from tests.conformance.ir_running import PipelineWorld

_TASKS = 50
_RUN = "fan-out-run"
# Says a line for every step that has succeeded.
_CONTROL_PLANE = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from ir_running import PipelineWorld
world = PipelineWorld(Path(sys.argv[1]))
def tell(run, step, before):
    if step.status.value == "succeeded":
        print(step.name, flush=True)
world.engine.listen(lambda run, before: None, tell)
if not world.engine.repository.exists(sys.argv[4]):
    numbers = list(range(int(sys.argv[5])))
    world.submit(Path(sys.argv[2]), {"numbers": numbers}, id=sys.argv[4], caching=False)
threading.Event().wait()
"""


@pytest.mark.slow
def test_a_fan_out_is_finished_by_the_next_control_plane(tmp_path: Path) -> None:
    path = ir_pipelines.compiled(ir_pipelines.fan_out, tmp_path)
    for succeeded in (5, 10):  # and again, while what was lost the first time runs
        _run_and_kill(tmp_path / "world", path, succeeded)
    world = PipelineWorld(tmp_path / "world")
    try:
        before = [
            task for task in world.pipelines.tasks(_RUN) if task.name == "nap" and task.state.value == "SUCCEEDED"
        ]
        assert 10 <= len(before) < _TASKS
        ran = world.wait(_RUN)
        assert ran.outputs == {"Output": sum(number**2 for number in range(_TASKS))}
        assert len(ran.all("nap")) == _TASKS
        assert {len(task.job_ids) for task in ran.all("nap")} == {1}
        after = {task.id: task for task in ran.all("nap")}
        assert all(after[task.id] == task for task in before)  # what had succeeded was left alone
        executions = world.metadata("kubeflow").context_lineage(_RUN).executions
        assert {node.state for node in executions} == {"COMPLETE"}
        assert len(executions) == 2 * _TASKS + 3  # tasks and iterations; the loop, the total and the run itself
    finally:
        world.close()


def _run_and_kill(folder: Path, pipeline: Path, succeeded: int) -> None:
    arguments = (str(folder), str(pipeline), str(Path(ir_pipelines.__file__).parent), _RUN, str(_TASKS))
    child = subprocess.Popen((sys.executable, "-c", _CONTROL_PLANE, *arguments), stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        for _ in range(succeeded):
            assert child.stdout.readline().strip() == "nap"
    finally:
        child.kill()
        child.communicate()
