"""SageMaker's endpoints: states, refusals in the vendor's words, summaries, events, lineage, paging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlparity.serving.endpoints.plans import ModelContainer
from tests.unit.sagemaker_endpoint_bench import ACCOUNT, BUCKET, IMAGE, Bench, canary, variant

CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 50,
    "DestinationS3Uri": "s3://models/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_an_endpoint_from_creating_to_deleted(bench: Bench) -> None:
    bench.fleet.automatic = False
    bench.model("one")
    bench.config("one", variant("A", "one", InitialVariantWeight=3), variant("B", "one"), DataCaptureConfig=CAPTURE)
    created = bench.call(
        "CreateEndpoint", EndpointName="e", EndpointConfigName="one", Tags=[{"Key": "team", "Value": "x"}]
    )
    arn = created["EndpointArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e"
    shown = bench.describe("e")
    assert shown["EndpointStatus"] == "Creating"
    assert shown["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Creating"
    assert shown["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    assert shown["DataCaptureConfig"]["CaptureStatus"] == "Stopped"
    for operation, more in (
        ("DeleteEndpoint", {}),
        ("UpdateEndpoint", {"EndpointConfigName": "one"}),
        ("UpdateEndpointWeightsAndCapacities", {"DesiredWeightsAndCapacities": [{"VariantName": "A"}]}),
    ):
        told = bench.refused(operation, EndpointName="e", **more)
        assert told == f'ValidationException: Cannot update in-progress endpoint "{arn}".'
    bench.fleet.ready_all()
    bench.service.settle()
    shown = bench.describe("e")
    assert shown["EndpointStatus"] == "InService"
    assert shown["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 50,
        "DestinationS3Uri": "s3://models/captured",
        "KmsKeyId": "",
    }
    assert [one["CurrentWeight"] for one in shown["ProductionVariants"]] == [3.0, 1.0]
    assert bench.router.tables["sagemaker/e"].capture is not None
    assert bench.call("ListTags", ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "x"}]
    found = bench.call("Search", Resource="Endpoint", SearchExpression={"Filters": [
        {"Name": "Tags.team", "Operator": "Equals", "Value": "x"}]})  # fmt: skip
    assert [item["Endpoint"]["EndpointName"] for item in found["Results"]] == ["e"]
    bench.call("DeleteEndpointConfig", EndpointConfigName="one")  # SageMaker lets it go; the endpoint has its copy
    bench.call("DeleteModel", ModelName="one")
    assert bench.describe("e")["EndpointConfigName"] == "one"
    bench.call("DeleteEndpoint", EndpointName="e")
    assert (
        bench.refused("DescribeEndpoint", EndpointName="e") == f'ValidationException: Could not find endpoint "{arn}".'
    )
    assert bench.api.tags.get(arn) == {}
    states = [
        event.detail["EndpointStatus"]
        for event in bench.events
        if event.detail_type == "SageMaker Endpoint State Change"
    ]
    assert states == ["CREATING", "IN_SERVICE", "DELETING"]
    event = next(item for item in bench.events if item.detail.get("EndpointStatus") == "IN_SERVICE")
    assert event.resources == [arn]
    assert event.detail["Tags"] == {"team": "x"}
    assert isinstance(event.detail["CreationTime"], int)


def test_a_model_that_does_not_start_fails_the_endpoint_with_the_reason(bench: Bench) -> None:
    bench.fleet.failing["s3://models/bad.tar.gz"] = "ImportError: no module named nowhere"
    bench.endpoint("bad")
    shown = bench.describe("bad")
    assert shown["EndpointStatus"] == "Failed"
    assert "no module named nowhere" in shown["FailureReason"]
    assert "Delete it" in bench.refused("UpdateEndpoint", EndpointName="bad", EndpointConfigName="bad")
    bench.call("DeleteEndpoint", EndpointName="bad")


def test_what_is_not_there_or_there_already(bench: Bench) -> None:
    arns = "arn:aws:sagemaker:us-east-1:123456789012"
    assert bench.refused("CreateEndpoint", EndpointName="e", EndpointConfigName="no") == (
        f'ValidationException: Could not find endpoint configuration "{arns}:endpoint-config/no".'
    )
    bench.endpoint("one")
    assert bench.refused("CreateEndpoint", EndpointName="one", EndpointConfigName="one") == (
        f'ValidationException: Cannot create already existing endpoint "{arns}:endpoint/one".'
    )
    assert bench.refused(
        "CreateEndpointConfig", EndpointConfigName="one", ProductionVariants=[variant("A", "one")]
    ) == (f'ValidationException: Cannot create already existing endpoint configuration "{arns}:endpoint-config/one".')
    assert f'Could not find model "{arns}:model/no"' in bench.refused(
        "CreateEndpointConfig", EndpointConfigName="two", ProductionVariants=[variant("A", "no")]
    )
    many = [variant("A", "one", InitialInstanceCount=21)]
    bench.config("many", *many)
    assert bench.refused("CreateEndpoint", EndpointName="many", EndpointConfigName="many").startswith(
        "ResourceLimitExceeded: The account-level service limit 'ml.m5.large for endpoint usage' is 20 Instances, with "
        "current utilization of 1 Instances and a request delta of 21 Instances."
    )


@pytest.mark.parametrize(
    ("variants", "more", "told"),
    [
        ([variant("A", "one"), variant("A", "one")], {}, "Duplicate: A"),
        ([variant("A", "one", InitialVariantWeight=0)], {}, "greater than 0"),
        ([{"VariantName": "A", "InstanceType": "ml.m5.large"}], {}, "inference components"),
        ([{"VariantName": "A", "ModelName": "one", "InstanceType": "ml.m5.large"}], {}, "InitialInstanceCount"),
        (
            [{"VariantName": "A", "ModelName": "one",
              "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2}}],
            {},
            "ServerlessConfig is not supported by mlparity",
        ),
        ([variant("A", "one"), variant("B", "one")], {"ShadowProductionVariants": [variant("S", "one")]}, "only one"),
        ([variant("A", "one")], {"ExplainerConfig": {}}, "ExplainerConfig is not supported"),
        ([variant("A", "one")], {"AsyncInferenceConfig": {"OutputConfig": {}}}, "S3OutputPath"),
    ],
)  # fmt: skip
def test_configurations_that_are_refused(
    bench: Bench, variants: list[dict[str, Any]], more: dict[str, Any], told: str
) -> None:
    bench.model("one")
    assert told in bench.refused("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=variants, **more)
    assert bench.call("ListEndpointConfigs")["EndpointConfigs"] == []


def test_a_canary_that_is_told_of_and_goes_over(bench: Bench) -> None:
    bench.endpoint("one", instances=2)
    bench.alarms["errors"] = "OK"
    bench.model("two")
    bench.config("two", variant("AllTraffic", "two", InitialInstanceCount=2))
    deployment = canary(300, "errors")
    bench.call("UpdateEndpoint", EndpointName="one", EndpointConfigName="two", DeploymentConfig=deployment)
    shown = bench.describe("one")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("Updating", "one")
    pending = shown["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "two"
    assert pending["ProductionVariants"][0]["InstanceType"] == "ml.m5.large"
    assert pending["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Baking"
    bench.later(301)
    bench.later(301)  # the whole fleet bakes, too
    shown = bench.describe("one")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "two")
    assert "PendingDeploymentSummary" not in shown
    assert shown["LastDeploymentConfig"] == deployment
    deployments = [item for item in bench.events if item.detail_type == "SageMaker Endpoint Deployment State Change"]
    baking = next(
        item
        for item in deployments
        if "Baking" in str(item.detail.get("PendingDeploymentSummary", {}).get("ProductionVariants"))
    )
    assert baking.detail["EndpointStatus"] == "UPDATING"
    assert baking.detail["PendingDeploymentSummary"]["EndpointConfigName"] == "two"
    # What serves now came of the second model.
    contexts = bench.call("ListContexts", ContextType="Endpoint")["ContextSummaries"]
    assert len(contexts) == 1
    lineage = bench.call("QueryLineage", StartArns=[contexts[0]["ContextArn"]], Direction="Ascendants", MaxResults=50)
    uris = {
        bench.call("DescribeArtifact", ArtifactArn=vertex["Arn"])["Source"]["SourceUri"]
        for vertex in lineage["Vertices"]
        if vertex["LineageType"] == "Artifact"
    }
    assert {"s3://models/one.tar.gz", "s3://models/two.tar.gz"} <= uris
    assert [vertex["Type"] for vertex in lineage["Vertices"]].count("ModelDeployment") == 2


def test_an_alarm_rolls_back_and_the_old_configuration_is_shown_again(bench: Bench) -> None:
    bench.endpoint("one")
    bench.alarms["errors"] = "OK"
    bench.model("two")
    bench.config("two", variant("AllTraffic", "two"), DataCaptureConfig=CAPTURE)
    bench.call("UpdateEndpoint", EndpointName="one", EndpointConfigName="two", DeploymentConfig=canary(300, "errors"))
    bench.alarms["errors"] = "ALARM"
    bench.later(10)
    shown = bench.describe("one")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "one")
    assert "errors" in shown["FailureReason"]
    assert "DataCaptureConfig" not in shown
    assert "ROLLING_BACK" in [event.detail.get("EndpointStatus") for event in bench.events]
    # The rolled back update's copy of the serving configuration is what the next update starts from.
    bench.alarms["errors"] = "OK"
    bench.call(
        "UpdateEndpoint",
        EndpointName="one",
        EndpointConfigName="two",
        RetainAllVariantProperties=True,
        RetainDeploymentConfig=True,
    )
    bench.later(301)
    bench.later(301)  # the whole fleet bakes, too
    shown = bench.describe("one")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "two")
    assert "DataCaptureConfig" not in shown  # retained: there was none
    assert shown["LastDeploymentConfig"] == canary(300, "errors")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (canary(0, "nobody"), "do not exist: nobody"),
        ({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
            "Type": "CANARY", "WaitIntervalInSeconds": 0,
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 51}}}}, "between 1 and 50"),
        ({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
            "Type": "LINEAR", "WaitIntervalInSeconds": 0,
            "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 9}}}}, "between 10 and 50"),
        ({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
            "Type": "LINEAR", "WaitIntervalInSeconds": 0}}}, "LinearStepSize must be specified"),
        ({"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 4},
                                  "WaitIntervalInSeconds": 0}}, "between 5 and 50"),
        ({"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 3},
                                  "WaitIntervalInSeconds": 0}}, "at most 50%"),
    ],
)  # fmt: skip
def test_deployment_configurations_that_are_refused(bench: Bench, config: dict[str, Any], told: str) -> None:
    bench.endpoint("one", instances=4)
    assert told in bench.refused(
        "UpdateEndpoint", EndpointName="one", EndpointConfigName="one", DeploymentConfig=config
    )
    assert bench.describe("one")["EndpointStatus"] == "InService"


def test_weights_counts_and_a_shadow(bench: Bench) -> None:
    bench.model("one")
    bench.config(
        "one",
        variant("P", "one", InitialVariantWeight=2),
        ShadowProductionVariants=[variant("S", "one", InitialVariantWeight=1)],
    )
    bench.call("CreateEndpoint", EndpointName="e", EndpointConfigName="one")
    routed = {item.variant: item for item in bench.router.tables["sagemaker/e"].deployments}
    assert routed["S"].shadow
    assert routed["S"].weight == pytest.approx(0.5)  # one copy for every two requests
    bench.call(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName="e",
        DesiredWeightsAndCapacities=[
            {"VariantName": "P", "DesiredWeight": 4, "DesiredInstanceCount": 3},
            {"VariantName": "S", "DesiredWeight": 1},
        ],
    )
    shown = bench.describe("e")
    assert shown["EndpointStatus"] == "InService"
    assert shown["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    assert shown["ShadowProductionVariants"][0]["CurrentWeight"] == pytest.approx(1.0)
    routed = {item.variant: item for item in bench.router.tables["sagemaker/e"].deployments}
    assert routed["S"].weight == pytest.approx(0.25)
    for wanted, told in (
        ([{"VariantName": "X", "DesiredWeight": 1}], 'Could not find variant "X"'),
        ([{"VariantName": "P", "DesiredWeight": 0}], "greater than 0"),
        ([{"VariantName": "P"}, {"VariantName": "P"}], "unique"),
    ):
        assert told in bench.refused(
            "UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wanted
        )


def test_lists_are_paged_sorted_and_filtered(bench: Bench) -> None:
    bench.model("one")
    bench.config("one")
    bench.fleet.failing["s3://models/bad.tar.gz"] = "no"
    for number in range(5):
        bench.call("CreateEndpoint", EndpointName=f"e-{number}", EndpointConfigName="one")
        bench.clock.advance(60)
    bench.endpoint("bad")
    names, request = [], {"SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}
    while True:
        page = bench.call("ListEndpoints", **request)
        names += [item["EndpointName"] for item in page["Endpoints"]]
        if "NextToken" not in page:
            break
        request["NextToken"] = page["NextToken"]
    assert names == ["bad", "e-0", "e-1", "e-2", "e-3", "e-4"]
    assert [item["EndpointName"] for item in bench.call("ListEndpoints", StatusEquals="Failed")["Endpoints"]] == ["bad"]
    assert bench.call("ListEndpoints", StatusEquals="OutOfService")["Endpoints"] == []
    assert len(bench.call("ListEndpoints", NameContains="e-", MaxResults=3)["Endpoints"]) == 3
    newest = bench.call("ListEndpoints")["Endpoints"]
    assert newest[0]["EndpointName"] == "bad"


def test_what_is_approved_is_made_ready_before_it_is_deployed(bench: Bench) -> None:
    expected: list[tuple[str, str, str]] = []

    def expect(containers: Sequence[ModelContainer]) -> None:
        expected.extend((one.image, one.model_uri, one.environment.get("LEVEL", "")) for one in containers)

    bench.api = replace(bench.api, hosting=replace(bench.api.hosting, expect=expect))
    bench.store.put_bytes(BUCKET, "m.tar.gz", b"archive")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/m.tar.gz", "Environment": {"LEVEL": "1"}}
    specification = {
        "Containers": [container], "SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"],
    }  # fmt: skip
    bench.call("CreateModelPackageGroup", ModelPackageGroupName="g")
    given = {"ModelPackageGroupName": "g", "InferenceSpecification": specification}
    package = bench.call("CreateModelPackage", **given)["ModelPackageArn"]
    for status, so_many in (("Rejected", 0), ("Approved", 1), ("Approved", 1), ("Rejected", 1)):
        bench.call("UpdateModelPackage", ModelPackageArn=package, ModelApprovalStatus=status)
        assert len(expected) == so_many, status
    bench.call("CreateModelPackage", **given, ModelApprovalStatus="Approved")
    bench.call(
        "CreateModel", ModelName="m", PrimaryContainer=container, ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/r"
    )
    assert expected == [(IMAGE, f"s3://{BUCKET}/m.tar.gz", "1")] * 3


def test_a_role_that_sagemaker_may_not_assume_is_refused(bench: Bench) -> None:
    asked: list[tuple[str, str]] = []
    arn, lost = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}", f"arn:aws:iam::{ACCOUNT}:role/lost"
    bench.model("kept")  # its role is deleted below
    bench.api = replace(bench.api, may_assume=lambda role, resource: bool(asked.append((role, resource))))
    told = (
        f"ValidationException: Could not assume role {lost}. Please ensure that the role exists and allows principal "
        "'sagemaker.amazonaws.com' to assume the role."
    )
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    training = {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": cluster,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "RoleArn": lost,
    }
    processing = {
        "AppSpecification": {"ImageUri": IMAGE}, "ProcessingResources": {"ClusterConfig": cluster}, "RoleArn": lost,
    }  # fmt: skip
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/kept.tar.gz"}
    model = {"PrimaryContainer": container, "ExecutionRoleArn": lost}
    assert bench.refused("CreateModel", ModelName="m", **model) == told
    assert bench.refused("CreateTrainingJob", TrainingJobName="t", **training) == told
    assert bench.refused("CreateProcessingJob", ProcessingJobName="p", **processing) == told
    transform = {
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in"}}},
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    refused = bench.refused("CreateTransformJob", TransformJobName="b", ModelName="kept", **transform)
    assert "Could not assume role arn:aws:iam::123456789012:role/r." in refused
    resources = [
        f"{arn}:{resource}" for resource in ("model/m", "training-job/t", "processing-job/p", "transform-job/b")
    ]
    assert [resource for _, resource in asked] == resources
    assert "Could not find model" in bench.refused("DescribeModel", ModelName="m")
    bench.call("CreateModel", ModelName="m", PrimaryContainer=container)  # without a role nothing is asked
