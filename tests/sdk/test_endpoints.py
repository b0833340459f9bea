"""Endpoints with unmodified boto3: real models behind them, updated, rolled back, scaled, asked later, and deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xgboost
from botocore.exceptions import ClientError
from botocore.waiter import WaiterModel, create_waiter_with_client
from sklearn.datasets import load_diabetes

from tests.sdk.cloud import OFTEN, Cloud, csv_text, unique, xgboost_image
from tests.sdk.test_transform import make_model

FEATURES, TARGET = load_diabetes(return_X_y=True)
ROWS = csv_text(FEATURES[:20])


def booster(seed: int, depth: int) -> xgboost.Booster:
    return xgboost.train({"max_depth": depth, "seed": seed}, xgboost.DMatrix(FEATURES, TARGET), 10)


def says(model: xgboost.Booster) -> np.ndarray:
    """What a model says of ``ROWS``, as text and back, like the endpoint's answers."""
    return np.asarray([float(f"{value}") for value in model.predict(xgboost.DMatrix(FEATURES[:20]))])


class Hosted:
    """Two models, their configurations, and an endpoint of the first."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.sagemaker = cloud, cloud.sagemaker
        self.runtime = cloud.client("sagemaker-runtime")
        self.models = {"old": booster(1, 2), "new": booster(2, 5)}
        files = {name: {"xgboost-model": bytes(model.save_raw("ubj"))} for name, model in self.models.items()}
        self.model_names = {name: make_model(cloud, xgboost_image(), files[name]) for name in files}
        self.name = unique("endpoint")
        self.captured = cloud.uri(self.name, "captured")
        self.configs = {name: self.config(name) for name in files}
        self.arn = self.sagemaker.create_endpoint(
            EndpointName=self.name, EndpointConfigName=self.configs["old"], Tags=[{"Key": "team", "Value": "x"}]
        )["EndpointArn"]

    def config(self, model: str, count: int = 1, **more: Any) -> str:
        name = unique(f"config-{model}")
        variant = {
            "VariantName": "AllTraffic", "ModelName": self.model_names[model], "InitialInstanceCount": count,
            "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0,
        }  # fmt: skip
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)
        return name

    def in_service(self) -> dict[str, Any]:
        self.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=self.name, WaiterConfig=OFTEN)
        return self.describe()

    def describe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=self.name)
        return found

    def predicted(self, **more: Any) -> np.ndarray:
        answer = self.runtime.invoke_endpoint(EndpointName=self.name, ContentType="text/csv", Body=ROWS, **more)
        return np.asarray(
            [float(value) for value in answer["Body"].read().decode().replace("\n", ",").split(",") if value]
        )

    def update(self, config: str, **more: Any) -> None:
        self.sagemaker.update_endpoint(EndpointName=self.name, EndpointConfigName=self.configs[config], **more)

    def until(self, argument: str, expected: Any) -> None:
        """Wait until DescribeEndpoint shows something, in the terms of the vendor's waiters."""
        waiter = {
            "operation": "DescribeEndpoint", "delay": 0.2, "maxAttempts": 300,
            "acceptors": [
                {"matcher": "path", "argument": argument, "expected": expected, "state": "success"},
                {"matcher": "path", "argument": "EndpointStatus", "expected": "Failed", "state": "failure"},
            ],
        }  # fmt: skip
        model = WaiterModel({"version": 2, "waiters": {"Shown": waiter}})
        create_waiter_with_client("Shown", model, self.sagemaker).wait(EndpointName=self.name, WaiterConfig=OFTEN)


@pytest.fixture(scope="module")
def hosted(cloud: Cloud, stack: Any) -> Iterator[Hosted]:
    with stack.environment_applied():
        made = Hosted(cloud)
        made.in_service()
        yield made
        made.sagemaker.delete_endpoint(EndpointName=made.name)


def canary(wait: int, alarm: str) -> dict[str, Any]:
    routing = {
        "Type": "CANARY", "WaitIntervalInSeconds": wait,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
    }  # fmt: skip
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
    }


def told_of(cloud: Cloud, endpoint: str) -> str:
    """A queue that gets the endpoint's events; its URL."""
    events, sqs = cloud.client("events"), cloud.client("sqs")
    queue = sqs.create_queue(QueueName=endpoint)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Endpoint State Change"],
        "detail": {"EndpointName": [endpoint]},
    }
    events.put_rule(Name=endpoint, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=endpoint, Targets=[{"Id": "queue", "Arn": arn}])
    return str(queue)


def statuses(cloud: Cloud, queue: str, count: int) -> list[str]:
    """The states that the first events told of, in the order of their times."""
    sqs = cloud.client("sqs")
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20, MaxNumberOfMessages=10).get("Messages")
        assert messages, f"nothing more was told: {found}"
        for message in messages:
            event = json.loads(message["Body"])
            found[event["id"]] = event
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [
        item["detail"]["EndpointStatus"]
        for item in sorted(found.values(), key=lambda item: item["detail"]["LastModifiedTime"])
    ]


def test_an_endpoint_answers_as_its_model_does(hosted: Hosted) -> None:
    shown = hosted.in_service()
    assert shown["EndpointStatus"] == "InService"
    assert shown["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert shown["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == xgboost_image()
    np.testing.assert_allclose(hosted.predicted(), says(hosted.models["old"]), rtol=1e-6)
    listed = hosted.sagemaker.list_endpoints(NameContains=hosted.name)["Endpoints"]
    assert [item["EndpointArn"] for item in listed] == [hosted.arn]
    assert hosted.sagemaker.list_tags(ResourceArn=hosted.arn)["Tags"] == [{"Key": "team", "Value": "x"}]


def test_an_alarm_in_the_bake_brings_the_old_model_back(hosted: Hosted) -> None:
    alarm = unique("alarm")
    cloudwatch = hosted.cloud.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=alarm, Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        Dimensions=[{"Name": "EndpointName", "Value": hosted.name}, {"Name": "VariantName", "Value": "AllTraffic"}],
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="a test")
    hosted.update("new", DeploymentConfig=canary(3600, alarm))
    hosted.until("PendingDeploymentSummary.ProductionVariants[0].VariantStatus[0].Status", "Baking")
    expected = {name: says(model) for name, model in hosted.models.items()}
    seen = {
        name
        for _ in range(60)
        for answer in [hosted.predicted()]
        for name, values in expected.items()
        if np.allclose(answer, values, rtol=1e-6)
    }
    assert seen == {"old", "new"}
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        hosted.update("new")
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    shown = hosted.in_service()
    assert shown["EndpointConfigName"] == hosted.configs["old"]
    assert alarm in shown["FailureReason"]
    np.testing.assert_allclose(hosted.predicted(), expected["old"], rtol=1e-6)
    cloudwatch.delete_alarms(AlarmNames=[alarm])


def test_update_then_weights_and_counts(hosted: Hosted) -> None:
    hosted.update("new")
    shown = hosted.in_service()
    assert shown["EndpointConfigName"] == hosted.configs["new"]
    np.testing.assert_allclose(hosted.predicted(), says(hosted.models["new"]), rtol=1e-6)
    hosted.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=hosted.name,
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredWeight": 7, "DesiredInstanceCount": 2}],
    )
    shown = hosted.in_service()["ProductionVariants"][0]
    assert (shown["CurrentWeight"], shown["CurrentInstanceCount"]) == (7.0, 2)
    hosted.update("old", RetainAllVariantProperties=True)
    shown = hosted.in_service()["ProductionVariants"][0]
    assert (shown["CurrentWeight"], shown["CurrentInstanceCount"]) == (7.0, 2)
    hosted.update("old")
    shown = hosted.in_service()["ProductionVariants"][0]
    assert (shown["CurrentWeight"], shown["CurrentInstanceCount"]) == (1.0, 1)
    np.testing.assert_allclose(hosted.predicted(), says(hosted.models["old"]), rtol=1e-6)


def test_asynchronous_inference_ends_in_the_bucket_and_on_the_topic(hosted: Hosted) -> None:
    cloud, name = hosted.cloud, unique("later")
    sns, sqs = cloud.client("sns"), cloud.client("sqs")
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"})
    output = {
        "S3OutputPath": cloud.uri(name, "out"),
        "S3FailurePath": cloud.uri(name, "failed"),
        "NotificationConfig": {"SuccessTopic": topic, "ErrorTopic": topic},
    }
    config = hosted.config("old", AsyncInferenceConfig={"OutputConfig": output})
    hosted.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    asked = {}
    for body in (ROWS, "not,a,number\n"):
        uri = cloud.put(f"{name}/in/{len(asked)}.csv", body)
        answer = hosted.runtime.invoke_endpoint_async(
            EndpointName=name, InputLocation=uri, ContentType="text/csv", InferenceId=f"id-{len(asked)}"
        )
        asked[answer["InferenceId"]] = answer
    hosted.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=OFTEN)
    told: dict[str, Any] = {}
    while len(told) < 2:
        messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20, MaxNumberOfMessages=10).get("Messages")
        assert messages, f"nothing was told: {told}"
        for message in messages:
            document = json.loads(message["Body"])
            told[document["inferenceId"]] = document
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert (told["id-0"]["invocationStatus"], told["id-1"]["invocationStatus"]) == ("Completed", "Failed")
    text = cloud.get(asked["id-0"]["OutputLocation"]).decode()
    found = np.asarray([float(value) for value in text.replace("\n", ",").split(",") if value])
    np.testing.assert_allclose(found, says(hosted.models["old"]), rtol=1e-6)
    assert b"from model" in cloud.get(asked["id-1"]["FailureLocation"])
    assert told["id-0"]["responseParameters"]["outputLocation"] == asked["id-0"]["OutputLocation"]
    with pytest.raises(ClientError, match="not an asynchronous inference endpoint"):
        hosted.runtime.invoke_endpoint_async(EndpointName=hosted.name, InputLocation=cloud.uri("x"))
    hosted.sagemaker.delete_endpoint(EndpointName=name)
    hosted.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=OFTEN)


def test_metrics_and_the_page_know_of_the_requests(hosted: Hosted, stack: Any) -> None:
    import httpx

    hosted.predicted()
    cloudwatch = hosted.cloud.client("cloudwatch")
    query = {
        "operation": "ListMetrics", "delay": 0.5, "maxAttempts": 60,
        "acceptors": [{"matcher": "pathAny", "argument": "Metrics[].MetricName", "expected": "OverheadLatency",
                       "state": "success"}],
    }  # fmt: skip
    model = WaiterModel({"version": 2, "waiters": {"Measured": query}})
    create_waiter_with_client("Measured", model, cloudwatch).wait(
        Namespace="AWS/SageMaker", Dimensions=[{"Name": "EndpointName", "Value": hosted.name}], WaiterConfig=OFTEN
    )
    page = httpx.get(f"{stack.config.aws_url}/_mlparity/metrics", trust_env=False).text
    assert (
        f'mlparity_endpoint_requests_total{{endpoint="sagemaker/{hosted.name}",variant="AllTraffic",code="2xx"}}'
        in page
    )


def test_events_logs_and_a_deletion_that_leaves_nothing(hosted: Hosted) -> None:
    name, config = unique("short"), hosted.config("new")
    queue = told_of(hosted.cloud, name)
    hosted.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    hosted.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=OFTEN)
    streams = hosted.cloud.logs.describe_log_streams(logGroupName=f"/aws/sagemaker/Endpoints/{name}")["logStreams"]
    assert [item["logStreamName"].partition("/")[0] for item in streams] == ["AllTraffic"]
    hosted.sagemaker.delete_endpoint(EndpointName=name)
    hosted.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=OFTEN)
    with pytest.raises(ClientError, match="Could not find endpoint"):
        hosted.sagemaker.describe_endpoint(EndpointName=name)
    with pytest.raises(ClientError, match="not found"):
        hosted.runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=ROWS)
    assert statuses(hosted.cloud, queue, 3) == ["CREATING", "IN_SERVICE", "DELETING"]
    hosted.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        hosted.sagemaker.describe_endpoint_config(EndpointConfigName=config)
