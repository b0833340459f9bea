"""July meets February's model: a monitor over the captured requests, and an alarm on what it finds."""

from __future__ import annotations

import json
import time
from typing import Any

from botocore.exceptions import ClientError

from mlparity.scenarios import Platform
from scenarios.sagemaker_deployment.environments import Environment
from scenarios.sagemaker_deployment.flights import Flights
from scenarios.sagemaker_deployment.names import DRIFT_ALARM, MONITOR

_MARK = "july-"  # what the inference ids of July's flights begin with
_FEATURE = "temp"  # what the alarm looks at: the monitor publishes one metric a feature


def baseline(platform: Platform, image: str, role: str, base: str, data: str) -> None:
    """A processing job with the vendor's analyzer: statistics.json and constraints.json of the training data."""
    sagemaker, name = platform.client("sagemaker"), f"{MONITOR}-baseline-{int(time.time())}"
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=role,
        AppSpecification={"ImageUri": image},
        Environment={
            "dataset_format": json.dumps({"csv": {"header": True, "output_columns_position": "START"}}),
            "dataset_source": "/opt/ml/processing/input/baseline_dataset_input",
            "output_path": "/opt/ml/processing/output",
            "publish_cloudwatch_metrics": "Disabled",
        },
        ProcessingInputs=[
            {
                "InputName": "baseline_dataset_input",
                "S3Input": {
                    "S3Uri": data,
                    "LocalPath": "/opt/ml/processing/input/baseline_dataset_input",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ],
        ProcessingOutputConfig={
            "Outputs": [
                {
                    "OutputName": "monitoring_output",
                    "S3Output": {
                        "S3Uri": f"{base}/baseline",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
        StoppingCondition={"MaxRuntimeInSeconds": 1800},
    )
    sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName=name, WaiterConfig={"Delay": 1 if platform.local else 30, "MaxAttempts": 300}
    )
    described = sagemaker.describe_processing_job(ProcessingJobName=name)
    platform.check(described["ProcessingJobStatus"] == "Completed", f"{name}: {described.get('FailureReason')}")


def send_flights(platform: Platform, endpoint: str, flights: Flights) -> list[float]:
    """One request a flight; the predicted delays."""
    runtime, predicted = platform.client("sagemaker-runtime"), []
    for number, row in enumerate(flights.rows()):
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="text/csv", Body=row, InferenceId=f"{_MARK}{number}"
        )
        predicted.append(float(answer["Body"].read()))
    return predicted


def captured(platform: Platform, base: str, endpoint: str, wanted: int) -> int:
    """Wait until so many of ``send_flights``' requests lie in the bucket; how many were captured in all."""
    s3, limit = platform.client("s3"), 60.0 if platform.local else 900.0
    bucket, _, prefix = f"{base}/capture/{endpoint}/".removeprefix("s3://").partition("/")
    began = time.monotonic()
    while True:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        records = [line for key in keys for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()]
        found = sum(json.loads(line)["eventMetadata"].get("inferenceId", "").startswith(_MARK) for line in records)
        if found >= wanted:
            return len(records)
        platform.check(time.monotonic() - began < limit, f"{found} of {wanted} requests were captured")
        time.sleep(1 if platform.local else 15)


def create_alarm(platform: Platform, environment: Environment, threshold: float) -> None:
    """An alarm on the drift of one feature, as the monitor publishes it."""
    platform.client("cloudwatch").put_metric_alarm(
        AlarmName=DRIFT_ALARM,
        Namespace="aws/sagemaker/Endpoints/data-metrics",
        MetricName=f"feature_baseline_drift_{_FEATURE}",
        Dimensions=[
            {"Name": "Endpoint", "Value": environment.endpoint},
            {"Name": "MonitoringSchedule", "Value": MONITOR},
        ],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=threshold,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )


def monitor_once(platform: Platform, environment: Environment, image: str, role: str, base: str) -> dict[str, Any]:
    """A data-quality schedule that runs once, now, over the last hour; its execution when it has ended."""
    sagemaker = platform.client("sagemaker")
    forget_monitor(platform)
    sagemaker.create_data_quality_job_definition(
        JobDefinitionName=MONITOR,
        DataQualityBaselineConfig={
            "ConstraintsResource": {"S3Uri": f"{base}/baseline/constraints.json"},
            "StatisticsResource": {"S3Uri": f"{base}/baseline/statistics.json"},
        },
        DataQualityAppSpecification={"ImageUri": image},
        DataQualityJobInput={
            "EndpointInput": {
                "EndpointName": environment.endpoint,
                "LocalPath": "/opt/ml/processing/input/endpoint",
                "S3InputMode": "File",
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        DataQualityJobOutputConfig={
            "MonitoringOutputs": [
                {
                    "S3Output": {
                        "S3Uri": f"{base}/monitoring",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    }
                }
            ]
        },
        JobResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}},
        RoleArn=role,
    )
    sagemaker.create_monitoring_schedule(
        MonitoringScheduleName=MONITOR,
        MonitoringScheduleConfig={
            "ScheduleConfig": {
                "ScheduleExpression": "NOW",
                "DataAnalysisStartTime": "-PT1H",
                "DataAnalysisEndTime": "-PT0H",
            },
            "MonitoringJobDefinitionName": MONITOR,
            "MonitoringType": "DataQuality",
        },
    )
    return _ended(platform)


def violations(platform: Platform, base: str) -> list[dict[str, Any]]:
    """What the newest report found wrong."""
    s3 = platform.client("s3")
    bucket, _, prefix = f"{base}/monitoring".removeprefix("s3://").partition("/")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [item for page in pages for item in page.get("Contents", ())]
    reports = [item for item in found if item["Key"].endswith("constraint_violations.json")]
    platform.check(bool(reports), f"there is no constraint_violations.json below {base}/monitoring")
    newest = max(reports, key=lambda item: item["LastModified"])
    body = s3.get_object(Bucket=bucket, Key=newest["Key"])["Body"].read()
    listed: list[dict[str, Any]] = json.loads(body)["violations"]
    return listed


def _ended(platform: Platform) -> dict[str, Any]:
    every, limit = (0.5, 180.0) if platform.local else (30.0, 3600.0)
    began = time.monotonic()
    while True:
        found = platform.client("sagemaker").list_monitoring_executions(MonitoringScheduleName=MONITOR)
        executions: list[dict[str, Any]] = found["MonitoringExecutionSummaries"]
        status = executions[0]["MonitoringExecutionStatus"] if executions else "Pending"
        if status not in {"Pending", "InProgress", "Stopping"}:
            return executions[0]
        platform.check(time.monotonic() - began < limit, f"the monitor was {status} for {limit:.0f} s")
        time.sleep(every)


def forget_monitor(platform: Platform) -> None:
    """The schedule and its definition of an earlier run."""
    sagemaker = platform.client("sagemaker")
    operations = (
        (sagemaker.delete_monitoring_schedule, {"MonitoringScheduleName": MONITOR}),
        (sagemaker.delete_data_quality_job_definition, {"JobDefinitionName": MONITOR}),
    )
    for delete, request in operations:
        try:
            delete(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"ResourceNotFound", "ResourceNotFoundException"}:
                raise
