"""The model registry beyond its basics: unversioned packages, policies, sources, cross-checks, life cycles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sdk.cloud import Cloud, unique, xgboost_image
from tests.sdk.refusals import refusal

ARN = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.fixture(scope="module")
def model(cloud: Cloud, stack: Any) -> str:
    with stack.environment_applied():
        return cloud.put(f"{unique('more')}/model.tar.gz", b"not read by the registry")


@pytest.fixture
def group(cloud: Cloud) -> str:
    name = unique("more")
    cloud.sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return name


def specification(model: str, **container: Any) -> dict[str, Any]:
    return {
        "Containers": [{"Image": xgboost_image(), "ModelDataUrl": model, **container}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
        "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
        "SupportedTransformInstanceTypes": ["ml.m5.large"],
    }


def register(cloud: Cloud, group: str, model: str, **members: Any) -> str:
    members.setdefault("InferenceSpecification", specification(model))
    return str(cloud.sagemaker.create_model_package(ModelPackageGroupName=group, **members)["ModelPackageArn"])


@pytest.fixture
def unversioned(cloud: Cloud, model: str) -> Iterator[str]:
    name = unique("alone")
    arn = cloud.sagemaker.create_model_package(
        ModelPackageName=name, InferenceSpecification=specification(model), Tags=[{"Key": "a", "Value": "1"}]
    )["ModelPackageArn"]
    yield arn
    cloud.sagemaker.delete_model_package(ModelPackageName=arn)


def test_an_unversioned_package_has_a_name_and_no_approval(cloud: Cloud, unversioned: str) -> None:
    api, name = cloud.sagemaker, unversioned.rpartition("/")[2]
    assert unversioned.endswith(f":model-package/{name}")
    described = api.describe_model_package(ModelPackageName=name)
    assert described["ModelPackageName"] == name
    assert described["ModelPackageStatus"] == "Completed"
    assert not {"ModelPackageVersion", "ModelPackageGroupName", "ModelApprovalStatus"} & described.keys()
    assert api.list_tags(ResourceArn=unversioned)["Tags"] == [{"Key": "a", "Value": "1"}]
    assert [item["ModelPackageName"] for item in api.list_model_packages()["ModelPackageSummaryList"]] == [name]
    both = api.list_model_packages(ModelPackageType="Both", NameContains=name)["ModelPackageSummaryList"]
    assert [item["ModelPackageArn"] for item in both] == [unversioned]
    assert api.list_model_packages(ModelPackageType="Versioned", NameContains=name)["ModelPackageSummaryList"] == []
    api.update_model_package(ModelPackageArn=unversioned, CustomerMetadataProperties={"k": "v"})
    assert api.describe_model_package(ModelPackageName=unversioned)["CustomerMetadataProperties"] == {"k": "v"}
    api.create_model(ModelName=name, ExecutionRoleArn=cloud.role, Containers=[{"ModelPackageName": unversioned}])
    assert refusal(lambda: api.delete_model_package(ModelPackageName=unversioned))[0] == "ConflictException"
    api.delete_model(ModelName=name)


def test_unversioned_packages_are_checked(cloud: Cloud, unversioned: str, model: str) -> None:
    api, name = cloud.sagemaker, unversioned.rpartition("/")[2]
    bare = {"Containers": [{"Image": xgboost_image(), "ModelDataUrl": model}]}
    cases = {
        "taken": lambda: api.create_model_package(ModelPackageName=name, InferenceSpecification=specification(model)),
        "types": lambda: api.create_model_package(ModelPackageName="other", InferenceSpecification=bare),
        "nothing": lambda: api.create_model_package(ModelPackageName="other"),
        "approval": lambda: api.update_model_package(ModelPackageArn=unversioned, ModelApprovalStatus="Approved"),
    }
    found = {case: refusal(call) for case, call in cases.items()}
    assert {code for code, _ in found.values()} == {"ValidationException"}
    assert "already exists" in found["taken"][1]
    assert "SupportedTransformInstanceTypes" in found["types"][1]


def test_a_group_has_a_resource_policy(cloud: Cloud, group: str) -> None:
    api = cloud.sagemaker
    statement = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sagemaker:DescribeModelPackage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": "*"}]})
    assert refusal(lambda: api.get_model_package_group_policy(ModelPackageGroupName=group))[0] == "ValidationException"
    for text in (policy, policy.replace("Describe", "List")):
        api.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy=text)
        assert api.get_model_package_group_policy(ModelPackageGroupName=group)["ResourcePolicy"] == text
    for broken in ("{", "[]", "{}"):
        code, _ = refusal(
            lambda text=broken: api.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy=text)
        )
        assert code == "ValidationException"
    api.delete_model_package_group_policy(ModelPackageGroupName=group)
    code, text = refusal(lambda: api.delete_model_package_group_policy(ModelPackageGroupName=group))
    assert code == "ValidationException"
    assert "resource policy" in text
    api.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy=policy)
    api.delete_model_package_group(ModelPackageGroupName=group)
    api.create_model_package_group(ModelPackageGroupName=group)
    assert refusal(lambda: api.get_model_package_group_policy(ModelPackageGroupName=group))[0] == "ValidationException"


def test_many_packages_are_described_at_once(cloud: Cloud, group: str, model: str) -> None:
    arns = [register(cloud, group, model, ModelPackageDescription=text) for text in ("first", "second")]
    plain = register(cloud, group, model, InferenceSpecification=specification(model), ModelApprovalStatus="Rejected")
    absent = f"{arns[0]}9"
    answer = cloud.sagemaker.batch_describe_model_package(ModelPackageArnList=[*arns, plain, absent])
    found = answer["ModelPackageSummaries"]
    assert [found[arn].get("ModelPackageDescription") for arn in arns] == ["first", "second"]
    assert found[plain]["ModelApprovalStatus"] == "Rejected"
    assert found[plain]["ModelPackageGroupName"] == group
    assert answer["BatchDescribeModelPackageErrorMap"] == {
        absent: {"ErrorCode": "ValidationException", "ErrorResponse": f"ModelPackage {absent} does not exist."}
    }


def test_a_life_cycle_is_set_changed_and_listed(cloud: Cloud, group: str, model: str) -> None:
    api = cloud.sagemaker
    stage = {"Stage": "Development", "StageStatus": "InProgress", "StageDescription": "first look"}
    arn = register(cloud, group, model, ModelLifeCycle=stage)
    assert api.describe_model_package(ModelPackageName=arn)["ModelLifeCycle"] == stage
    later = {"Stage": "Production", "StageStatus": "Approved"}
    api.update_model_package(ModelPackageArn=arn, ModelLifeCycle=later)
    (listed,) = api.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert listed["ModelLifeCycle"] == later


def test_a_clone_takes_what_it_is_not_told(cloud: Cloud, group: str, model: str) -> None:
    api = cloud.sagemaker
    source = register(cloud, group, model, Task="REGRESSION", CustomerMetadataProperties={"a": "1"})
    clone = api.create_model_package(ModelPackageGroupName=group, SourceUri=source, Task="OTHER")["ModelPackageArn"]
    described = api.describe_model_package(ModelPackageName=clone)
    assert described["SourceUri"] == source
    assert described["InferenceSpecification"] == specification(model)
    assert (described["Task"], described["CustomerMetadataProperties"]) == ("OTHER", {"a": "1"})
    (origin,) = api.list_artifacts(SourceUri=source)["ArtifactSummaries"]
    (derived,) = api.list_associations(SourceArn=origin["ArtifactArn"], AssociationType="DerivedFrom")[
        "AssociationSummaries"
    ]
    assert api.describe_artifact(ArtifactArn=derived["DestinationArn"])["Source"]["SourceUri"] == clone


def test_a_models_containers_become_a_package(cloud: Cloud, group: str, model: str) -> None:
    api = cloud.sagemaker
    container = {"Image": xgboost_image(), "ModelDataUrl": model, "Environment": {"A": "1"}}
    arn = api.create_model(ModelName=group, ExecutionRoleArn=cloud.role, PrimaryContainer=container)["ModelArn"]
    package = api.create_model_package(ModelPackageGroupName=group, SourceUri=arn)["ModelPackageArn"]
    described = api.describe_model_package(ModelPackageName=package)
    assert described["InferenceSpecification"]["Containers"] == [container]
    kept = api.create_model_package(
        ModelPackageGroupName=group, SourceUri="models:/flights/3", ModelPackageRegistrationType="Logged"
    )["ModelPackageArn"]
    described = api.describe_model_package(ModelPackageName=kept)
    assert (described["SourceUri"], described["ModelPackageRegistrationType"]) == ("models:/flights/3", "Logged")


def test_cross_checks_refuse_what_does_not_fit(cloud: Cloud, group: str, model: str) -> None:
    absent = cloud.uri(unique("absent"), "model.tar.gz")
    source = {"S3Uri": absent, "S3DataType": "S3Object", "CompressionType": "Gzip"}
    named = {"Name": "again", "Containers": [{"Image": xgboost_image()}]}
    cases = {
        "source data": {"InferenceSpecification": {"Containers": [
            {"Image": xgboost_image(), "ModelDataSource": {"S3DataSource": source}}]}},
        "both sources": {"InferenceSpecification": specification(model, ModelDataSource={"S3DataSource": source})},
        "no image": {"InferenceSpecification": {"Containers": [{"ModelDataUrl": model}]}},
        "algorithm": {"SourceAlgorithmSpecification": {"SourceAlgorithms": [{"AlgorithmName": "nobody"}]}},
        "names": {"AdditionalInferenceSpecifications": [named, named]},
        "additional data": {"AdditionalInferenceSpecifications": [
            {"Name": "x", "Containers": [{"Image": xgboost_image(), "ModelDataUrl": absent}]}]},
        "source package": {"SourceUri": f"{ARN}:model-package/{group}/77"},
        "source model": {"SourceUri": f"{ARN}:model/{group}"},
    }  # fmt: skip
    for case, members in cases.items():
        code, text = refusal(lambda given=members: cloud.sagemaker.create_model_package(
            ModelPackageGroupName=group, **given))  # fmt: skip
        assert code == "ValidationException", (case, text)
    assert cloud.sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"] == []
    arn = register(cloud, group, model, AdditionalInferenceSpecifications=[named])
    code, _ = refusal(
        lambda: cloud.sagemaker.update_model_package(
            ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=[named]
        )
    )
    assert code == "ValidationException"


def test_the_same_approval_again_is_no_decision(cloud: Cloud, group: str, model: str) -> None:
    api = cloud.sagemaker
    arn = register(cloud, group, model)
    for status in ("Approved", "Approved", "Rejected", "Approved", "PendingManualApproval"):
        api.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)
    actions = api.list_actions(SourceUri=arn, SortOrder="Ascending", MaxResults=100)["ActionSummaries"]
    decided = [item["ActionName"].split("-")[-5] for item in actions]
    assert decided == ["PendingManualApproval", "Approved", "Rejected", "Approved", "PendingManualApproval"]


def test_a_package_that_a_model_is_made_from_stays(cloud: Cloud, group: str, model: str) -> None:
    api = cloud.sagemaker
    arn = register(cloud, group, model, ModelApprovalStatus="Approved")
    api.create_model(ModelName=group, ExecutionRoleArn=cloud.role, Containers=[{"ModelPackageName": arn}])
    code, text = refusal(lambda: api.delete_model_package(ModelPackageName=arn))
    assert code == "ConflictException"
    assert group in text
    api.delete_model(ModelName=group)
    api.delete_model_package(ModelPackageName=arn)


def test_versions_of_many_groups_are_paged_by_name(cloud: Cloud, model: str) -> None:
    prefix = unique("paged")
    arns = []
    for letter in "ba":
        cloud.sagemaker.create_model_package_group(ModelPackageGroupName=f"{prefix}-{letter}")
        arns += [register(cloud, f"{prefix}-{letter}", model) for _ in range(3)]
    pages = cloud.sagemaker.get_paginator("list_model_packages")

    def found(**filters: Any) -> list[str]:
        listed = pages.paginate(
            ModelPackageType="Versioned", NameContains=prefix, PaginationConfig={"PageSize": 2}, **filters
        )
        return [item["ModelPackageArn"] for page in listed for item in page["ModelPackageSummaryList"]]

    assert found(SortBy="Name", SortOrder="Ascending") == arns[3:] + arns[:3]
    assert found(SortBy="CreationTime", SortOrder="Ascending") == arns
    shared = cloud.sagemaker.list_model_package_groups(CrossAccountFilterOption="CrossAccount")
    assert shared["ModelPackageGroupSummaryList"] == []


def test_a_model_card_can_be_left_out(cloud: Cloud, group: str, model: str) -> None:
    card = {"ModelCardContent": json.dumps({"model_overview": {}}), "ModelCardStatus": "Draft"}
    arn = register(cloud, group, model, ModelCard=card)
    assert cloud.sagemaker.describe_model_package(ModelPackageName=arn)["ModelCard"] == card
    bare = cloud.sagemaker.describe_model_package(ModelPackageName=arn, IncludedData="MetadataOnly")
    assert bare["ModelCard"] == {"ModelCardStatus": "Draft"}
