"""What must hold after any number of crashes, read from the public APIs, the data folder and the process table."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from mlparity.engine.tracking import JOB_TAG
from mlparity.testing.stack import RunningStack
from tests.crash import scripts
from tests.crash.workload import DIRECT, GROUP, HEARD, Ledger

_SETTLED_SECONDS = 150.0
_OURS = ("InternalServerError", "Failed to invoke")  # how a failure that is not the program's begins
_KILLED = (
    "AlgorithmError: , exit code: 137",
    "AlgorithmError: See job logs for more information, exit code: 137",
)
_EVENTS = (  # the name and the state in each kind's detail
    ("TrainingJobName", "TrainingJobStatus"),
    ("ProcessingJobName", "ProcessingJobStatus"),
    ("pipelineExecutionArn", "currentPipelineExecutionStatus"),
    ("ModelPackageArn", "ModelApprovalStatus"),
)
_RUN = {"Completed": "FINISHED", "Failed": "FAILED", "Stopped": "KILLED"}


class Checks:
    """Every check adds what is wrong to ``problems``."""

    def __init__(self, stack: RunningStack, ledger: Ledger, *, jobs_killed: bool) -> None:
        """``jobs_killed``: a job's own first process was; that is the job's failure, as out of memory is."""
        self.problems: list[str] = []
        self.succeeded: Counter[str] = Counter()
        self._stack = stack
        self._ledger = ledger
        self._excuses = (*_OURS, *_KILLED) if jobs_killed else _OURS
        self._bucket = stack.config.default_bucket
        self._sagemaker, self._s3 = stack.client("sagemaker"), stack.client("s3")

    def all(self) -> None:
        """Wait until nothing is under way, then look at everything."""
        if not self._wait(self._settled):
            self.problems.append(f"not settled: {self._unsettled()}")
            return
        self._objects()
        self._alone()
        self._executions()
        self._packages()
        if self._stack.mlflow_url and not self._wait(lambda: not self._untrue_runs(), 60.0):
            self.problems += self._untrue_runs()
        if not self._wait(lambda: not self._undelivered(), 30.0):
            self.problems += self._undelivered()

    def _wait(self, holds: Callable[[], bool], seconds: float = _SETTLED_SECONDS) -> bool:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.3)
        return True

    def _settled(self) -> bool:
        return not self._unsettled()

    def _unsettled(self) -> list[str]:
        left = [arn for arn in self._ledger.executions if self._execution(arn) in {"Executing", "Stopping"}]
        for operation, member, name in (
            ("list_training_jobs", "TrainingJobSummaries", "TrainingJobName"),
            ("list_processing_jobs", "ProcessingJobSummaries", "ProcessingJobName"),
        ):
            left += [item[name] for item in self._all(operation, member, StatusEquals="InProgress")]
        return left

    def _execution(self, arn: str) -> str:
        described = self._sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return str(described["PipelineExecutionStatus"])

    def _all(self, operation: str, member: str, **request: Any) -> Iterator[dict[str, Any]]:
        for page in self._sagemaker.get_paginator(operation).paginate(**request):
            yield from page[member]

    def _objects(self) -> None:
        for key, digest in self._ledger.objects.items():
            try:
                body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except self._s3.exceptions.NoSuchKey:
                self.problems.append(f"object {key} was acknowledged and is gone")
                continue
            if hashlib.md5(body, usedforsecurity=False).hexdigest() != digest:
                self.problems.append(f"object {key} has other bytes than acknowledged ({len(body)})")
        for key in self._ledger.deleted:
            if (
                self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1).get("Contents", [{}])[0].get("Key")
                == key
            ):
                self.problems.append(f"object {key} was deleted and is there")

    def _described(self, kind: str, name: str) -> dict[str, Any]:
        describe = getattr(self._sagemaker, f"describe_{kind}_job")
        described: dict[str, Any] = describe(**{f"{kind.title()}JobName": name})
        return described

    def _alone(self) -> None:
        for name in self._ledger.training:
            described = self._described("training", name)
            self._job(name, described, described["TrainingJobStatus"])
            if described["TrainingJobStatus"] == "Completed":
                self._model(name, described["ModelArtifacts"]["S3ModelArtifacts"])
        for name in self._ledger.processing:
            described = self._described("processing", name)
            self._job(name, described, described["ProcessingJobStatus"])
            if described["ProcessingJobStatus"] == "Completed":
                self._rows(name, described["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"])

    def _job(self, name: str, described: dict[str, Any], status: str) -> None:
        self.succeeded["jobs"] += status == "Completed"
        if status != "Completed" and not (status == "Failed" and described["FailureReason"].startswith(self._excuses)):
            self.problems.append(
                f"job {name} is {status}: {described.get('FailureReason') or described.get('ExitMessage')}"
            )

    def _model(self, owner: str, uri: str) -> None:
        try:
            with tarfile.open(fileobj=io.BytesIO(self._get(uri)), mode="r:gz") as archive:
                file = archive.extractfile("model.csv")
                text = file.read().decode() if file is not None else ""
        except Exception as error:  # noqa: BLE001 - any is a finding
            self.problems.append(f"the model of {owner} is not whole: {error!r}")
            return
        if text not in {scripts.trained(), scripts.ROWS}:  # a job of its own has read the rows unsorted
            self.problems.append(f"the model of {owner} has other rows")

    def _rows(self, owner: str, uri: str) -> None:
        try:
            text = self._get(f"{uri}/rows.csv").decode()
        except Exception as error:  # noqa: BLE001 - any is a finding
            self.problems.append(f"the output of {owner} is not there: {error!r}")
            return
        if text != scripts.trained():
            self.problems.append(f"the output of {owner} has other rows")

    def _get(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        body: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def _executions(self) -> None:
        registered = Counter(
            self._sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"])[
                "CustomerMetadataProperties"
            ]["execution"]
            for item in self._versions(GROUP)
        )
        for arn in self._ledger.executions:
            steps = {step["StepName"]: step for step in self._steps(arn)}
            status = self._execution(arn)
            self.succeeded["executions"] += status == "Succeeded"
            self._execution_is_true(arn, status, steps)
            wanted = int(steps.get("register", {}).get("StepStatus") == "Succeeded")
            if registered.pop(arn.rpartition("/")[2], 0) != wanted:
                self.problems.append(f"{arn} should have {wanted} model packages")
        if registered:
            self.problems.append(f"model packages of executions that nobody knows: {registered}")

    def _execution_is_true(self, arn: str, status: str, steps: dict[str, dict[str, Any]]) -> None:
        for name in ("left", "right"):
            if steps.get(name, {}).get("StepStatus") == "Succeeded":
                job = steps[name]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
                described = self._described("training", job)
                self._model(f"{arn} {name}", described["ModelArtifacts"]["S3ModelArtifacts"])
        if steps.get("prepare", {}).get("StepStatus") == "Succeeded":
            self._rows(f"{arn} prepare", f"s3://{self._bucket}/{arn.rpartition('/')[2]}/data")
        if status == "Succeeded":
            wrong = [name for name in steps if name != "bad" and steps[name]["StepStatus"] != "Succeeded"]
            if wrong or "register" not in steps:
                self.problems.append(f"{arn} has succeeded without {wrong or 'register'}")
            return
        reasons = [step.get("FailureReason", "") for step in steps.values() if step["StepStatus"] == "Failed"]
        if (
            status != "Failed"
            or not reasons
            or not all(any(word in reason for word in self._excuses) for reason in reasons)
        ):
            self.problems.append(f"{arn} is {status}: {reasons}")
        active = [name for name in steps if steps[name]["StepStatus"] in {"Executing", "Starting", "Stopping"}]
        if active:
            self.problems.append(f"{arn} is {status}, and {active} go on")

    def _steps(self, arn: str) -> Iterator[dict[str, Any]]:
        return self._all("list_pipeline_execution_steps", "PipelineExecutionSteps", PipelineExecutionArn=arn)

    def _versions(self, group: str) -> list[dict[str, Any]]:
        try:
            return list(self._all("list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=group))
        except self._sagemaker.exceptions.ClientError:
            return []  # no execution has come to its RegisterModel step

    def _packages(self) -> None:
        found = {item["ModelPackageArn"]: item for item in self._versions(DIRECT)}
        numbers = Counter(
            self._sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]["number"]
            for arn in found
        )
        for arn, number in self._ledger.packages.items():
            if arn not in found:
                self.problems.append(f"model package {arn} was acknowledged and is gone")
            if numbers[number] != 1:
                self.problems.append(f"CreateModelPackage number {number} made {numbers[number]} versions")
        if sorted(item["ModelPackageVersion"] for item in found.values()) != list(range(1, len(found) + 1)):
            self.problems.append("the versions of the model package group have gaps")
        for arn, word in self._ledger.approvals.items():
            if found[arn]["ModelApprovalStatus"] != word:
                self.problems.append(f"{arn} was acknowledged as {word} and is {found[arn]['ModelApprovalStatus']}")

    def _untrue_runs(self) -> list[str]:
        """Jobs whose MLflow run says something else, and runs that no job knows."""
        wrong, known = [], {}
        for item in self._all("list_training_jobs", "TrainingJobSummaries"):
            described = self._sagemaker.describe_training_job(TrainingJobName=item["TrainingJobName"])
            run = described.get("MlflowDetails", {}).get("MlflowRunId")
            if run:
                known[run] = (item["TrainingJobName"], described["TrainingJobStatus"])
        for run, tags, status in self._runs():
            if JOB_TAG not in tags:
                continue
            name, job_status = known.pop(run, ("", ""))
            if status == "RUNNING" or (name and status != _RUN[job_status]):
                wrong.append(f"MLflow run {run} of job {name or tags} is {status}; the job is {job_status}")
        return wrong + [f"MLflow run {run} of job {name} is gone" for run, (name, _) in known.items()]

    def _runs(self) -> Iterator[tuple[str, dict[str, str], str]]:
        with httpx.Client(base_url=f"{self._stack.mlflow_url}/api/2.0/mlflow", trust_env=False, timeout=30) as mlflow:
            experiments = mlflow.post("/experiments/search", json={"max_results": 1000}).json()["experiments"]
            body: dict[str, Any] = {
                "experiment_ids": [item["experiment_id"] for item in experiments],
                "max_results": 500,
            }
            while True:
                page = mlflow.post("/runs/search", json=body).json()
                for run in page.get("runs", ()):
                    tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", ())}
                    yield run["info"]["run_id"], tags, run["info"]["status"]
                if not page.get("next_page_token"):
                    return
                body["page_token"] = page["next_page_token"]

    def _undelivered(self) -> list[str]:
        """Ends that the rule's log group has not heard of."""
        heard: set[tuple[Any, Any]] = set()
        for page in self._stack.client("logs").get_paginator("filter_log_events").paginate(logGroupName=HEARD):
            for line in page["events"]:
                detail = json.loads(line["message"])["detail"]
                heard |= {(detail.get(name), detail.get(status)) for name, status in _EVENTS}
        wanted = [(arn, self._execution(arn)) for arn in self._ledger.executions]
        for kind, names in (("training", self._ledger.training), ("processing", self._ledger.processing)):
            wanted += [(name, self._described(kind, name)[f"{kind.title()}JobStatus"]) for name in names]
        wanted += [(arn, "PendingManualApproval") for arn in self._ledger.packages]
        wanted += list(self._ledger.approvals.items())
        return [f"no event says that {name} is {status}" for name, status in wanted if (name, status) not in heard]


def blobs(stack: RunningStack) -> list[str]:
    """Files of the store that no row names, and rows whose file is gone. Only while the stack is down."""
    from sqlalchemy import select

    from mlparity.state import Database
    from mlparity.state.schema.storage import objects, session_chunks, upload_parts

    database = Database.open(stack.config.database_path)
    try:
        with database.read() as connection:
            named = {blob for row in connection.execute(select(objects.c.blobs)) for blob, _ in row.blobs}
            for table in (upload_parts, session_chunks):
                named |= set(connection.scalars(select(table.c.blob)))
    finally:
        database.close()
    files = {path.name for path in stack.config.blobs_dir.rglob("*") if path.is_file()}
    lost = [f"blob {blob} is named and is not there" for blob in named - files]
    return lost + [f"blob {blob} is there and nothing names it" for blob in files - named]


def processes_of(folder: Path) -> dict[int, str]:
    """Every living process that has the folder in its command, its environment or as its directory."""
    text, found = str(folder), {}
    for process in psutil.process_iter():
        try:
            if process.pid == psutil.Process().pid or process.status() == psutil.STATUS_ZOMBIE:
                continue
            command = " ".join(process.cmdline())
            if text in command or text in process.cwd() or any(text in value for value in process.environ().values()):
                found[process.pid] = command[:200]
        except psutil.Error:
            continue
    return found
