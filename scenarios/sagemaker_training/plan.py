"""What a run would create, told before it does. Needs neither the network nor the SDK."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlparity.scenarios.plan import Machines, Place, Plan, Resource
from mlparity.scenarios.platform import Parts
from scenarios.sagemaker_training.settings import (
    PROCESSING_INSTANCE,
    TRAINING_INSTANCE,
    TRAINING_JOBS,
    TRANSFORM_INSTANCE,
    TUNED,
    TUNING_AT_ONCE,
    TUNING_JOBS,
    Case,
    case_of,
)


def plan(place: Place, parts: Parts, arguments: Sequence[str]) -> Plan:
    """Everything that these parts make, remove and leave. Raises ``ConfigurationError`` for wrong arguments."""
    case = case_of(arguments, story=parts.story)
    versions = registered(parts)
    return Plan(
        creates=[*_lasting(case, place, parts, versions), *_passing(case, parts)],
        machines=machines(parts),
        removed=[f"{each.kind} {each.name}" for each in _passing(case, parts)],
        left=_left(case, place, parts, versions),
        remove_with=f"delete the pipeline, experiment, versions and group {case.pipeline}, and those prefixes",
        charged=(
            "each job's instances by the second, with their volumes; the objects in S3; the logs in CloudWatch; "
            "the requests to SQS and EventBridge"
        ),
    )


def executions(parts: Parts) -> tuple[int, int]:
    """The pipeline executions that run all three jobs, and those that run the evaluation alone."""
    whole = 2 if parts.story else 1
    whole += sum(name in parts.names for name in ("cached", "schedule"))  # a cached execution runs none
    return whole, int("selective" in parts.names)


def registered(parts: Parts) -> int:
    """How many versions are registered: one an accepted execution."""
    return 1 + 2 * ("cached" in parts.names) + ("schedule" in parts.names)


def machines(parts: Parts) -> list[Machines]:
    """Every job, by what it is for."""
    whole, evaluations = executions(parts)
    found = [
        Machines("preparing the data", "processing", whole, PROCESSING_INSTANCE),
        Machines("training", "training", whole, TRAINING_INSTANCE),
        Machines("evaluation", "processing", whole + evaluations, PROCESSING_INSTANCE),
    ]
    if "tuning" in parts.names:
        jobs = math.prod(len(values) for values in TUNED.values())
        found.append(Machines("the search's training", "training", jobs, TRAINING_INSTANCE, at_once=TUNING_AT_ONCE))
    if "transform" in parts.names:
        found.append(Machines("batch predictions", "transform", 1, TRANSFORM_INSTANCE))
    return found


def _left(case: Case, place: Place, parts: Parts, versions: int) -> list[str]:
    objects = [each.name for each in _lasting(case, place, parts, versions) if each.kind == "objects"]
    return [
        f"the pipeline {case.pipeline} with its executions, and the experiment of that name",
        f"the model package group {case.package_group}, with {versions} new version{'s' if versions > 1 else ''}",
        f"the objects under {', '.join(objects)}",
        "the records of the jobs, which SageMaker keeps, and their logs in CloudWatch (/aws/sagemaker/...)",
    ]


def _lasting(case: Case, place: Place, parts: Parts, versions: int) -> list[Resource]:
    found = [
        Resource("bucket", place.bucket, "made by the SDK where it is not there"),
        Resource(
            "objects",
            f"s3://{place.bucket}/{case.pipeline}/",
            "the raw data (11 MB), and what each execution that prepares and trains makes of it (50 MB)",
        ),
        Resource("objects", f"s3://{place.bucket}/{TRAINING_JOBS}/", "scripts and drivers of the training jobs"),
        Resource("pipeline", case.pipeline, "made, or updated where it is there"),
        Resource("experiment", case.pipeline, "by SageMaker itself: a trial an execution, and the lineage of its jobs"),
        Resource("model package group", case.package_group, f"made where it is not there; {versions} new in it"),
    ]
    if "tuning" in parts.names:
        found += [
            Resource("tuning job", f"{TUNING_JOBS}-<8 hex digits>", "a grid of training jobs"),
            Resource("objects", f"s3://{place.bucket}/{TUNING_JOBS}/", "their scripts and drivers"),
        ]
    return found


def _passing(case: Case, parts: Parts) -> list[Resource]:
    """What the scenario removes itself, whether it comes to its end or not."""
    found = []
    if parts.story:
        approved = f"{case.package_group}-approved-<8 hex digits>"
        found += [
            Resource("EventBridge rule", approved, "hears of the approval"),
            Resource("SQS queue", approved, "takes the event"),
        ]
    if "cached" in parts.names:
        found.append(Resource("pipeline", f"{case.pipeline}-cached-<8 hex digits>", "the same, with step caching"))
    if "transform" in parts.names:
        found.append(
            Resource("model", f"{case.pipeline}-<8 hex digits>", "of the registered version, which is approved")
        )
    if "schedule" in parts.names:
        found.append(Resource("schedule", f"{case.pipeline}-<8 hex digits>", "one start, two minutes ahead"))
    return found
