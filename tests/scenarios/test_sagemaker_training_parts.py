"""The scenario's parts on a sample of the flights: each checks its own results, and its plan told what they made."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlparity.scenarios.catalogue import find_scenario
from mlparity.scenarios.planning import place_of, plan_of
from mlparity.scenarios.platform import Parts
from mlparity.testing.stack import RunningStack
from tests.scenarios.running import told

FOLDER = Path(__file__).parents[2] / "scenarios" / "sagemaker_training"
SAMPLE = ("--sample", "20")
CASE = "flights-arrival-delay-sample-20"


@pytest.mark.sdk
@pytest.mark.slow
def test_every_part_holds_and_makes_what_its_plan_says(stack: RunningStack) -> None:
    names = tuple(find_scenario(FOLDER.parent, FOLDER.name).parts)
    began, before = datetime.now(UTC), keys(stack)
    said = told(stack, "sagemaker_training", "--parts", ",".join(names), *SAMPLE)
    for fact in ("cached run", "best of the search", "batch transform", "scheduled run", "selective run"):
        assert f"\n  {fact}" in said

    place = place_of(stack.profile)
    plan = plan_of(FOLDER, place, Parts(names, story=False), SAMPLE)
    assert plan is not None
    planned: Counter[str] = Counter()
    for each in plan.machines:
        planned[each.kind] += each.jobs
    assert jobs_since(stack, began) == planned
    prefixes = tuple(each.name for each in plan.creates if each.kind == "objects")
    objects = [f"s3://{stack.config.default_bucket}/{key}" for key in keys(stack) - before]
    assert objects
    assert [uri for uri in objects if not uri.startswith(prefixes)] == []
    assert left_of(stack) == {
        "pipelines": [CASE],
        "experiments": [CASE],
        "groups": [CASE],
        "models": [],
        "schedules": [],
    }
    versions = stack.client("sagemaker").list_model_packages(ModelPackageGroupName=CASE)["ModelPackageSummaryList"]
    assert f"with {len(versions)} new versions" in "\n".join(plan.left)


def jobs_since(stack: RunningStack, began: datetime) -> Counter[str]:
    sagemaker = stack.client("sagemaker")
    count: Counter[str] = Counter()
    for kind in ("processing", "training", "transform"):
        pages = sagemaker.get_paginator(f"list_{kind}_jobs").paginate(CreationTimeAfter=began)
        count[kind] = sum(len(page[f"{kind.capitalize()}JobSummaries"]) for page in pages)
    return count


def keys(stack: RunningStack) -> set[str]:
    pages = stack.client("s3").get_paginator("list_objects_v2").paginate(Bucket=stack.config.default_bucket)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def left_of(stack: RunningStack) -> dict[str, list[str]]:
    """What has the sample's name and is still there."""
    sagemaker: Any = stack.client("sagemaker")
    listed = {
        "pipelines": [each["PipelineName"] for each in sagemaker.list_pipelines()["PipelineSummaries"]],
        "experiments": [each["ExperimentName"] for each in sagemaker.list_experiments()["ExperimentSummaries"]],
        "groups": [
            each["ModelPackageGroupName"]
            for each in sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
        ],
        "models": [each["ModelName"] for each in sagemaker.list_models()["Models"]],
        "schedules": [each["Name"] for each in stack.client("scheduler").list_schedules()["Schedules"]],
    }
    return {kind: [name for name in found if name.startswith(CASE)] for kind, found in listed.items()}
