"""Takes away everything that the scenario made, and looks that nothing is left."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from botocore.exceptions import ClientError

from mlparity.errors import ConflictError, NotFoundError
from mlparity.scenarios import Platform
from mlparity.scenarios.loops import Loops
from scenarios.sagemaker_common.endpoints import exists, gone
from scenarios.sagemaker_deployment.drift import forget_monitor
from scenarios.sagemaker_deployment.environments import Environment
from scenarios.sagemaker_deployment.names import DRIFT_ALARM, LOOP, PACKAGE_GROUP, PIPELINE, PREFIX


def clean_up(platform: Platform, environments: Sequence[Environment], loops: Loops) -> None:
    """The loop, the monitor, alarms, endpoints, configurations, models, packages and the pipeline, in this order."""
    sagemaker, cloudwatch = platform.client("sagemaker"), platform.client("cloudwatch")
    with contextlib.suppress(NotFoundError, ConflictError):  # there is none, or nothing is under way
        loops.act(LOOP, "stop", "the scenario is over")
    with contextlib.suppress(NotFoundError):
        loops.delete(LOOP)
    forget_monitor(platform)
    names = [one.alarm_name(alarm) for one in environments for alarm in one.alarms]
    cloudwatch.delete_alarms(AlarmNames=[*names, DRIFT_ALARM])
    for environment in environments:
        if exists(platform, environment.endpoint):
            sagemaker.delete_endpoint(EndpointName=environment.endpoint)
    for environment in environments:
        gone(platform, environment.endpoint)
    for name in _names(platform, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"):
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
    for name in _names(platform, "list_models", "Models", "ModelName"):
        sagemaker.delete_model(ModelName=name)
    _delete_packages(platform)
    with contextlib.suppress(ClientError):
        sagemaker.delete_pipeline(PipelineName=PIPELINE, ClientRequestToken="x" * 32)


def left_over(platform: Platform) -> list[str]:
    """What of the scenario can still be listed."""
    return [
        *_names(platform, "list_endpoints", "Endpoints", "EndpointName"),
        *_names(platform, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
        *_names(platform, "list_models", "Models", "ModelName"),
        *_names(platform, "list_monitoring_schedules", "MonitoringScheduleSummaries", "MonitoringScheduleName"),
    ]


def _names(platform: Platform, operation: str, member: str, name: str) -> list[str]:
    pages = platform.client("sagemaker").get_paginator(operation).paginate(NameContains=PREFIX)
    return [item[name] for page in pages for item in page[member]]


def _delete_packages(platform: Platform) -> None:
    sagemaker = platform.client("sagemaker")
    groups = sagemaker.list_model_package_groups(NameContains=PACKAGE_GROUP)["ModelPackageGroupSummaryList"]
    if PACKAGE_GROUP not in {group["ModelPackageGroupName"] for group in groups}:
        return
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=PACKAGE_GROUP)
    for arn in [item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]]:
        sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=PACKAGE_GROUP)
