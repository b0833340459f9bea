"""Application Auto Scaling of endpoint variants, through boto3, on a clock by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlparity.apis.aws.metrics import ServiceMetric
from mlparity.testing import TestClock
from tests.conformance.aws_fixtures import Stack, Variants, stack

NAMES = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/e/variant/v",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TRACKING = {
    "TargetValue": 100.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    "ScaleOutCooldown": 120,
    "ScaleInCooldown": 300,
}


class Scaled:
    """A running server, its clock, and what is scaled."""

    def __init__(self, running: Stack, clock: TestClock, variants: Variants) -> None:
        self.running = running
        self.clock = clock
        self.variants = variants
        self.client = running.client("application-autoscaling")

    def minutes(self, count: int, invocations_per_instance: float) -> None:
        """Let minutes pass with that many invocations in each."""
        for _ in range(count):
            metric = ServiceMetric(
                "AWS/SageMaker", "InvocationsPerInstance", {"EndpointName": "e", "VariantName": "v"},
                invocations_per_instance, "None", self.clock.now() + timedelta(seconds=30),
            )  # fmt: skip
            self.running.services.publish_metrics([metric])
            self.clock.advance(60)
            self.running.timers.run_due()

    @property
    def instances(self) -> int | None:
        return self.variants.capacity("e", "v")

    def activities(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.describe_scaling_activities(ServiceNamespace="sagemaker")[
            "ScalingActivities"
        ]
        return found


@pytest.fixture
def scaled(tmp_path: Path) -> Iterator[Scaled]:
    clock, variants = TestClock(), Variants()
    with stack(tmp_path, "111122223338", clock, scalable=variants) as running:
        yield Scaled(running, clock, variants)


def test_out_when_busy_and_in_when_quiet(scaled: Scaled) -> None:
    client = scaled.client
    client.register_scalable_target(**NAMES, MinCapacity=1, MaxCapacity=4, Tags={"team": "x"})
    arn = client.put_scaling_policy(
        **NAMES, PolicyName="p", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING
    )["PolicyARN"]
    assert arn.endswith(":resource/sagemaker/endpoint/e/variant/v:policyName/p")
    scaled.minutes(2, 250)
    assert scaled.instances == 1  # not for three minutes yet
    scaled.minutes(1, 250)
    assert scaled.instances == 3
    alarms = scaled.running.client("cloudwatch").describe_alarms(AlarmNamePrefix="TargetTracking-endpoint/e/variant/v-")
    states = {item["AlarmName"].split("-")[-6]: item["StateValue"] for item in alarms["MetricAlarms"]}
    assert states["AlarmHigh"] == "ALARM"
    assert set(states) == {"AlarmHigh", "AlarmLow"}
    scaled.minutes(1, 900)
    assert scaled.instances == 3  # cooling down
    scaled.minutes(2, 900)
    assert scaled.instances == 4  # the most
    scaled.minutes(14, 20)
    assert scaled.instances == 4
    scaled.minutes(1, 20)
    assert scaled.instances == 1
    activities = scaled.activities()
    assert [item["Description"] for item in activities] == [
        "Setting desired instance count to 1.",
        "Setting desired instance count to 4.",
        "Setting desired instance count to 3.",
    ]
    assert {item["StatusCode"] for item in activities} == {"Successful"}
    assert "triggered policy p" in activities[0]["Cause"]
    target = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"][0]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    assert client.list_tags_for_resource(ResourceARN=target["ScalableTargetARN"])["Tags"] == {"team": "x"}
    policies = client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policies[0]["TargetTrackingScalingPolicyConfiguration"] == TRACKING
    client.deregister_scalable_target(**NAMES)
    assert client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    assert scaled.running.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_suspended_refused_and_one_way(scaled: Scaled) -> None:
    client = scaled.client
    client.register_scalable_target(
        **NAMES, MinCapacity=1, MaxCapacity=4, SuspendedState={"DynamicScalingOutSuspended": True}
    )
    customized = {
        "TargetValue": 50.0,
        "CustomizedMetricSpecification": {
            "MetricName": "InvocationsPerInstance",
            "Namespace": "AWS/SageMaker",
            "Dimensions": [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "v"}],
            "Statistic": "Sum",
        },
        "DisableScaleIn": True,
    }
    client.put_scaling_policy(
        **NAMES, PolicyName="p", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=customized
    )
    scaled.minutes(3, 100)
    assert scaled.instances == 1
    client.register_scalable_target(**NAMES, SuspendedState={"DynamicScalingOutSuspended": False})
    scaled.variants.refuses = True
    scaled.minutes(1, 100)
    assert scaled.activities()[0]["StatusCode"] == "Failed"
    scaled.variants.refuses = False
    scaled.minutes(1, 100)
    assert scaled.instances == 2
    scaled.minutes(20, 1)
    assert scaled.instances == 2


def test_a_deleted_endpoint_takes_its_targets_with_it(scaled: Scaled) -> None:
    client = scaled.client
    other = {**NAMES, "ResourceId": "endpoint/other/variant/v"}
    for names in (NAMES, other):
        client.register_scalable_target(**names, MinCapacity=1, MaxCapacity=4)
        client.put_scaling_policy(
            **names, PolicyName="p", PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=TRACKING,
        )  # fmt: skip

    def targets() -> list[str]:
        found = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        return [target["ResourceId"] for target in found]

    event = {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Endpoint State Change",
        "detail": {"EndpointName": "e", "EndpointStatus": "UPDATING"},
        "time": scaled.clock.now(),
    }
    scaled.running.services.publish(event)
    assert targets() == [NAMES["ResourceId"], other["ResourceId"]]
    event["detail"] = {"EndpointName": "e", "EndpointStatus": "DELETING"}
    scaled.running.services.publish(event)
    assert targets() == [other["ResourceId"]]
    policies = client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert [policy["ResourceId"] for policy in policies] == [other["ResourceId"]]
    alarms = scaled.running.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {alarm["Dimensions"][0]["Value"] for alarm in alarms} == {"other"}
    scaled.clock.advance(60)  # an endpoint of the same name is made; the old one's event comes again
    client.register_scalable_target(**NAMES, MinCapacity=1, MaxCapacity=4)
    scaled.running.services.publish(event)
    assert NAMES["ResourceId"] in targets()


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("register_scalable_target", {"MinCapacity": 1}, "ValidationException", "Maximum capacity cannot be null"),
    ("register_scalable_target", {"MinCapacity": 3, "MaxCapacity": 1}, "ValidationException", "less than minimum"),
    ("register_scalable_target",
     {"MinCapacity": 1, "MaxCapacity": 2, "ResourceId": "endpoint/absent/variant/v"},
     "ValidationException", "not found"),
    ("register_scalable_target",
     {"MinCapacity": 1, "MaxCapacity": 2, "ServiceNamespace": "ecs",
      "ScalableDimension": "ecs:service:DesiredCount"},
     "ValidationException", "nothing would scale"),
    ("put_scaling_policy", {"PolicyName": "p"}, "ObjectNotFoundException", "No scalable target registered"),
    ("delete_scaling_policy", {"PolicyName": "p"}, "ObjectNotFoundException", "No scaling policy found"),
    ("deregister_scalable_target", {}, "ObjectNotFoundException", "No scalable target registered"),
    ("put_scheduled_action", {"ScheduledActionName": "a"}, "UnknownOperationException", "follow metrics only"),
]  # fmt: skip


def test_what_is_refused(scaled: Scaled) -> None:
    for operation, changes, code, told in REFUSED:
        with pytest.raises(ClientError) as refused:
            getattr(scaled.client, operation)(**{**NAMES, **changes})
        assert refused.value.response["Error"]["Code"] == code, operation
        assert told in refused.value.response["Error"]["Message"], operation


def test_policies_that_are_refused(scaled: Scaled) -> None:
    scaled.client.register_scalable_target(**NAMES, MinCapacity=1, MaxCapacity=2)
    for kind, config, told in (
        ("StepScaling", {}, "StepScaling is not served"),
        ("TargetTrackingScaling", {"TargetValue": 1.0}, "Exactly one of"),
        ("TargetTrackingScaling", {**TRACKING, "TargetValue": 0.0}, "greater than 0"),
    ):
        with pytest.raises(ClientError, match=told):
            scaled.client.put_scaling_policy(
                **NAMES, PolicyName="p", PolicyType=kind, TargetTrackingScalingPolicyConfiguration=config or TRACKING
            )
