"""Vertex's pipeline jobs, the same over REST and gRPC, on the real engine with tasks that a test ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlparity.engine.jobs import Phase
from mlparity.engine.runs import RunStatus
from mlparity.metadata import NewNode
from mlparity.pipeline_ir.root_runs import metadata_id
from tests.vertex_bench import PARENT, PROJECT, Twins, VertexBench
from tests.vertex_ir import benches, create, job, name_of, pipeline, until_begun, until_ended

STORE = f"{PARENT}/metadataStores/default"


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    with Twins(tmp_path) as found:
        yield found


def service(at: Twins | VertexBench, method: str, **request: Any) -> dict[str, Any]:
    return at.call(f"PipelineService.{method}", **request)


def end(twins: Twins, job_id: str, task: str, phase: Phase = Phase.COMPLETED) -> None:
    for bench in benches(twins):
        bench.piped.end(job_id, task, phase)


def listed(twins: Twins, text: str, **request: Any) -> list[str]:
    found = service(twins, "ListPipelineJobs", parent=PARENT, filter=text, **request)
    return [item["name"].rpartition("/")[2] for item in found.get("pipelineJobs", [])]


def test_a_job_runs_and_tells_its_tasks_and_lineage(twins: Twins) -> None:
    spec = pipeline()
    made = create(twins, spec=spec, labels={"team": "a"}, runtimeConfig={"parameterValues": {"rows": 7.0}})
    assert made["state"] == "PIPELINE_STATE_PENDING"
    assert made["pipelineSpec"] == spec
    assert made["serviceAccount"].endswith("-compute@developer.gserviceaccount.com")
    assert made["labels"].keys() == {"team", "vertex-ai-pipelines-run-billing-id"}
    until_begun(twins, "j1", "count", "report")
    twins.advance(60)
    for task in ("count", "fit", "report"):
        end(twins, "j1", task)
    until_ended(twins, "j1", RunStatus.SUCCEEDED)

    found = service(twins, "GetPipelineJob", name=name_of("j1"))
    assert found["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert found["pipelineSpec"] == spec
    assert found["startTime"] == found["createTime"] < found["endTime"] == found["updateTime"]
    detail = found["jobDetail"]
    assert detail["pipelineContext"]["name"] == f"{STORE}/contexts/train"
    assert detail["pipelineRunContext"]["parentContexts"] == [f"{STORE}/contexts/train"]
    tasks = {task["taskName"]: task for task in detail["taskDetails"]}
    assert set(tasks) == {"j1", "count", "fit", "report"}
    assert {task["state"] for task in tasks.values()} == {"SUCCEEDED"}
    assert tasks["fit"]["parentTaskId"] == tasks["j1"]["taskId"]
    assert [status["state"] for status in tasks["fit"]["pipelineTaskStatus"]] == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert tasks["fit"]["taskUniqueName"] == "fit"

    # The contexts are those of the metadata store, and the run's execution is in both.
    for context in ("train", "j1"):
        inside = twins.call(
            "MetadataService.ListExecutions",
            parent=STORE,
            filter=f'schema_title="system.Run" AND in_context("{STORE}/contexts/{context}")',
        )["executions"]
        assert [(item["displayName"], item["state"]) for item in inside] == [("j1", "COMPLETE")]
        assert inside[0]["metadata"] == {"input:rows": 7}
        assert inside[0]["name"] == tasks["j1"]["execution"]["name"]


def test_lists_are_filtered_sorted_and_masked(twins: Twins) -> None:
    registry = "https://us-kfp.pkg.dev/p/r/t"
    for number, name in enumerate(("train", "score", "score")):
        template = {"templateUri": f"{registry}/sha256:ab{number}"} if number else {}
        create(
            twins, f"j{number}", spec=pipeline(name), displayName=f"job {number}", labels={"n": str(number)}, **template
        )
        until_begun(twins, f"j{number}", "count", "report")
        twins.advance(1)
    assert listed(twins, "") == ["j2", "j1", "j0"]
    assert listed(twins, 'pipeline_name="score"', orderBy="create_time") == ["j1", "j2"]
    assert listed(twins, 'display_name:"*1" OR labels.n="0"') == ["j1", "j0"]
    assert listed(twins, 'pipeline_job_user_id="j2" AND state!="PIPELINE_STATE_FAILED"') == ["j2"]
    assert listed(twins, 'template_metadata.version="sha256:ab1"') == ["j1"]
    assert listed(twins, f'template_uri:"{registry}*"') == ["j2", "j1"]
    assert listed(twins, 'create_time>"2026-01-01T00:00:00Z"') == ["j2", "j1"]
    page = service(twins, "ListPipelineJobs", parent=PARENT, pageSize=2)
    assert "jobDetail" not in page["pipelineJobs"][0]
    assert len(page["pipelineJobs"]) == 2
    rest = service(twins, "ListPipelineJobs", parent=PARENT, pageSize=2, pageToken=page["nextPageToken"])
    assert [item["name"] for item in rest["pipelineJobs"]] == [name_of("j0")]
    mask = "name,pipelineSpec.pipelineInfo,jobDetail.pipelineRunContext"
    (masked,) = service(twins, "ListPipelineJobs", parent=PARENT, filter="labels.n=0", readMask=mask)["pipelineJobs"]
    context = masked.pop("jobDetail")
    assert masked == {"name": name_of("j0"), "pipelineSpec": {"pipelineInfo": {"name": "train"}}}
    assert context["pipelineRunContext"]["name"] == f"{STORE}/contexts/j0"
    assert twins.refused("PipelineService.ListPipelineJobs", parent=PARENT, filter="network=a").code == (
        "INVALID_ARGUMENT"
    )


@pytest.mark.parametrize(
    ("policy", "fit"), [("UNSPECIFIED", "SUCCEEDED"), ("FAIL_SLOW", "SUCCEEDED"), ("FAIL_FAST", "NOT_TRIGGERED")]
)
def test_a_failed_task_fails_the_job_by_its_policy(tmp_path: Path, policy: str, fit: str) -> None:
    with VertexBench(tmp_path) as bench:
        create(bench, runtimeConfig={"failurePolicy": f"PIPELINE_FAILURE_POLICY_{policy}"})
        until_begun(bench, "j1", "count", "report")
        bench.piped.end("j1", "report", Phase.FAILED)
        bench.piped.until(lambda: bench.piped.engine.repository.steps("j1")["report"].status.is_final)
        bench.piped.end("j1", "count")
        if fit == "SUCCEEDED":
            bench.piped.end("j1", "fit")
        until_ended(bench, "j1", RunStatus.FAILED)
        found = service(bench, "GetPipelineJob", name=name_of("j1"))
        assert found["state"] == "PIPELINE_STATE_FAILED"
        number = found["labels"]["vertex-ai-pipelines-run-billing-id"]
        assert found["error"] == {
            "code": 9,
            "message": "The DAG failed because some tasks failed. The failed tasks are: [report].; "
            f"Job (project_id = {PROJECT}, job_id = {number}) is failed due to the above error.",
        }
        tasks = {task["taskName"]: task for task in found["jobDetail"]["taskDetails"]}
        assert tasks["fit"]["state"] == tasks["fit"]["pipelineTaskStatus"][-1]["state"] == fit
        assert tasks["report"]["error"]["message"].startswith("it broke; Failed to handle the pipeline task. Task: ")
        assert tasks["report"]["pipelineTaskStatus"][-1]["error"] == tasks["report"]["error"]


def test_cancelling_and_deleting_one_and_many(twins: Twins) -> None:
    for job_id in ("one", "two", "done"):
        create(twins, job_id)
        until_begun(twins, job_id, "count", "report")
    for task in ("count", "fit", "report"):
        end(twins, "done", task)
    until_ended(twins, "done", RunStatus.SUCCEEDED)
    answer = twins.refused("PipelineService.CancelPipelineJob", name=name_of("done"))
    assert (answer.code, "PIPELINE_STATE_SUCCEEDED" in answer.message) == ("FAILED_PRECONDITION", True)
    assert twins.refused("PipelineService.DeletePipelineJob", name=name_of("one")).code == "FAILED_PRECONDITION"
    assert twins.refused(
        "PipelineService.BatchDeletePipelineJobs", parent=PARENT, names=[name_of("done"), name_of("one")]
    ).code == ("FAILED_PRECONDITION")
    assert service(twins, "GetPipelineJob", name=name_of("done"))["state"] == "PIPELINE_STATE_SUCCEEDED"

    assert service(twins, "CancelPipelineJob", name=name_of("one")) == {}
    names = [name_of("one"), name_of("two"), name_of("done")]
    missing = twins.refused("PipelineService.BatchCancelPipelineJobs", parent=PARENT, names=[*names, name_of("no")])
    assert missing == twins.refused("PipelineService.GetPipelineJob", name=name_of("no"))
    assert missing.code == "NOT_FOUND"
    operation = service(twins, "BatchCancelPipelineJobs", parent=PARENT, names=names)
    assert "done" not in operation
    assert listed(twins, 'state="PIPELINE_STATE_CANCELLING"') == ["two", "one"]
    for job_id in ("one", "two"):
        for task in ("count", "report"):
            end(twins, job_id, task, Phase.STOPPED)
        until_ended(twins, job_id, RunStatus.STOPPED)
    ended = twins.call("Operations.GetOperation", name=operation["name"])
    assert [(item["name"], item["state"]) for item in ended["response"]["pipelineJobs"]] == [
        (name_of("one"), "PIPELINE_STATE_CANCELLED"),
        (name_of("two"), "PIPELINE_STATE_CANCELLED"),
    ]
    cancelled = service(twins, "GetPipelineJob", name=name_of("one"))
    assert cancelled["error"]["code"] == 1
    tasks = {task["taskName"]: task for task in cancelled["jobDetail"]["taskDetails"]}
    assert (tasks["count"]["state"], tasks["count"]["error"]["code"]) == ("CANCELLED", 1)

    assert service(twins, "DeletePipelineJob", name=name_of("one"))["done"]
    both = service(twins, "BatchDeletePipelineJobs", parent=PARENT, names=names[1:])
    assert [item["name"] for item in both["response"]["pipelineJobs"]] == names[1:]
    assert listed(twins, "") == []
    assert create(twins, "one")["name"] == name_of("one")  # its id is free again


def test_what_cannot_run_is_refused_before_anything_is_kept(twins: Twins) -> None:
    def refused(pipeline_job: dict[str, Any], version: str = "v1", **request: Any) -> tuple[str, str]:
        asked = {"parent": PARENT, "pipelineJob": pipeline_job, **request}
        answer = twins.refused("PipelineService.CreatePipelineJob", version, **asked)
        return answer.code, answer.message

    wrong: list[tuple[dict[str, Any], str]] = [
        (job(pipeline(rows=None)), "rows"),
        (job(runtimeConfig={"parameterValues": {"rows": "many"}}), "rows"),
        (job(runtimeConfig={"parameterValues": {"columns": 1}}), "columns"),
        (job(pipeline(image="never-heard-of:1")), "never-heard-of:1"),
        (job(runtimeConfig={"gcsOutputDirectory": "s3://bucket/root"}), "gcs_output_directory"),
        (job(runtimeConfig={"inputArtifacts": {"data": {"artifactId": "nine"}}}), f"{STORE}/artifacts/nine"),
        (job(displayName="a" * 129), "display_name"),
    ]
    for pipeline_job, text in wrong:
        code, message = refused(pipeline_job)
        assert (code, text in message) == ("INVALID_ARGUMENT", True), message
    assert refused(job(), pipelineJobId="Upper")[0] == "INVALID_ARGUMENT"
    template = {"templateUri": "https://us-kfp.pkg.dev/p/r/t/v1", "runtimeConfig": {"gcsOutputDirectory": "gs://b"}}
    assert refused(template)[0] == "UNIMPLEMENTED"
    assert refused(job(originalPipelineJobId="4"), "v1beta1")[0] == "UNIMPLEMENTED"
    assert listed(twins, "") == []
    create(twins, "taken")
    assert refused(job(), pipelineJobId="taken")[0] == "ALREADY_EXISTS"


def test_input_artifacts_and_old_parameters_reach_the_tasks(tmp_path: Path) -> None:
    with VertexBench(tmp_path) as bench:
        store = bench.vertex.metadata.of(f"vertex/{PROJECT}/us-central1/default")
        store.artifacts.create(NewNode("data1", "flights", "system.Dataset", "0.0.1", uri="gs://bucket/flights.csv"))
        spec = pipeline()
        declared = {"data": {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}}
        spec["root"]["inputDefinitions"]["artifacts"] = declared
        spec["components"]["comp-report"]["inputDefinitions"] = {"artifacts": declared}
        spec["root"]["dag"]["tasks"]["report"]["inputs"] = {"artifacts": {"data": {"componentInputArtifact": "data"}}}
        config = {"inputArtifacts": {"data": {"artifactId": "data1"}}, "parameters": {"rows": {"intValue": "5"}}}
        create(bench, spec=spec, runtimeConfig=config)
        until_begun(bench, "j1", "count", "report")
        found = service(bench, "GetPipelineJob", name=name_of("j1"))
        tasks = {task["taskName"]: task for task in found["jobDetail"]["taskDetails"]}
        (artifact,) = tasks["report"]["inputs"]["data"]["artifacts"]
        assert (artifact["name"], artifact["uri"]) == (f"{STORE}/artifacts/data1", "gs://bucket/flights.csv")
        assert tasks["j1"]["execution"]["metadata"] == {"input:rows": 5}


def test_a_run_goes_on_where_a_person_deletes_its_lineage(tmp_path: Path) -> None:
    with VertexBench(tmp_path) as bench:
        create(bench)
        until_begun(bench, "j1", "count", "report")
        store = bench.vertex.metadata.of(f"vertex/{PROJECT}/us-central1/default")
        store.executions.delete(metadata_id("j1"))
        store.contexts.delete("j1")
        store.contexts.delete("train")
        for task in ("count", "fit", "report"):
            bench.piped.end("j1", task)
        until_ended(bench, "j1", RunStatus.SUCCEEDED)
        assert service(bench, "GetPipelineJob", name=name_of("j1"))["state"] == "PIPELINE_STATE_SUCCEEDED"
