"""A client that works on while parts of the stack die, and writes down what it was told had happened."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004

from mlparity.testing.stack import RunningStack
from tests.crash import scripts

GROUP, DIRECT = "crash-pipelines", "crash-direct"
HEARD, RULE = "/aws/events/crash", "crash-rule"
_PART = 5 * 1024 * 1024 + 11
_PATIENCE = 90.0  # seconds for one call: a restart of everything fits in


@dataclass
class Ledger:
    """What was acknowledged."""

    executions: list[str] = field(default_factory=list)  # ARNs
    training: list[str] = field(default_factory=list)
    processing: list[str] = field(default_factory=list)
    objects: dict[str, str] = field(default_factory=dict)  # key -> MD5
    deleted: set[str] = field(default_factory=set)
    packages: dict[str, str] = field(default_factory=dict)  # ARN -> approval; made by CreateModelPackage
    approvals: dict[str, str] = field(default_factory=dict)  # ARN -> approval last acknowledged


class Workload:
    """Threads that call the stack until told to stop; each call is made again until it is answered."""

    def __init__(self, stack: RunningStack, seed: int) -> None:
        self.ledger = Ledger()
        self.problems: list[str] = []
        self._stack = stack
        self._seed = seed
        self._bucket = stack.config.default_bucket
        self._role = stack.config.role_arn
        self._stop = threading.Event()
        kinds = (self._pipelines, self._jobs, self._objects, self._packages)
        self._threads = [threading.Thread(target=self._safely, args=(kind,), name=kind.__name__) for kind in kinds]

    def prepare(self) -> None:
        """What everything else needs; made before anything is killed."""
        sagemaker, s3 = self._stack.client("sagemaker"), self._stack.client("s3")
        s3.put_object(Bucket=self._bucket, Key="raw/rows.csv", Body=scripts.ROWS.encode())
        s3.put_object(Bucket=self._bucket, Key="given/model.tar.gz", Body=b"a model")
        sagemaker.create_model_package_group(ModelPackageGroupName=DIRECT)
        # To a log group: what it has survives a restart, which the messages of a queue do not.
        logs, events = self._stack.client("logs"), self._stack.client("events")
        logs.create_log_group(logGroupName=HEARD)
        arn = logs.describe_log_groups(logGroupNamePrefix=HEARD)["logGroups"][0]["arn"].removesuffix(":*")
        events.put_rule(Name=RULE, EventPattern='{"source": ["aws.sagemaker"]}')
        events.put_targets(Rule=RULE, Targets=[{"Id": "log", "Arn": arn}])
        for retried in (False, True):
            sagemaker.create_pipeline(
                PipelineName=f"crash-{'retried' if retried else 'plain'}",
                PipelineDefinition=scripts.pipeline(self._role, self._bucket, GROUP, retried=retried),
                RoleArn=self._role,
                ClientRequestToken="pipeline".ljust(32, "x"),
            )

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the calls under way, and wait for them."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _safely(self, work: Callable[[random.Random], None]) -> None:
        try:
            work(random.Random(f"{self._seed}-{work.__name__}"))
        except Exception as error:  # noqa: BLE001 - reported with the seed
            self.problems.append(f"{work.__name__}: {error!r}")

    def _pipelines(self, chance: random.Random) -> None:
        sagemaker = self._stack.client("sagemaker")
        number = 0
        while not self._stop.is_set():
            number += 1
            request: dict[str, Any] = {
                "PipelineName": chance.choice(("crash-plain", "crash-retried", "crash-retried")),
                "ClientRequestToken": f"execution-{number}".ljust(32, "x"),
            }
            answer = call(sagemaker.start_pipeline_execution, **request)
            self.ledger.executions.append(answer["PipelineExecutionArn"])
            self._stop.wait(chance.uniform(1.0, 2.5))

    def _jobs(self, chance: random.Random) -> None:
        sagemaker = self._stack.client("sagemaker")
        number = 0
        while not self._stop.is_set():
            number += 1
            raw, out = f"s3://{self._bucket}/raw", f"s3://{self._bucket}/alone"
            if chance.random() < 0.5:
                request = {"TrainingJobName": f"alone-{number}", **scripts.training(self._role, raw, out)}
                call(sagemaker.create_training_job, taken="ResourceInUse", **request)
                self.ledger.training.append(request["TrainingJobName"])
            else:
                made = scripts.processing(self._role, scripts.PREPARE, {"raw": raw}, {"data": f"{out}/{number}"})
                request = {"ProcessingJobName": f"alone-{number}", **made}
                call(sagemaker.create_processing_job, taken="ResourceInUse", **request)
                self.ledger.processing.append(request["ProcessingJobName"])
            self._stop.wait(chance.uniform(0.5, 1.5))

    def _objects(self, chance: random.Random) -> None:
        s3 = self._stack.client("s3")
        number = 0
        while not self._stop.is_set():
            number += 1
            key = f"objects/{number % 40}" if chance.random() < 0.5 else f"objects/new-{number}"
            self.ledger.objects.pop(key, None)  # until it is answered, both are right
            if chance.random() < 0.15:
                data = self._multipart(s3, key, chance)
            else:
                data = chance.randbytes(chance.choice((0, 10, 5000, 300_000)))
                call(s3.put_object, Bucket=self._bucket, Key=key, Body=data)
            self.ledger.deleted.discard(key)
            self.ledger.objects[key] = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if chance.random() < 0.1:
                self.ledger.objects.pop(key)
                call(s3.delete_object, Bucket=self._bucket, Key=key)
                self.ledger.deleted.add(key)
            self._stop.wait(chance.uniform(0.02, 0.2))

    def _multipart(self, s3: Any, key: str, chance: random.Random) -> bytes:
        begun = call(s3.create_multipart_upload, Bucket=self._bucket, Key=key)
        named = {"Bucket": self._bucket, "Key": key, "UploadId": begun["UploadId"]}
        parts, bodies = [], [chance.randbytes(_PART), chance.randbytes(1000)]
        for number, body in enumerate(bodies, 1):
            done = call(s3.upload_part, **named, PartNumber=number, Body=body)
            parts.append({"PartNumber": number, "ETag": done["ETag"]})
        # Completed twice, the second time it is gone: then the first one was it.
        call(s3.complete_multipart_upload, taken="NoSuchUpload", **named, MultipartUpload={"Parts": parts})
        return b"".join(bodies)

    def _packages(self, chance: random.Random) -> None:
        sagemaker = self._stack.client("sagemaker")
        number = 0
        container = {"Image": scripts.IMAGE, "ModelDataUrl": f"s3://{self._bucket}/given/model.tar.gz"}
        inference = {
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        }
        while not self._stop.is_set():
            number += 1
            request: dict[str, Any] = {
                "ModelPackageGroupName": DIRECT,
                "ClientToken": f"package-{number}",
                "InferenceSpecification": inference,
                "ModelApprovalStatus": "PendingManualApproval",
                "CustomerMetadataProperties": {"number": str(number)},
            }
            arn = call(sagemaker.create_model_package, **request)["ModelPackageArn"]
            self.ledger.packages[arn] = str(number)
            if chance.random() < 0.5:
                word = chance.choice(("Approved", "Rejected"))
                change = {"ModelPackageArn": arn, "ModelApprovalStatus": word}
                call(sagemaker.update_model_package, **change)
                self.ledger.approvals[arn] = word
            self._stop.wait(chance.uniform(0.05, 0.4))


def call(operation: Callable[..., Any], taken: str = "", **request: Any) -> Any:
    """Make a call until it is answered. ``taken``: the error that says that an earlier attempt got through."""
    deadline = time.monotonic() + _PATIENCE
    attempts = 0
    while True:
        attempts += 1
        try:
            return operation(**request)
        except ClientError as error:
            code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code == taken and (attempts > 1 or error.response["ResponseMetadata"].get("RetryAttempts")):
                return {}
            if status < 500 or time.monotonic() > deadline:
                raise
        except (ConnectionError, HTTPClientError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)
