"""Paginators of jobs and pipelines with small pages, in every order and with every filter."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sdk.cloud import Cloud, unique
from tests.sdk.refusals import refusal

OK, BAD = "pass", "raise SystemExit(1)"
SCRIPTS = {"c": OK, "a": BAD, "b": OK, "e": OK, "d": BAD}  # in the order of their creation


@dataclass(frozen=True)
class Listed:
    """Five jobs of a kind, named PREFIX-LETTER."""

    prefix: str
    list: Callable[..., Any]
    created: dict[str, datetime]

    def letters(self, size: int = 2, **filters: Any) -> str:
        """The found jobs' letters, in order, by pages of ``size``."""
        found, token = [], {}
        while True:
            answer = self.list(NameContains=self.prefix, MaxResults=size, **filters, **token)
            (page,) = (value for value in answer.values() if isinstance(value, list))
            assert len(page) <= size
            found += [next(item[name] for name in item if name.endswith("JobName"))[-1] for item in page]
            if "NextToken" not in answer:
                return "".join(found)
            assert page, "an empty page with a next one"
            token = {"NextToken": answer["NextToken"]}


@pytest.fixture(scope="module")
def training(cloud: Cloud, stack: Any) -> Listed:
    with stack.environment_applied():
        prefix = unique("list-training")
        for letter, script in SCRIPTS.items():
            cloud.sagemaker.create_training_job(**cloud.script_request(f"{prefix}-{letter}", script))
        created = {letter: cloud.trained(f"{prefix}-{letter}")["CreationTime"] for letter in SCRIPTS}
        return Listed(prefix, cloud.sagemaker.list_training_jobs, created)


@pytest.fixture(scope="module")
def processing(cloud: Cloud, stack: Any) -> Listed:
    with stack.environment_applied():
        prefix = unique("list-processing")
        for letter, script in SCRIPTS.items():
            cloud.sagemaker.create_processing_job(**cloud.processing_request(f"{prefix}-{letter}", script))
        created = {letter: cloud.processed(f"{prefix}-{letter}")["CreationTime"] for letter in SCRIPTS}
        return Listed(prefix, cloud.sagemaker.list_processing_jobs, created)


@pytest.fixture(params=["training", "processing"])
def jobs(request: pytest.FixtureRequest) -> Listed:
    found: Listed = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "debac"),
        ({"SortBy": "CreationTime", "SortOrder": "Ascending"}, "cabed"),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, "abcde"),
        ({"SortBy": "Name", "SortOrder": "Descending"}, "edcba"),
        ({"StatusEquals": "Failed", "SortOrder": "Ascending"}, "ad"),
        ({"StatusEquals": "Completed", "SortBy": "Name", "SortOrder": "Ascending"}, "bce"),
        ({"StatusEquals": "InProgress"}, ""),
        ({"StatusEquals": "Stopped"}, ""),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_jobs_are_sorted_filtered_and_paged(jobs: Listed, asked: dict[str, str], expected: str, size: int) -> None:
    assert jobs.letters(size, **asked) == expected


def test_jobs_sorted_by_status_are_grouped(jobs: Listed) -> None:
    order = jobs.letters(SortBy="Status", SortOrder="Ascending")
    assert sorted(order[:3]) == ["b", "c", "e"]
    assert sorted(order[3:]) == ["a", "d"]


def test_times_bound_the_listing(jobs: Listed) -> None:
    ascending = {"SortBy": "CreationTime", "SortOrder": "Ascending"}
    middle = jobs.created["b"]
    around = timedelta(milliseconds=1)
    assert jobs.letters(CreationTimeAfter=middle + around, **ascending) == "ed"
    assert jobs.letters(CreationTimeBefore=middle - around, **ascending) == "ca"
    assert jobs.letters(CreationTimeAfter=middle - around, CreationTimeBefore=middle + around) == "b"
    ahead = datetime.now(UTC) + timedelta(hours=1)
    assert jobs.letters(LastModifiedTimeAfter=ahead) == ""
    assert jobs.letters(LastModifiedTimeBefore=ahead, **ascending) == "cabed"


def test_vendor_paginators_see_every_job_once(cloud: Cloud, training: Listed, processing: Listed) -> None:
    for operation, listed in (("list_training_jobs", training), ("list_processing_jobs", processing)):
        pages = cloud.sagemaker.get_paginator(operation).paginate(
            NameContains=listed.prefix, PaginationConfig={"PageSize": 2}
        )
        sizes = [len(items) for page in pages for items in page.values() if isinstance(items, list)]
        assert sizes == [2, 2, 1]


def test_a_token_that_is_none_is_refused(jobs: Listed) -> None:
    assert refusal(lambda: jobs.list(NextToken="made up"))[0] == "ValidationException"


def test_a_page_that_began_before_a_new_job_goes_on_where_it_was(cloud: Cloud, training: Listed) -> None:
    order = {"NameContains": training.prefix, "SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}
    first = cloud.sagemaker.list_training_jobs(**order)
    cloud.sagemaker.create_training_job(**cloud.script_request(f"{training.prefix}-a0", OK))
    second = cloud.sagemaker.list_training_jobs(**order, NextToken=first["NextToken"])
    names = [item["TrainingJobName"][-1] for item in second["TrainingJobSummaries"]]
    assert names == ["c", "d"]
    cloud.trained(f"{training.prefix}-a0")
    cloud.sagemaker.delete_training_job(TrainingJobName=f"{training.prefix}-a0")


def test_summaries_agree_with_descriptions(cloud: Cloud, training: Listed) -> None:
    (summary,) = cloud.sagemaker.list_training_jobs(NameContains=f"{training.prefix}-a")["TrainingJobSummaries"]
    described = cloud.sagemaker.describe_training_job(TrainingJobName=f"{training.prefix}-a")
    for member in ("TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime", "TrainingJobStatus"):
        assert summary[member] == described[member]


@pytest.fixture(scope="module")
def pipelines(cloud: Cloud, stack: Any) -> str:
    with stack.environment_applied():
        prefix = unique("list")
        step = {"Name": "Fail", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}
        document = json.dumps({"Version": "2020-12-01", "Steps": [step]})
        for letter in "cab":
            cloud.sagemaker.create_pipeline(
                PipelineName=f"{prefix}-{letter}", PipelineDefinition=document, RoleArn=cloud.role
            )
        return prefix


def test_pipelines_are_sorted_filtered_and_paged(cloud: Cloud, pipelines: str) -> None:
    pages = cloud.sagemaker.get_paginator("list_pipelines")

    def found(**filters: Any) -> str:
        listed = pages.paginate(PipelineNamePrefix=pipelines, PaginationConfig={"PageSize": 1}, **filters)
        return "".join(item["PipelineName"][-1] for page in listed for item in page["PipelineSummaries"])

    assert found() == "bac"
    assert found(SortBy="Name", SortOrder="Ascending") == "abc"
    assert found(SortBy="Name", SortOrder="Descending") == "cba"
    assert found(SortBy="CreationTime", SortOrder="Ascending") == "cab"
    assert found(CreatedAfter=datetime.now(UTC) + timedelta(hours=1)) == ""


def test_executions_are_sorted_and_paged(cloud: Cloud, pipelines: str) -> None:
    name = f"{pipelines}-a"
    arns = [cloud.sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"] for _ in range(5)]
    pages = cloud.sagemaker.get_paginator("list_pipeline_executions")

    def found(**filters: Any) -> list[str]:
        listed = pages.paginate(PipelineName=name, PaginationConfig={"PageSize": 2}, **filters)
        return [item["PipelineExecutionArn"] for page in listed for item in page["PipelineExecutionSummaries"]]

    assert found() == arns[::-1]
    assert found(SortBy="CreationTime", SortOrder="Ascending") == arns
    assert found(SortBy="PipelineExecutionArn", SortOrder="Ascending") == sorted(arns)
    assert found(CreatedBefore=datetime.now(UTC) - timedelta(hours=1)) == []
    latest = cloud.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arns[-1])["CreationTime"]
    described = cloud.sagemaker.describe_pipeline(PipelineName=name)
    assert described["LastRunTime"] == latest
