"""Compiled pipelines as ``kfp.compiler`` writes them, small, for a ``VertexBench``: nothing is imported for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from mlparity.engine.runs import RunStatus
from tests.vertex_bench import PARENT, Twins, VertexBench

ROOT = "gs://bucket/root"


def pipeline(name: str = "train", *, rows: int | None = 3, image: str = "alpine") -> dict[str, Any]:
    """``count`` then ``fit``, and ``report`` beside them."""
    number: dict[str, Any] = {"parameterType": "NUMBER_INTEGER"}
    if rows is not None:
        number |= {"defaultValue": rows, "isOptional": True}
    return {
        "pipelineInfo": {"name": name},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "root": {
            "inputDefinitions": {"parameters": {"rows": number}},
            "dag": {
                "tasks": {
                    "count": _task("count", {"rows": {"componentInputParameter": "rows"}}),
                    "fit": {**_task("fit", {}), "dependentTasks": ["count"]},
                    "report": _task("report", {}),
                }
            },
        },
        "components": {
            "comp-count": {
                "executorLabel": "exec",
                "inputDefinitions": {"parameters": {"rows": {"parameterType": "NUMBER_INTEGER"}}},
            },
            "comp-fit": {"executorLabel": "exec"},
            "comp-report": {"executorLabel": "exec"},
        },
        "deploymentSpec": {"executors": {"exec": {"container": {"image": image, "command": ["true"]}}}},
    }


def _task(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "taskInfo": {"name": name},
        "componentRef": {"name": f"comp-{name}"},
        "cachingOptions": {"enableCache": False},
        "inputs": {"parameters": parameters},
    }


def job(spec: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A pipeline job to create."""
    config = {"gcsOutputDirectory": ROOT, **fields.pop("runtimeConfig", {})}
    return {"displayName": "a job", "pipelineSpec": spec or pipeline(), "runtimeConfig": config, **fields}


def create(at: Twins | VertexBench, job_id: str = "j1", **fields: Any) -> dict[str, Any]:
    """Create one; as it was answered."""
    return at.call("PipelineService.CreatePipelineJob", parent=PARENT, pipelineJobId=job_id, pipelineJob=job(**fields))


def name_of(job_id: str) -> str:
    """Its resource's name."""
    return f"{PARENT}/pipelineJobs/{job_id}"


def benches(at: Twins | VertexBench) -> tuple[VertexBench, ...]:
    """The bench, or both of them."""
    return (at.by_rest, at.by_grpc) if isinstance(at, Twins) else (at,)


def until_begun(at: Twins | VertexBench, job_id: str, *tasks: str) -> None:
    """Wait until tasks of the root run."""
    for bench in benches(at):
        bench.piped.until(partial(_all_begun, bench, job_id, tasks))


def until_ended(at: Twins | VertexBench, job_id: str, status: RunStatus) -> None:
    """Wait until the run has ended so."""
    for bench in benches(at):
        bench.piped.until(partial(_has_ended, bench, job_id, status))


def _all_begun(bench: VertexBench, job_id: str, tasks: Sequence[str]) -> bool:
    steps = bench.piped.engine.repository.steps(job_id)
    return all(steps[task].job_id is not None for task in tasks)


def _has_ended(bench: VertexBench, job_id: str, status: RunStatus) -> bool:
    return bench.piped.engine.repository.get(job_id).status is status
