"""What a run would create, told before it does. Needs neither the network nor an SDK."""

from __future__ import annotations

from collections.abc import Sequence

from mlparity.scenarios.plan import Machines, Place, Plan, Resource
from mlparity.scenarios.platform import Parts
from scenarios.vertex_training.settings import PIPELINE, case_of

_RUNS = 4
_STEPS = 4 * 5 + 4  # fetch, prepare, train, evaluate, gate in each; register or reject. Cached ones run no machine.


def plan(place: Place, parts: Parts, arguments: Sequence[str]) -> Plan:  # noqa: ARG001 - every plan's signature
    """Everything that the scenario makes and leaves. Raises ``ConfigurationError`` for wrong arguments."""
    case = case_of(arguments)
    return Plan(
        creates=[
            Resource("pipeline jobs", f"{PIPELINE}-…", f"{_RUNS}: two that win, one that does not, one rejected"),
            Resource("model", f"{case.model}-<time>", "with three versions"),
            Resource("objects", f"gs://{place.bucket}/pipelines/", "the artifacts"),
            Resource("metadata", "the default metadata store", "contexts, executions and artifacts of the runs"),
        ],
        machines=[Machines("the steps", "pipeline step", _STEPS, "e2-standard-4", at_once=1)],
        removed=[],
        left=["the model with its versions, the pipeline jobs, their metadata and the objects"],
        remove_with="Model.delete(), PipelineJob.delete() for the four jobs; delete the objects",
        charged="each pipeline run, and the steps' machines by the second; the objects; the versions in the registry",
    )
