"""The vendor's paginators and waiters, for every operation that is served, over what the flows have left."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import WaiterError

from mlparity.apis.sagemaker.operations import BY_NAME
from mlparity.testing.stack import RunningStack
from tests.twin.conftest import Flow

_LOADER: Any = botocore.session.get_session().get_component("data_loader")
_MODEL: Any = botocore.session.get_session().get_service_model("sagemaker")
_PAGINATORS = _LOADER.load_service_model("sagemaker", "paginators-1")["pagination"]
_WAITERS = _LOADER.load_service_model("sagemaker", "waiters-2")["waiters"]
PAGED = sorted(set(_PAGINATORS) & set(BY_NAME))
# How many there must be of what the flows make, so that there is something to page through.
LEAST = {
    "ListActions": 2,
    "ListArtifacts": 10,
    "ListAssociations": 10,
    "ListExperiments": 3,
    "ListHyperParameterTuningJobs": 1,
    "ListModelPackageGroups": 2,
    "ListModelPackages": 2,
    "ListModels": 1,
    "ListPipelineExecutionSteps": 6,
    "ListPipelineExecutions": 3,
    "ListPipelineParametersForExecution": 5,
    "ListPipelineVersions": 1,
    "ListPipelines": 1,
    "ListProcessingJobs": 6,
    "ListTags": 3,
    "ListTrainingJobs": 12,
    "ListTrainingJobsForHyperParameterTuningJob": 4,
    "ListTransformJobs": 1,
    "ListTrialComponents": 10,
    "ListTrials": 3,
    "Search": 12,
}


@pytest.fixture(scope="session")
def left(flows: Mapping[str, Flow], twin_stack: RunningStack) -> dict[str, dict[str, Any]]:
    """By operation, what it is to be asked for, once all flows have ended."""
    found = {name: flow.result() for name, flow in flows.items()}
    client = twin_stack.client("sagemaker")
    for number in range(3):
        client.create_experiment(ExperimentName=f"paged-{number}")
        client.create_trial(TrialName=f"paged-{number}", ExperimentName="paged-0")
        client.add_tags(ResourceArn=found["pipeline"]["arn"], Tags=[{"Key": f"paged-{number}", "Value": ""}])
    pipeline = {"PipelineName": "twin-pipeline"}
    execution = {"PipelineExecutionArn": found["pipeline"]["execution"]}
    return {
        "ListModelPackages": {"ModelPackageGroupName": "twin-models"},
        "ListPipelineExecutionSteps": execution,
        "ListPipelineExecutions": pipeline,
        "ListPipelineParametersForExecution": execution,
        "ListPipelineVersions": pipeline,
        "ListTags": {"ResourceArn": found["pipeline"]["arn"]},
        "ListTrainingJobsForHyperParameterTuningJob": {"HyperParameterTuningJobName": found["jobs"]["tuner"]["job"]},
        "Search": {"Resource": "TrainingJob"},
        "DescribeTrainingJob": {"TrainingJobName": found["jobs"]["sklearn"]["job"]},
        "DescribeProcessingJob": {"ProcessingJobName": found["jobs"]["processors"]["sklearn"]["job"]},
        "DescribeTransformJob": {"TransformJobName": _only_transform(client)},
    }


def _only_transform(client: Any) -> str:
    name: str = client.list_transform_jobs()["TransformJobSummaries"][0]["TransformJobName"]
    return name


@pytest.mark.parametrize("operation", PAGED)
def test_pages_hold_what_the_whole_list_holds(
    operation: str, left: dict[str, dict[str, Any]], twin_stack: RunningStack
) -> None:
    wanted = left.get(operation, {})
    missing = set(_MODEL.operation_model(operation).input_shape.required_members) - set(wanted)
    if missing:
        pytest.skip(f"the flows make nothing to ask {operation} for ({', '.join(sorted(missing))})")
    size = max(2, _MODEL.operation_model(operation).input_shape.members["MaxResults"].metadata.get("min", 1))
    client = twin_stack.client("sagemaker")
    paginator = client.get_paginator(botocore.xform_name(operation))
    key = paginator.result_keys[0].expression
    whole = [item for page in paginator.paginate(**wanted) for item in page[key]]
    pages = [page[key] for page in paginator.paginate(**wanted, PaginationConfig={"PageSize": size})]
    assert [_text(item) for page in pages for item in page] == [_text(item) for item in whole]
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
    assert len(pages) == max(1, math.ceil(len(whole) / size))
    assert len(whole) >= LEAST.get(operation, 0)
    assert len({_text(item) for item in whole}) == len(whole)


def _text(item: Any) -> str:
    return json.dumps(item, sort_keys=True, default=str)


@pytest.mark.parametrize(
    "waiter", sorted(name for name, item in _WAITERS.items() if item["operation"] in BY_NAME and "Job" in name)
)
def test_waiters_return_for_what_has_ended(
    waiter: str, left: dict[str, dict[str, Any]], twin_stack: RunningStack
) -> None:
    wanted = left[_WAITERS[waiter]["operation"]]
    twin_stack.client("sagemaker").get_waiter(botocore.xform_name(waiter)).wait(
        **wanted, WaiterConfig={"Delay": 0.1, "MaxAttempts": 1}
    )


@pytest.mark.parametrize("kind", ["Training", "Processing"])
def test_waiters_raise_for_what_has_failed(
    kind: str, left: dict[str, dict[str, Any]], twin_stack: RunningStack
) -> None:
    client = twin_stack.client("sagemaker")
    listed = getattr(client, f"list_{kind.lower()}_jobs")(StatusEquals="Failed")[f"{kind}JobSummaries"]
    waiter = client.get_waiter(f"{kind.lower()}_job_completed_or_stopped")
    with pytest.raises(WaiterError, match="terminal failure state") as caught:
        waiter.wait(**{f"{kind}JobName": listed[0][f"{kind}JobName"]}, WaiterConfig={"Delay": 0.1, "MaxAttempts": 1})
    assert caught.value.last_response["FailureReason"]
