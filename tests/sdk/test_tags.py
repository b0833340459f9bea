"""Tags on everything that may have them, and what is answered where there is nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sdk.cloud import Cloud, unique
from tests.sdk.refusals import refusal

ACCOUNT = "arn:aws:sagemaker:us-east-1:123456789012"
KINDS = ("training-job", "processing-job", "pipeline", "model-package-group", "model-package")
GIVEN = [{"Key": "given", "Value": "at creation"}]


@pytest.fixture(scope="module")
def resources(cloud: Cloud, stack: Any) -> dict[str, str]:
    """One of each kind, made with a tag."""
    with stack.environment_applied():
        name, client = unique("tagged"), cloud.sagemaker
        training = client.create_training_job(**cloud.script_request(name, "pass", Tags=GIVEN))
        processing = client.create_processing_job(**cloud.processing_request(name, "pass", Tags=GIVEN))
        step = {"Name": "Fail", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}
        pipeline = client.create_pipeline(
            PipelineName=name,
            PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": [step]}),
            RoleArn=cloud.role,
            Tags=GIVEN,
        )
        group = client.create_model_package_group(ModelPackageGroupName=name, Tags=GIVEN)
        package = client.create_model_package(ModelPackageGroupName=name)
        cloud.trained(name)
        cloud.processed(name)
        return {
            "training-job": training["TrainingJobArn"],
            "processing-job": processing["ProcessingJobArn"],
            "pipeline": pipeline["PipelineArn"],
            "model-package-group": group["ModelPackageGroupArn"],
            "model-package": package["ModelPackageArn"],
        }


def tags(cloud: Cloud, arn: str, size: int = 100) -> dict[str, str]:
    pages = cloud.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn, PaginationConfig={"PageSize": size})
    return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


@pytest.mark.parametrize("kind", KINDS)
def test_tags_are_added_listed_and_deleted(cloud: Cloud, resources: dict[str, str], kind: str) -> None:
    arn = resources[kind]
    first = {} if kind == "model-package" else {"given": "at creation"}
    assert tags(cloud, arn) == first
    new = {f"key-{index}": str(index) for index in range(6)}
    answer = cloud.sagemaker.add_tags(
        ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in new.items()]
    )
    assert {tag["Key"]: tag["Value"] for tag in answer["Tags"]}.items() >= new.items()
    assert tags(cloud, arn, size=50) == first | new
    cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "key-0", "Value": "changed"}])
    assert tags(cloud, arn)["key-0"] == "changed"
    cloud.sagemaker.delete_tags(ResourceArn=arn, TagKeys=[*new, "never there"])
    assert tags(cloud, arn) == first


def test_many_tags_are_paged_and_bounded(cloud: Cloud, resources: dict[str, str]) -> None:
    arn = resources["pipeline"]
    many = [{"Key": f"many-{index:02}", "Value": "x"} for index in range(49)]
    cloud.sagemaker.add_tags(ResourceArn=arn, Tags=many)
    assert len(tags(cloud, arn)) == 50
    kind, _ = refusal(lambda: cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "one more", "Value": "x"}]))
    assert kind in {"ResourceLimitExceeded", "ValidationException"}
    assert len(tags(cloud, arn)) == 50
    cloud.sagemaker.delete_tags(ResourceArn=arn, TagKeys=[tag["Key"] for tag in many])
    assert tags(cloud, arn) == {"given": "at creation"}


def test_reserved_keys_are_refused(cloud: Cloud, resources: dict[str, str]) -> None:
    arn = resources["model-package-group"]
    tag = {"Key": "aws:mine", "Value": "x"}
    assert refusal(lambda: cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[tag]))[0] == "ValidationException"


@pytest.mark.parametrize("kind", [*KINDS, "training-job in another account"])
def test_tags_of_nothing_are_refused(cloud: Cloud, kind: str) -> None:
    account = ACCOUNT if kind in KINDS else ACCOUNT.replace("123456789012", "999999999999")
    arn = f"{account}:{kind.partition(' ')[0]}/{unique('nobody')}" + ("/1" if kind == "model-package" else "")
    calls = (
        lambda: cloud.sagemaker.list_tags(ResourceArn=arn),
        lambda: cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}]),
        lambda: cloud.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"]),
    )
    assert {refusal(call)[0] for call in calls} <= {"ValidationException", "ResourceNotFound"}


def test_what_is_not_there_answers_as_the_vendor_does(cloud: Cloud) -> None:
    name, client = unique("nobody"), cloud.sagemaker
    package = f"{ACCOUNT}:model-package/{name}/1"
    group = f"{ACCOUNT}:model-package-group/{name}"
    calls = {
        "DescribeTrainingJob": lambda: client.describe_training_job(TrainingJobName=name),
        "StopTrainingJob": lambda: client.stop_training_job(TrainingJobName=name),
        "DescribeProcessingJob": lambda: client.describe_processing_job(ProcessingJobName=name),
        "StopProcessingJob": lambda: client.stop_processing_job(ProcessingJobName=name),
        "DescribeModelPackage": lambda: client.describe_model_package(ModelPackageName=package),
        "UpdateModelPackage": lambda: client.update_model_package(
            ModelPackageArn=package, ModelApprovalStatus="Approved"
        ),
        "DeleteModelPackage": lambda: client.delete_model_package(ModelPackageName=package),
        "DescribeModelPackageGroup": lambda: client.describe_model_package_group(ModelPackageGroupName=name),
        "DeleteModelPackageGroup": lambda: client.delete_model_package_group(ModelPackageGroupName=name),
        "ListModelPackages": lambda: client.list_model_packages(ModelPackageGroupName=name),
    }
    found = {operation: refusal(call) for operation, call in calls.items()}
    assert {kind for kind, _ in found.values()} == {"ValidationException"}
    assert found["DescribeTrainingJob"][1] == "Requested resource not found."
    assert found["StopTrainingJob"][1] == "Requested resource not found."
    assert found["DescribeProcessingJob"][1].startswith("Could not find requested job")
    assert found["DescribeModelPackage"][1] == f"ModelPackage {package} does not exist."
    assert found["DescribeModelPackageGroup"][1] == f"ModelPackageGroup {group} does not exist."
