"""Vertex AI Pipelines through the unmodified google-cloud-aiplatform: compiled by kfp, run by the stack's engine."""

from __future__ import annotations

import logging
import uuid
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlparity.engine.runs import RunStatus
from mlparity.testing.stack import RunningStack
from tests.sdk.vertex_running import PARENT, vertex_running
from tests.vertex_ir import ROOT, pipeline, until_begun, until_ended

pytestmark = pytest.mark.filterwarnings("ignore:::google.*")


@dataclass(frozen=True)
class Cloud:
    """The SDK, Cloud Storage, the stack, and a folder for compiled pipelines."""

    sdk: Any
    storage: Any
    stack: RunningStack
    folder: Path

    def point(self) -> None:
        """Point the SDK at the stack: its settings are the process's."""
        from google.auth.credentials import AnonymousCredentials

        config = self.stack.config
        self.sdk.init(
            project=config.gcp_project,
            location=config.gcp_location,
            api_endpoint=self.stack.gcp_url,
            api_transport="rest",
            staging_bucket=f"gs://{config.gcp_bucket}/pipelines",
            credentials=AnonymousCredentials(),
        )

    def job(self, name: str, **options: Any) -> Any:
        from tests.sdk import vertex_kfp

        package = vertex_kfp.compiled(getattr(vertex_kfp, name), self.folder)
        job_id = f"{name}-{uuid.uuid4().hex[:8]}"  # the SDK's own is the same for two within a second
        return self.sdk.PipelineJob(display_name=name, template_path=package, job_id=job_id, **options)

    def submit(self, name: str, experiment: str = "", **options: Any) -> Any:
        job = self.job(name, **options)
        job.submit(**({"experiment": experiment} if experiment else {}))
        return job

    def run(self, name: str, **options: Any) -> Any:
        job = self.submit(name, **options)
        job.wait()
        return job

    def text(self, uri: str) -> str:
        bucket, _, key = uri.removeprefix("gs://").partition("/")
        return bytes(self.storage.bucket(bucket).blob(key).download_as_bytes()).decode()


@pytest.fixture(scope="module")
def cloud(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with stack.environment_applied(), warnings.catch_warnings(), pytest.MonkeyPatch.context() as patched:
        warnings.simplefilter("ignore")
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import aiplatform, storage
        from google.cloud.aiplatform import pipeline_jobs

        patched.setattr(pipeline_jobs, "_JOB_WAIT_TIME", 0.1)  # it asks every five seconds
        logging.getLogger("google.cloud.aiplatform").setLevel(logging.CRITICAL)
        client = storage.Client(project=stack.config.gcp_project, credentials=AnonymousCredentials())
        yield Cloud(aiplatform, client, stack, tmp_path_factory.mktemp("compiled"))
        aiplatform.initializer.global_config.__init__()


@pytest.fixture(autouse=True)
def _pointed_at_the_stack(cloud: Cloud) -> None:
    """In place of that for SageMaker's SDK, which costs seconds."""
    cloud.point()


@pytest.fixture(scope="module")
def label() -> str:
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def first(cloud: Cloud, label: str) -> Any:
    """A run of everything, in an experiment."""
    cloud.point()
    job = cloud.submit("flights", "flying", parameter_values={"rows": 5, "label": label}, labels={"team": label})
    job.wait()
    return job


def by_name(job: Any) -> dict[str, Any]:
    return {task.task_name: task for task in job.task_details}


def states(tasks: Mapping[str, Any], *names: str) -> set[str]:
    return {tasks[name].state.name for name in names}


def test_a_run_tells_its_tasks_artifacts_and_metrics(cloud: Cloud, first: Any, label: str) -> None:
    assert first.state.name == "PIPELINE_STATE_SUCCEEDED"
    sent = yaml.safe_load((cloud.folder / "flights.yaml").read_text("utf-8"))
    assert first.to_dict()["pipelineSpec"] == sent
    tasks = by_name(first)
    assert first.name in tasks
    assert states(tasks, "make", "fit", "condition-2", "say", "for-loop-5", "total", first.name) == {"SUCCEEDED"}
    assert states(tasks, "condition-3") == {"NOT_TRIGGERED"}
    squares = [task for task in first.task_details if task.task_name == "square"]
    assert [task.execution.metadata["output:Output"] for task in squares] == [1.0, 4.0, 9.0]
    assert tasks["total"].execution.metadata["output:Output"] == 14.0
    assert tasks[first.name].execution.metadata["input:rows"] == 5.0
    assert tasks["say"].execution.metadata["output:Output"] == f"{label} in {first.name} of us-central1"
    data, model = tasks["make"].outputs["data"].artifacts[0], tasks["fit"].outputs["model"].artifacts[0]
    assert tasks["fit"].inputs["data"].artifacts[0].name == data.name
    assert (data.schema_title, data.metadata["rows"]) == ("system.Dataset", 5.0)
    assert data.metadata["where"] == f"{cloud.sdk.initializer.global_config.project} us-central1"
    assert cloud.text(data.uri) == "0\n1\n2\n3\n4"
    assert cloud.text(model.uri) == "mean 2.0"
    assert model.metadata["made of"] == data.name  # programs see artifacts by their resource names
    assert tasks["fit"].outputs["metrics"].artifacts[0].metadata["accuracy"] == 0.875


def test_lineage_experiment_and_data_frames_are_those_of_the_metadata_store(
    cloud: Cloud, first: Any, label: str
) -> None:
    model = by_name(first)["fit"].outputs["model"].artifacts[0]
    artifact = cloud.sdk.Artifact(model.name)
    assert (artifact.uri, artifact.schema_title) == (model.uri, "system.Model")
    run = cloud.sdk.Context(first.name)
    subgraph = run.query_lineage_subgraph()
    made_by = {event.execution for event in subgraph.events if event.artifact == model.name}
    assert made_by == {by_name(first)["fit"].execution.name}
    assert first.get_associated_experiment().name == "flying"
    frame = cloud.sdk.get_experiment_df("flying").set_index("run_name")
    row = frame.loc[first.name]
    assert (row["run_type"], row["state"], row["param.label"]) == ("system.PipelineRun", "COMPLETE", label)
    assert (row["param.rows"], row["metric.accuracy"]) == (5.0, 0.875)
    old = cloud.sdk.get_pipeline_df("flights").set_index("run_name").loc[first.name]
    assert (old["param.input:rows"], old["metric.accuracy"]) == (5.0, 0.875)


def test_equal_tasks_come_from_the_cache_unless_it_is_off(cloud: Cloud, first: Any, label: str) -> None:
    arguments = {"rows": 5, "label": label}
    again = cloud.run("flights", parameter_values=arguments)
    before, after = by_name(first), by_name(again)
    assert states(after, "make", "fit", "square", "total") == {"SKIPPED"}
    assert after["fit"].outputs["model"].artifacts[0].name == before["fit"].outputs["model"].artifacts[0].name
    assert after["say"].execution.metadata["output:Output"] == f"{label} in {again.name} of us-central1"
    anew = cloud.run("flights", parameter_values=arguments, enable_caching=False)
    assert states(by_name(anew), "make", "fit", "say") == {"SUCCEEDED"}
    mine = cloud.sdk.PipelineJob.list(filter=f'labels.team="{label}"', enable_simple_view=True)
    assert [job.name for job in mine] == [first.name]
    (found,) = mine
    assert found.gca_resource.job_detail.pipeline_run_context.display_name == first.name
    anew.delete()
    listed = {job.name for job in cloud.sdk.PipelineJob.list(filter='pipeline_name="flights"')}
    assert {first.name, again.name} <= listed
    assert anew.name not in listed


def test_a_failed_task_fails_the_job_in_vertex_words(cloud: Cloud) -> None:
    job = cloud.submit("refuses")
    with pytest.raises(RuntimeError, match=r"The failed tasks are: \[refuse\]\.; Job \(project_id = "):
        job.wait()
    assert job.has_failed
    tasks = by_name(job)
    assert "the data is too old" in tasks["refuse"].error.message
    custom_job = cloud.sdk.CustomJob.get(tasks["refuse"].executor_detail.container_detail.main_job)
    assert custom_job.state.name == "JOB_STATE_FAILED"
    assert "exited with a non-zero status of 1" in custom_job.error.message
    assert states(tasks, "say") == {"NOT_TRIGGERED"}


def test_a_job_is_cancelled(cloud: Cloud) -> None:
    job = cloud.submit("sleeps")
    job.cancel()
    job.wait()
    assert job.state.name == "PIPELINE_STATE_CANCELLED"
    assert cloud.sdk.PipelineJob.get(job.resource_name).gca_resource.error.code == 1


def test_schedules_are_made_changed_and_stopped(cloud: Cloud) -> None:
    job = cloud.job("flights", parameter_values={"rows": 1})
    schedule = job.create_schedule(
        cron="TZ=Europe/Berlin 0 3 * * *", display_name="nightly", max_concurrent_run_count=1, max_run_count=2
    )
    assert (schedule.state.name, schedule.cron) == ("ACTIVE", "TZ=Europe/Berlin 0 3 * * *")
    schedule.update(cron="0 4 * * *", max_run_count=3)
    assert (schedule.cron, schedule.max_run_count) == ("0 4 * * *", 3)
    assert schedule.gca_resource.next_run_time.hour == 4
    schedule.pause()
    assert schedule.state.name == "PAUSED"
    schedule.resume()
    assert schedule.state.name == "ACTIVE"
    assert schedule.list_jobs() == []
    listed = cloud.sdk.PipelineJobSchedule.list(filter='display_name="nightly"')
    assert [found.name for found in listed] == [schedule.name]
    schedule.delete()
    assert cloud.sdk.PipelineJobSchedule.list(filter='display_name="nightly"') == []


def test_the_clients_of_the_sdk_work_over_grpc(tmp_path: Path) -> None:
    with vertex_running(tmp_path) as running, running.grpc_client("PipelineService") as client:
        asked = {
            "display_name": "small",
            "pipeline_spec": pipeline(),
            "runtime_config": {"gcs_output_directory": ROOT},
        }
        made = client.create_pipeline_job(parent=PARENT, pipeline_job=asked, pipeline_job_id="j1")
        until_begun(running.bench, "j1", "count", "report")
        assert client.get_pipeline_job(name=made.name).state.name == "PIPELINE_STATE_RUNNING"
        for task in ("count", "fit", "report"):
            running.bench.piped.end("j1", task)
        until_ended(running.bench, "j1", RunStatus.SUCCEEDED)
        (found,) = client.list_pipeline_jobs(request={"parent": PARENT, "filter": 'pipeline_name="train"'})
        assert found.state.name == "PIPELINE_STATE_SUCCEEDED"
        deleted = client.batch_delete_pipeline_jobs(request={"parent": PARENT, "names": [made.name]}).result()
        assert [job.name for job in deleted.pipeline_jobs] == [made.name]
