"""What the jobs of the workload do: shell only, so that a step costs next to nothing, and with outputs to check."""

from __future__ import annotations

import json
from typing import Any

IMAGE = "python:3.11"
ROWS = "".join(f"{number},{number * number}\n" for number in range(400))
PREPARE = "sleep 0.3; sort -r /opt/ml/processing/raw/rows.csv > /opt/ml/processing/data/rows.csv"
TRAIN = "sleep 0.4; cp /opt/ml/input/data/train/rows.csv /opt/ml/model/model.csv; wc -l < /opt/ml/model/model.csv"
EVALUATE = (  # on one line: the model allows no other entry point
    "tar -xzf /opt/ml/processing/model/model.tar.gz -C /tmp && test $(wc -l < /tmp/model.csv) -eq 400 && "
    "echo '{\"rows\": 400}' > /opt/ml/processing/evaluation/evaluation.json"
)
_CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
_AGAIN = [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 5}]


def trained() -> str:
    """What every trained model holds."""
    return "".join(line + "\n" for line in sorted(ROWS.splitlines(), reverse=True))


def training(role: str, data: Any, output: Any, script: str = TRAIN) -> dict[str, Any]:
    """CreateTrainingJob but for the name."""
    source = {"S3DataType": "S3Prefix", "S3Uri": data, "S3DataDistributionType": "FullyReplicated"}
    return {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-ec", script],
        },
        "RoleArn": role,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": output},
        "ResourceConfig": _CLUSTER,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def processing(role: str, script: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """CreateProcessingJob but for the name; inputs and outputs are URIs by name, at /opt/ml/processing/NAME."""
    return {
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["/bin/sh", "-ec", script]},
        "RoleArn": role,
        "ProcessingResources": {"ClusterConfig": _CLUSTER},
        "ProcessingInputs": [
            {
                "InputName": name,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": f"/opt/ml/processing/{name}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
            for name, uri in inputs.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": name,
                    "S3Output": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/{name}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for name, uri in outputs.items()
            ]
        },
    }


def pipeline(role: str, bucket: str, group: str, *, retried: bool) -> str:
    """prepare > (left, right) > evaluate > a condition > register. ``retried``: steps survive the platform's faults."""

    def of(execution_part: str) -> dict[str, Any]:
        return {
            "Std:Join": {
                "On": "/",
                "Values": [f"s3://{bucket}", {"Get": "Execution.PipelineExecutionId"}, execution_part],
            }
        }

    data = {"Get": "Steps.prepare.ProcessingOutputConfig.Outputs['data'].S3Output.S3Uri"}
    steps: list[dict[str, Any]] = [
        _step("prepare", "Processing", processing(role, PREPARE, {"raw": f"s3://{bucket}/raw"}, {"data": of("data")})),
        _step("left", "Training", training(role, data, of("left"))),
        _step("right", "Training", training(role, data, of("right"))),
        _step(
            "evaluate",
            "Processing",
            processing(
                role,
                EVALUATE,
                {"model": {"Get": "Steps.left.ModelArtifacts.S3ModelArtifacts"}},
                {"evaluation": of("evaluation")},
            ),
        ),
    ]
    steps[3]["DependsOn"] = ["right"]
    steps[3]["PropertyFiles"] = [
        {"PropertyFileName": "report", "OutputName": "evaluation", "FilePath": "evaluation.json"}
    ]
    if retried:
        for step in steps:
            step["RetryPolicies"] = _AGAIN
    register = {
        "ModelPackageGroupName": group,
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataUrl": {"Get": "Steps.left.ModelArtifacts.S3ModelArtifacts"}}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        "CustomerMetadataProperties": {"execution": {"Get": "Execution.PipelineExecutionId"}},
    }
    good = {
        "Type": "Equals",
        "LeftValue": {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.evaluate.PropertyFiles.report"}, "Path": "rows"}},
        "RightValue": 400,
    }
    steps.append(
        {
            "Name": "good",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [good],
                "IfSteps": [_step("register", "RegisterModel", register)],
                "ElseSteps": [_step("bad", "Fail", {"ErrorMessage": "rows are missing"})],
            },
        }
    )
    return json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps})


def _step(name: str, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"Name": name, "Type": kind, "Arguments": arguments}
