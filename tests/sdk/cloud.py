"""What the SDK tests share: clients, names, data and waiting, all as a user of the vendor's packages has them."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import WaiterError
from botocore.waiter import WaiterModel, create_waiter_with_client

JOBS = Path(__file__).parent / "jobs"
REGION = "us-east-1"
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
PROCESSING_LOGS = "/aws/sagemaker/ProcessingJobs"
# The vendor's waiters ask every minute; a local job takes a second.
OFTEN = {"Delay": 0.2, "MaxAttempts": 600}


def unique(prefix: str) -> str:
    """A name that no other test has, whatever the random seed."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def image(framework: str, version: str) -> str:
    """The vendor's own address of a framework's image."""
    from sagemaker.core import image_uris

    return str(image_uris.retrieve(framework, REGION, version=version, instance_type="ml.m5.large", py_version="py3"))


def sklearn_image() -> str:
    """The newest scikit-learn image that the SDK knows."""
    return image("sklearn", "1.4-2")


def xgboost_image() -> str:
    """XGBoost: a framework for scripts and a built-in algorithm."""
    return image("xgboost", "1.7-1")


@dataclass(frozen=True)
class Cloud:
    """One account of the running stack."""

    sagemaker: Any
    s3: Any
    logs: Any
    session: Any  # sagemaker.core.helper.session_helper.Session
    pipelines: Any  # sagemaker.core.workflow.pipeline_context.PipelineSession
    role: str
    bucket: str
    tracking_uri: str
    boto: Any  # boto3.Session

    def client(self, service: str) -> Any:
        """A boto3 client of another service."""
        return self.boto.client(service)

    def uri(self, *parts: str) -> str:
        """An S3 URI in the default bucket."""
        return "/".join(["s3:/", self.bucket, *parts])

    def put(self, key: str, body: bytes | str) -> str:
        """Store an object; its URI."""
        data = body.encode() if isinstance(body, str) else body
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)
        return self.uri(key)

    def get(self, uri: str) -> bytes:
        """An object's bytes."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def keys(self, uri: str) -> list[str]:
        """The keys under a URI, relative to it."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return sorted(key.removeprefix(prefix).lstrip("/") for key in found)

    def archive(self, uri: str) -> dict[str, bytes]:
        """The files of a ``.tar.gz`` object."""
        with tarfile.open(fileobj=io.BytesIO(self.get(uri)), mode="r:gz") as packed:
            members = [member for member in packed.getmembers() if member.isfile()]
            return {member.name: _read(packed, member) for member in members}

    def trained(self, name: str) -> dict[str, Any]:
        """Wait with the vendor's waiter until the training job has ended, and describe it."""
        _wait(self.sagemaker.get_waiter("training_job_completed_or_stopped"), TrainingJobName=name)
        described: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return described

    def processed(self, name: str) -> dict[str, Any]:
        """Wait with the vendor's waiter until the processing job has ended, and describe it."""
        _wait(self.sagemaker.get_waiter("processing_job_completed_or_stopped"), ProcessingJobName=name)
        described: dict[str, Any] = self.sagemaker.describe_processing_job(ProcessingJobName=name)
        return described

    @staticmethod
    def train(trainer: Any, channels: list[Any] | None = None, *, wait: bool = False) -> str:
        """``ModelTrainer.train``; the job's name. Waiting shows the job's log and raises where it fails."""
        with warnings.catch_warnings():
            # The SDK leaves its temporary folders to Python, which complains of them.
            warnings.filterwarnings("ignore", "Implicitly cleaning up", ResourceWarning)
            try:
                trainer.train(input_data_config=channels or [], wait=wait, logs=wait)
            finally:
                if trainer._temp_code_dir is not None:
                    trainer._temp_code_dir.cleanup()
        return str(trainer._latest_training_job.training_job_name)

    def log(self, group: str, job: str) -> list[str]:
        """Every line of a job's log streams, read through CloudWatch Logs."""
        streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
        lines: list[str] = []
        for stream in streams:
            wanted = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startFromHead": True}
            page = self.logs.get_log_events(**wanted)
            while page["events"]:
                lines += [event["message"] for event in page["events"]]
                page = self.logs.get_log_events(**wanted, nextToken=page["nextForwardToken"])
        return lines

    def until_logged(self, group: str, job: str, text: str) -> None:
        """Wait until a job has said a line. The vendor has no waiter for logs: this is one in the vendor's terms."""
        acceptors = [
            {"matcher": "pathAny", "argument": "events[].message", "expected": text, "state": "success"},
            {"matcher": "error", "expected": "ResourceNotFoundException", "state": "retry"},
        ]
        spoken = {"operation": "FilterLogEvents", "delay": 1, "maxAttempts": 60, "acceptors": acceptors}
        model = WaiterModel({"version": 2, "waiters": {"Spoken": spoken}})
        create_waiter_with_client("Spoken", model, self.logs).wait(
            logGroupName=group, logStreamNamePrefix=f"{job}/", WaiterConfig=OFTEN
        )

    def training_request(self, name: str, **changes: Any) -> dict[str, Any]:
        """A CreateTrainingJob request for built-in XGBoost; ``changes`` replace members."""
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": xgboost_image(), "TrainingInputMode": "File"},
            "RoleArn": self.role,
            "OutputDataConfig": {"S3OutputPath": self.uri("output")},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **changes,
        }

    def script_request(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        """A CreateTrainingJob request that runs Python text from a channel of its own."""
        code = self.put(f"{name}/code/main.py", script)
        algorithm = {
            "TrainingImage": sklearn_image(),
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/main.py"],
        }
        inputs = [self.channel("code", code), *changes.pop("InputDataConfig", ())]
        return self.training_request(name, AlgorithmSpecification=algorithm, InputDataConfig=inputs, **changes)

    def processing_request(self, name: str, script: str, **changes: Any) -> dict[str, Any]:
        """A CreateProcessingJob request that runs Python text from an input of its own."""
        code = self.put(f"{name}/code/main.py", script)
        entry = ["python3", "/opt/ml/processing/code/main.py"]
        app = {"ImageUri": sklearn_image(), "ContainerEntrypoint": entry, **changes.pop("AppSpecification", {})}
        inputs = [self.processing_input("code", code), *changes.pop("ProcessingInputs", ())]
        cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
        return {
            "ProcessingJobName": name,
            "AppSpecification": app,
            "ProcessingInputs": inputs,
            "ProcessingResources": {"ClusterConfig": cluster},
            "RoleArn": self.role,
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **changes,
        }

    def processing_input(self, name: str, uri: str) -> dict[str, Any]:
        """One entry of ProcessingInputs, at /opt/ml/processing/NAME."""
        source = {
            "S3Uri": uri,
            "LocalPath": f"/opt/ml/processing/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        }
        return {"InputName": name, "S3Input": source}

    def processing_output(self, name: str, uri: str) -> dict[str, Any]:
        """One entry of ProcessingOutputConfig.Outputs, from /opt/ml/processing/NAME."""
        target = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": "EndOfJob"}
        return {"OutputName": name, "S3Output": target}

    def channel(self, name: str, uri: str, content_type: str | None = None) -> dict[str, Any]:
        """One entry of InputDataConfig."""
        source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
        channel: dict[str, Any] = {"ChannelName": name, "DataSource": {"S3DataSource": source}}
        return channel | ({"ContentType": content_type} if content_type else {})


def metrics(described: Mapping[str, Any]) -> dict[str, float]:
    """FinalMetricDataList as a mapping."""
    return {item["MetricName"]: item["Value"] for item in described.get("FinalMetricDataList", ())}


def csv_text(rows: Iterable[Iterable[float]]) -> str:
    """Rows as CSV without a header; every number in full."""
    return "".join(",".join(repr(float(value)) for value in row) + "\n" for row in rows)


def loads(body: bytes) -> Any:
    """JSON."""
    return json.loads(body)


def _wait(waiter: Any, **names: str) -> None:
    try:
        waiter.wait(**names, WaiterConfig=OFTEN)
    except WaiterError as error:
        if "terminal failure state" not in str(error):
            raise  # a failed job is an answer too: the test reads it from Describe


def _read(packed: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = packed.extractfile(member)
    assert stream is not None
    return stream.read()
