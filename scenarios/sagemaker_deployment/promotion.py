"""Deploying a package to an environment: the same ARN everywhere, nothing is built again."""

from __future__ import annotations

import time
from typing import Any

from mlparity.scenarios import Platform
from scenarios.sagemaker_common.endpoints import exists, settled
from scenarios.sagemaker_deployment.environments import VARIANT, Environment


def promote(platform: Platform, environment: Environment, package: str, role: str, base: str) -> dict[str, Any]:
    """Bring the package to the environment's endpoint and wait; DescribeEndpoint at the end, whatever it is."""
    begin_promotion(platform, environment, package, role, base)
    return settled(platform, environment.endpoint)


def begin_promotion(platform: Platform, environment: Environment, package: str, role: str, base: str) -> str:
    """Create or update the endpoint; the name of its new configuration."""
    sagemaker = platform.client("sagemaker")
    name = f"{environment.endpoint}-v{package.rpartition('/')[2]}-{int(time.time())}"
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"ModelPackageName": package})
    config: dict[str, Any] = {
        "EndpointConfigName": name,
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName": name,
                "InstanceType": environment.instance_type,
                "InitialInstanceCount": environment.instances,
                "InitialVariantWeight": 1.0,
            }
        ],
        "Tags": [{"Key": "model-package", "Value": package}, {"Key": "environment", "Value": environment.name}],
    }
    if environment.capture:
        config["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": environment.capture.percentage,
            "DestinationS3Uri": f"{base}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        }
    sagemaker.create_endpoint_config(**config)
    if exists(platform, environment.endpoint):
        sagemaker.update_endpoint(
            EndpointName=environment.endpoint,
            EndpointConfigName=name,
            DeploymentConfig=environment.deployment_config(),
        )
    else:
        sagemaker.create_endpoint(EndpointName=environment.endpoint, EndpointConfigName=name)
    return name


def create_alarms(platform: Platform, environment: Environment) -> None:
    """The alarms that guard the environment's rollouts."""
    for alarm in environment.alarms:
        platform.client("cloudwatch").put_metric_alarm(
            AlarmName=environment.alarm_name(alarm),
            Namespace="AWS/SageMaker",
            MetricName=alarm.metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": environment.endpoint},
                {"Name": "VariantName", "Value": VARIANT},
            ],
            Statistic=alarm.statistic,
            Period=alarm.period_seconds,
            EvaluationPeriods=1,
            Threshold=alarm.threshold,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
        )


def alarms_are_quiet(platform: Platform, environment: Environment) -> None:
    """Wait until no alarm of the environment is in ALARM: a rollout that begins before is rolled back for the last."""
    names = [environment.alarm_name(alarm) for alarm in environment.alarms]
    began, limit = time.monotonic(), 120.0 if platform.local else 900.0
    while True:
        found = platform.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        loud = [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]
        if not loud:
            return
        platform.check(time.monotonic() - began < limit, f"{', '.join(loud)} stayed in ALARM")
        time.sleep(1 if platform.local else 15)


def serving_package(platform: Platform, endpoint: str) -> str:
    """The package that the endpoint's configuration was made from."""
    sagemaker = platform.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    model = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]["ModelName"]
    return str(sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["ModelPackageName"])
