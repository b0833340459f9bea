"""What a run would create, told before it does. Needs neither the network nor an SDK."""

from __future__ import annotations

from collections.abc import Sequence

from mlparity.scenarios.plan import Machines, Place, Plan, Resource
from mlparity.scenarios.platform import Parts
from scenarios.kubeflow_training.settings import EXPERIMENT, MODELS, PIPELINE, case_of

_STEPS = 3 + 2 * len(MODELS) + 1  # fetch, split, choose; train and evaluate each; keep one


def plan(place: Place, parts: Parts, arguments: Sequence[str]) -> Plan:  # noqa: ARG001 - every plan's signature
    """Everything that the scenario makes and leaves. Raises ``ConfigurationError`` for wrong arguments."""
    case = case_of(arguments, vertex=place.profile == "gcp")
    if case.on == "vertex":
        return Plan(
            creates=[
                Resource("pipeline jobs", PIPELINE, "two; the second takes every step from the cache"),
                Resource("objects", f"gs://{place.bucket}/pipelines/", "the artifacts"),
                Resource("metadata", "the default metadata store", "contexts, executions and artifacts of the runs"),
            ],
            machines=[Machines("the steps", "pipeline step", _STEPS, "e2-standard-4", at_once=2)],
            removed=[],
            left=["the pipeline jobs, their metadata and the objects"],
            remove_with="PipelineJob.delete() for both jobs; delete the objects",
            charged="each pipeline run, and the steps' machines by the second; the objects",
        )
    return Plan(
        creates=[
            Resource("pipeline", PIPELINE, "made if it is not there; one new version"),
            Resource("experiment", EXPERIMENT, "made if it is not there"),
            Resource("runs", f"{PIPELINE}-first, {PIPELINE}-second", "the second takes every step from the cache"),
        ],
        machines=[Machines("the steps", "pod", _STEPS, "the cluster's own nodes", at_once=2)],
        removed=[],
        left=["the pipeline version, the experiment, both runs, and their artifacts in the cluster's object store"],
        remove_with="kfp run delete, kfp pipeline delete; the artifacts in the object store",
        charged="nothing but what the cluster costs",
    )
