"""SageMaker's monitoring on a clock by hand: real analyses in real jobs, endpoints without processes."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from mlparity.apis.sagemaker import monitoring_executions
from mlparity.apis.sagemaker.monitoring_schedules import MonitoringTimer
from mlparity.engine.environments import Environments
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.job_service import JobHost, JobService, Means
from mlparity.engine.jobs import Job
from mlparity.engine.logs import JobLogStore
from mlparity.engine.runtimes import RuntimeMap
from mlparity.engine.sandbox import SandboxExecutor
from mlparity.engine.tracking import Tracking
from mlparity.profiles.locate import shipped
from tests.unit.sagemaker_endpoint_bench import BUCKET, Bench, variant

ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
ROLE = "arn:aws:iam::123456789012:role/r"
RESOURCES = {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 20}}
CAPTURE = {
    "EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": f"s3://{BUCKET}/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}  # fmt: skip
INPUT = {"EndpointInput": {"EndpointName": "flights", "LocalPath": "/opt/ml/processing/input/endpoint"}}


class MonitoringBench(Bench):
    """A ``Bench`` whose jobs run, with the endpoint ``flights`` that captures."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder
        self.ended: list[Job] = []
        self._changed = threading.Condition()
        self._executor = SandboxExecutor(folder / "scratch", self.clock, self.api.ids)
        self.begin()
        self.model("m")
        self.config("m", variant("A", "m"), DataCaptureConfig=CAPTURE)
        self.call("CreateEndpoint", EndpointName="flights", EndpointConfigName="m")

    def begin(self) -> None:
        """Take up the jobs, as a control plane does that starts."""
        folder = self._folder
        repository = JobRepository(self.database, self.clock, self.api.ids)
        means = Means(
            self.store,
            self._executor,
            RuntimeMap.load(shipped("stacks") / "runtimes.yaml"),
            Environments(folder / "environments"),
            JobLogStore(folder / "logs", self.clock),
            Tracking("", repository, self.clock),
            JobHost(folder / "jobs", {}, 2),
        )
        self.jobs = JobService(repository, means, self.clock)
        self.api = replace(self.api, jobs=self.jobs)
        self.jobs.listen(partial(monitoring_executions.on_job, self.api), within=True)
        self.jobs.listen(self._noted)
        self.timer = MonitoringTimer(self.api)
        self.jobs.recover()

    def close(self) -> None:
        """End the jobs, too."""
        self.jobs.close()
        self._executor.close()
        super().close()

    def _noted(self, job: Job) -> None:
        if job.phase.is_final:
            with self._changed:
                self.ended.append(job)
                self._changed.notify_all()

    def wait_for_jobs(self, count: int) -> Job:
        """The last of ``count`` jobs that ended so far."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.ended) >= count, timeout=60)
            assert len(self.ended) == count
            return self.ended[-1]

    def put(self, key: str, content: str) -> str:
        """The URI of a new object."""
        self.store.put_bytes(BUCKET, key, content.encode())
        return f"s3://{BUCKET}/{key}"

    def read(self, uri: str) -> dict[str, Any]:
        """A JSON object."""
        content: dict[str, Any] = json.loads(self.store.get_bytes(*uri.removeprefix("s3://").split("/", 1)))
        return content

    def capture(self, at: datetime, *records: dict[str, Any]) -> None:
        """A file as the endpoint's capture writes it."""
        lines = "".join(json.dumps(record) + "\n" for record in records)
        self.put(f"captured/flights/A/{at:%Y/%m/%d/%H}/{at:%M-%S}-000-{self.api.ids.uuid()}.jsonl", lines)

    def executions(self, schedule: str) -> list[dict[str, Any]]:
        """Newest first."""
        found: list[dict[str, Any]] = self.call("ListMonitoringExecutions", MonitoringScheduleName=schedule)[
            "MonitoringExecutionSummaries"
        ]
        return found

    def definition(self, kind: str, name: str, **changes: Any) -> dict[str, Any]:
        """The request of a job definition."""
        output = {"S3Output": {"S3Uri": f"s3://{BUCKET}/reports", "LocalPath": "/opt/ml/processing/output"}}
        request = {
            "JobDefinitionName": name,
            f"{kind}AppSpecification": {"ImageUri": ANALYZER},
            f"{kind}JobInput": INPUT,
            f"{kind}JobOutputConfig": {"MonitoringOutputs": [output]},
            "JobResources": RESOURCES,
            "RoleArn": ROLE,
        }
        return {**request, **changes}


def record(sent: str, answered: str, at: datetime, event: str = "e", **metadata: str) -> dict[str, Any]:
    """A captured invocation."""
    side = {"observedContentType": "text/csv", "encoding": "CSV"}
    return {
        "captureData": {
            "endpointInput": {**side, "mode": "INPUT", "data": sent},
            "endpointOutput": {**side, "mode": "OUTPUT", "data": answered},
        },
        "eventMetadata": {"eventId": event, "inferenceTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"), **metadata},
        "eventVersion": "0",
    }  # fmt: skip
