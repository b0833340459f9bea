"""The model registry: groups, versions, approval, filters, pages, metadata, deletion."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sdk.cloud import Cloud, unique, xgboost_image
from tests.sdk.refusals import refusal


def specification(model: str) -> dict[str, Any]:
    return {
        "Containers": [{"Image": xgboost_image(), "ModelDataUrl": model, "Environment": {"LEVEL": "1"}}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
        "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
        "SupportedTransformInstanceTypes": ["ml.m5.large"],
    }


@pytest.fixture(scope="module")
def model(cloud: Cloud, stack: Any) -> str:
    with stack.environment_applied():
        return cloud.put(f"{unique('registry')}/model.tar.gz", b"not read by the registry")


@pytest.fixture
def group(cloud: Cloud) -> str:
    name = unique("group")
    cloud.sagemaker.create_model_package_group(
        ModelPackageGroupName=name, ModelPackageGroupDescription="for tests", Tags=[{"Key": "a", "Value": "1"}]
    )
    return name


def register(cloud: Cloud, group: str, model: str, **members: Any) -> str:
    answer = cloud.sagemaker.create_model_package(
        ModelPackageGroupName=group, InferenceSpecification=specification(model), **members
    )
    return str(answer["ModelPackageArn"])


def versions(cloud: Cloud, group: str, **filters: Any) -> list[int]:
    pages = cloud.sagemaker.get_paginator("list_model_packages")
    found = pages.paginate(ModelPackageGroupName=group, PaginationConfig={"PageSize": 2}, **filters)
    return [item["ModelPackageVersion"] for page in found for item in page["ModelPackageSummaryList"]]


def test_a_group_is_described_as_it_was_made(cloud: Cloud, group: str) -> None:
    described = cloud.sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    assert described["ModelPackageGroupDescription"] == "for tests"
    assert described["ModelPackageGroupStatus"] == "Completed"
    assert described["ModelPackageGroupArn"].endswith(f":model-package-group/{group}")
    assert described["CreatedBy"]["IamIdentity"]["Arn"].startswith("arn:aws:sts::")
    by_arn = cloud.sagemaker.describe_model_package_group(ModelPackageGroupName=described["ModelPackageGroupArn"])
    assert by_arn["ModelPackageGroupName"] == group
    kind, text = refusal(lambda: cloud.sagemaker.create_model_package_group(ModelPackageGroupName=group))
    assert kind == "ValidationException"
    assert "Model Package Group already exists" in text


def test_versions_count_up_and_start_pending(cloud: Cloud, group: str, model: str) -> None:
    arns = [register(cloud, group, model, ModelPackageDescription=f"number {index}") for index in (1, 2)]
    assert [arn.rsplit("/", 1)[-1] for arn in arns] == ["1", "2"]
    described = cloud.sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert described["ModelPackageGroupName"] == group
    assert described["ModelPackageVersion"] == 2
    assert described["ModelPackageDescription"] == "number 2"
    assert described["ModelPackageStatus"] == "Completed"
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    container = described["InferenceSpecification"]["Containers"][0]
    assert container["ModelDataUrl"] == model
    assert container["Environment"] == {"LEVEL": "1"}
    cloud.sagemaker.delete_model_package(ModelPackageName=arns[1])
    assert register(cloud, group, model).endswith("/3")  # a number is never given twice


def test_the_same_client_token_registers_once(cloud: Cloud, group: str, model: str) -> None:
    token = uuid.uuid4().hex
    assert register(cloud, group, model, ClientToken=token) == register(cloud, group, model, ClientToken=token)
    assert versions(cloud, group) == [1]


def test_approval_and_its_description_change_together(cloud: Cloud, group: str, model: str) -> None:
    arn = register(cloud, group, model)
    for status, note in (("Approved", "good"), ("Rejected", "drifted"), ("Approved", "good again")):
        cloud.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status, ApprovalDescription=note)
        described = cloud.sagemaker.describe_model_package(ModelPackageName=arn)
        assert (described["ModelApprovalStatus"], described["ApprovalDescription"]) == (status, note)
    assert described["LastModifiedTime"] >= described["CreationTime"]
    assert described["LastModifiedBy"]["IamIdentity"]["Arn"].startswith("arn:aws:sts::")


def test_metadata_is_merged_and_removed(cloud: Cloud, group: str, model: str) -> None:
    arn = register(cloud, group, model, CustomerMetadataProperties={"team": "a", "run": "1"})
    update = cloud.sagemaker.update_model_package
    update(ModelPackageArn=arn, CustomerMetadataProperties={"run": "2", "note": "x"})
    update(ModelPackageArn=arn, CustomerMetadataPropertiesToRemove=["team"])
    described = cloud.sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["CustomerMetadataProperties"] == {"run": "2", "note": "x"}
    assert described["ModelApprovalStatus"] == "PendingManualApproval"


def test_metrics_and_origin_are_kept(cloud: Cloud, group: str, model: str) -> None:
    statistics = {"Statistics": {"ContentType": "application/json", "S3Uri": cloud.uri("report.json")}}
    origin = {"CommitId": "abc123", "Repository": "https://example.com/repo.git", "ProjectId": "p"}
    arn = register(
        cloud, group, model, ModelMetrics={"ModelQuality": statistics}, MetadataProperties=origin, Task="REGRESSION"
    )
    described = cloud.sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["ModelMetrics"] == {"ModelQuality": statistics}
    assert described["MetadataProperties"] == origin
    assert described["Task"] == "REGRESSION"


def test_versions_are_filtered_sorted_and_paged(cloud: Cloud, group: str, model: str) -> None:
    arns = [register(cloud, group, model) for _ in range(5)]
    for arn in arns[1:3]:
        cloud.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    assert versions(cloud, group) == [5, 4, 3, 2, 1]
    assert versions(cloud, group, SortOrder="Ascending") == [1, 2, 3, 4, 5]
    assert versions(cloud, group, SortBy="CreationTime", SortOrder="Descending") == [5, 4, 3, 2, 1]
    assert versions(cloud, group, ModelApprovalStatus="Approved", SortOrder="Ascending") == [2, 3]
    assert versions(cloud, group, ModelApprovalStatus="Rejected") == []
    created = cloud.sagemaker.describe_model_package(ModelPackageName=arns[2])["CreationTime"]
    assert versions(cloud, group, CreationTimeAfter=created) in ([5, 4], [5, 4, 3])
    assert versions(cloud, group, CreationTimeBefore=created) in ([2, 1], [3, 2, 1])
    assert versions(cloud, group, CreationTimeAfter=datetime.now(UTC) + timedelta(hours=1)) == []
    newest = cloud.sagemaker.list_model_packages(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved", MaxResults=1
    )
    assert [item["ModelPackageArn"] for item in newest["ModelPackageSummaryList"]] == [arns[2]]
    assert (
        refusal(lambda: cloud.sagemaker.list_model_packages(ModelPackageGroupName=group, NextToken="made up"))[0]
        == "ValidationException"
    )


def test_the_default_listing_shows_unversioned_packages_only(cloud: Cloud, group: str, model: str) -> None:
    arn = register(cloud, group, model)
    assert cloud.sagemaker.list_model_packages()["ModelPackageSummaryList"] == []
    pages = cloud.sagemaker.get_paginator("list_model_packages").paginate(ModelPackageType="Versioned")
    assert arn in {item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]}


def test_groups_are_filtered_sorted_and_paged(cloud: Cloud) -> None:
    prefix = unique("sorted")
    names = [f"{prefix}-{letter}" for letter in "cab"]
    for name in names:
        cloud.sagemaker.create_model_package_group(ModelPackageGroupName=name)
    pages = cloud.sagemaker.get_paginator("list_model_package_groups")

    def found(**filters: Any) -> list[str]:
        listed = pages.paginate(NameContains=prefix, PaginationConfig={"PageSize": 1}, **filters)
        return [item["ModelPackageGroupName"][-1] for page in listed for item in page["ModelPackageGroupSummaryList"]]

    assert found() == ["b", "a", "c"]
    assert found(SortBy="CreationTime", SortOrder="Ascending") == ["c", "a", "b"]
    assert found(SortBy="Name", SortOrder="Ascending") == ["a", "b", "c"]
    assert found(SortBy="Name", SortOrder="Descending") == ["c", "b", "a"]
    assert found(CreationTimeBefore=datetime.now(UTC) - timedelta(hours=1)) == []


def test_deletion_goes_from_the_inside_out(cloud: Cloud, group: str, model: str) -> None:
    arn = register(cloud, group, model)
    kind, text = refusal(lambda: cloud.sagemaker.delete_model_package_group(ModelPackageGroupName=group))
    assert kind == "ConflictException"
    assert group in text
    cloud.sagemaker.delete_model_package(ModelPackageName=arn)
    assert refusal(lambda: cloud.sagemaker.describe_model_package(ModelPackageName=arn)) == (
        "ValidationException",
        f"ModelPackage {arn} does not exist.",
    )
    cloud.sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    kind, text = refusal(lambda: cloud.sagemaker.describe_model_package_group(ModelPackageGroupName=group))
    assert kind == "ValidationException"
    assert text.endswith("does not exist.")


def test_wrong_registrations_are_refused(cloud: Cloud, group: str, model: str) -> None:
    create = cloud.sagemaker.create_model_package
    absent = cloud.uri(unique("absent"), "model.tar.gz")
    nobody = unique("nobody")
    cases = {
        "no group": lambda: create(ModelPackageGroupName=nobody, InferenceSpecification=specification(model)),
        "no data": lambda: create(ModelPackageGroupName=group, InferenceSpecification=specification(absent)),
        "both": lambda: create(ModelPackageGroupName=group, ModelPackageName="x"),
        "neither": lambda: create(ModelPackageDescription="x"),
    }
    found = {case: refusal(call) for case, call in cases.items()}
    assert {kind for kind, _ in found.values()} == {"ValidationException"}
    assert found["no group"][1].endswith(f"model-package-group/{nobody} does not exist.")
    assert absent in found["no data"][1]
    assert found["both"][1].startswith("Both ModelPackageName and ModelPackageGroupName are provided")
    assert versions(cloud, group) == []


def test_the_sdks_resources_see_the_same_registry(cloud: Cloud, group: str, model: str) -> None:
    from sagemaker.core.resources import ModelPackage, ModelPackageGroup

    found = ModelPackageGroup.get(model_package_group_name=group)
    assert found.model_package_group_description == "for tests"
    arn = register(cloud, group, model)
    package = ModelPackage.get(model_package_name=arn)
    assert package.model_package_version == 1
    package.update(model_approval_status="Approved")
    package.refresh()
    assert package.model_approval_status == "Approved"
    assert cloud.sagemaker.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "Approved"


def test_approvals_reach_a_queue_through_eventbridge(cloud: Cloud, group: str, model: str) -> None:
    events, sqs = cloud.client("events"), cloud.client("sqs")
    name = unique("approved")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {
            "ModelPackageGroupName": [group],
            "ModelApprovalStatus": [{"anything-but": "PendingManualApproval"}],
        },
    }
    rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    assert events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": queue}])["FailedEntryCount"] == 0
    arn = register(cloud, group, model)
    cloud.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="ok")
    cloud.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    heard = receive(sqs, url, 2)
    assert [event["detail"]["ModelApprovalStatus"] for event in heard] == ["Approved", "Rejected"]
    for event in heard:
        assert event["source"] == "aws.sagemaker"
        assert event["resources"] == [arn]
        assert event["detail"]["ModelPackageArn"] == arn
        assert event["detail"]["ModelPackageVersion"] == 1
    events.remove_targets(Rule=name, Ids=["q"])
    events.delete_rule(Name=name)
    sqs.delete_queue(QueueUrl=url)


def receive(sqs: Any, url: str, count: int) -> list[dict[str, Any]]:
    """The first ``count`` events, oldest first, by long polling."""
    found: list[dict[str, Any]] = []
    for _ in range(10):
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=3, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if len(found) >= count:
            break
    return sorted(found, key=lambda event: event["detail"].get("LastModifiedTime", 0))
