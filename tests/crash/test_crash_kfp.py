"""The control plane is killed while pipelines of the Kubeflow API run: they end as if nothing had been."""

from __future__ import annotations

import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from mlparity.testing.stack import running_stack
from tests.conformance.gate import Gate
from tests.conformance.kfp_lessons import gated
from tests.conformance.kfp_world import client

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning:kfp.*")


def patiently(call: Any) -> Any:
    """What the call answers, once there is a server again."""
    import kfp_server_api
    import urllib3

    deadline = time.monotonic() + 60
    while True:
        try:
            return call()
        except (urllib3.exceptions.HTTPError, kfp_server_api.ApiException):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def ended(kfp: Any, run_id: str) -> Any:
    deadline = time.monotonic() + 60
    while (run := kfp.get_run(run_id)).finished_at is None:
        assert time.monotonic() < deadline, run.state
        time.sleep(0.1)
    return run


@pytest.mark.slow
def test_a_killed_control_plane_loses_no_run(tmp_path: Path) -> None:
    gate = Gate()
    try:
        with running_stack(tmp_path, mlflow=False) as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kfp = client(stack.pipelines_url)
            going, stopped = (
                kfp.create_run_from_pipeline_func(gated, {"gate": f"{gate.url}/{name}"}).run_id
                for name in ("going", "stopped")
            )
            recurring = kfp.create_recurring_run(
                kfp.get_run(going).experiment_id,
                "kept",
                cron_expression="0 0 1 1 1 ?",
                params={"gate": gate.url},
                **_version(kfp),
            )
            gate.until_waiting(2)
            first = _task(kfp.get_run(going), "shout")
            plane = next(child for child in stack.record().children if child.name == "control-plane")
            os.kill(plane.pid, signal.SIGKILL)
            patiently(lambda: kfp.terminate_run(stopped))
            assert ended(kfp, stopped).state == "CANCELED"
            gate.open.set()
            run = ended(kfp, going)
            assert run.state == "SUCCEEDED"
            assert _task(run, "shout").executor_detail.main_job == first.executor_detail.main_job
            assert {_task(run, name).state for name in ("shout", "wait-for", "shout-2")} == {"SUCCEEDED"}
            assert [entry.state for entry in run.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]
            assert kfp.get_recurring_run(recurring.recurring_run_id).status == "ENABLED"
    finally:
        gate.close()


def _version(kfp: Any) -> dict[str, str]:
    pipeline = kfp.upload_pipeline_from_pipeline_func(gated, "kept").pipeline_id
    version = kfp.list_pipeline_versions(pipeline).pipeline_versions[0].pipeline_version_id
    return {"pipeline_id": pipeline, "version_id": version}


def _task(run: Any, name: str) -> Any:
    return next(item for item in run.run_details.task_details if item.display_name == name)
