"""What a run would create, told before it does. Needs neither the network nor an SDK."""

from __future__ import annotations

from collections.abc import Sequence

from mlparity.scenarios.plan import Machines, Place, Plan, Resource
from mlparity.scenarios.platform import Parts
from scenarios.vertex_deployment.settings import (
    ENDPOINT,
    FOLDER,
    LOOP,
    MACHINE,
    MODEL,
    MONITOR,
    NIGHTLY_MODEL,
    SCHEDULE,
    case_of,
)


def plan(place: Place, parts: Parts, arguments: Sequence[str]) -> Plan:  # noqa: ARG001 - every plan's signature
    """Everything that the scenario makes and removes. Raises ``ConfigurationError`` for wrong arguments."""
    case_of(arguments)
    runs = 4 if place.local else 3  # the loop's beside
    loop = [Resource("loop", LOOP, "of the local control plane")] if place.local else []
    versions = (
        "four versions: weak, strong, careless, the loop's" if place.local else "three versions: weak, strong, careless"
    )
    return Plan(
        creates=[
            Resource(
                "pipeline jobs", f"{ENDPOINT}-…", f"{runs}: two, one by the schedule" + (", the loop's" * place.local)
            ),
            Resource("model", MODEL, versions),
            Resource("model", NIGHTLY_MODEL, "one version: the schedule's"),
            Resource("endpoint", ENDPOINT, "with two deployed models at most"),
            Resource("schedule", SCHEDULE, "one run"),
            Resource("monitoring job", MONITOR, "hourly" if not place.local else "asked to run once"),
            *loop,
            Resource("objects", f"gs://{place.bucket}/{FOLDER}/", "artifacts, models, the compiled pipeline"),
        ],
        machines=[
            Machines("pipeline steps", "pipeline step", runs * 6, "e2-standard-4"),
            Machines("deployed models", "deployment", 4 if place.local else 3, MACHINE, at_once=2),
        ],
        removed=[
            ("the loop, " if place.local else "")
            + "the schedule, the monitoring job, the endpoint, the model, the pipeline jobs, the objects"
        ],
        left=[
            "metadata of the pipeline runs in the default metadata store"
            + ("; logged requests below request-response-logging/" if place.local else ""),
            *([] if place.local else ["the BigQuery tables of the monitoring job (delete the dataset by hand)"]),
        ],
        remove_with="delete the pipelines' contexts in the metadata store",
        charged="pipeline runs and their machines; two deployed models; the monitoring job's tables",
    )
