"""Monitoring schedules on a clock by hand: on time, over the right hours, with real analyses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlparity.apis.aws.metrics import ServiceMetric
from mlparity.apis.sagemaker import monitoring_definitions, monitoring_windows, transform_capture
from mlparity.apis.sagemaker.context import Caller
from mlparity.apis.sagemaker.operations import BY_NAME
from mlparity.engine.jobs import Instance, Job, JobSpec, LogStream, NewJob, Phase
from mlparity.monitoring import constraints
from mlparity.monitoring.columns import read_columns
from mlparity.monitoring.datasets import frame_of
from mlparity.monitoring.statistics import statistics
from mlparity.stack.monitoring_metrics import monitoring
from tests.unit.monitoring_bench import INPUT, MonitoringBench, record
from tests.unit.sagemaker_endpoint_bench import BUCKET

HOURLY = {"ScheduleExpression": "cron(0 * ? * * *)"}
BATCH = {
    "BatchTransformInput": {
        "DataCapturedDestinationS3Uri": f"s3://{BUCKET}/batches",
        "LocalPath": "/opt/ml/processing/input",
        "DatasetFormat": {"Csv": {"Header": False}},
    }
}
SPEC = JobSpec("image", [], {}, [Instance("algo-1", LogStream("g", "s"))], [])
NOW = {"ScheduleExpression": "NOW", "DataAnalysisStartTime": "-PT2H", "DataAnalysisEndTime": "PT0H"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoringBench]:
    made = MonitoringBench(tmp_path_factory.mktemp("monitoring"))
    yield made
    made.close()


def baseline(bench: MonitoringBench) -> dict[str, Any]:
    """Of late (0, 1) and delay (0 to 50)."""
    columns = read_columns(frame_of([{"late": i % 2, "delay": i % 51} for i in range(2000)]))
    found = {}
    for member, name, content in (
        ("StatisticsResource", "statistics.json", statistics(columns, 2000)),
        ("ConstraintsResource", "constraints.json", constraints.suggest(columns)),
    ):
        found[member] = {"S3Uri": bench.put(f"baseline/{name}", json.dumps(content))}
    return found


def calls(at: datetime, shift: int) -> list[dict[str, Any]]:
    return [record(f"{i % 51 + shift}", f"{i % 2}", at) for i in range(1000)]


def schedule(kind: str, definition: str, times: dict[str, str]) -> dict[str, Any]:
    return {"ScheduleConfig": times, "MonitoringJobDefinitionName": definition, "MonitoringType": kind}


def define(bench: MonitoringBench, name: str) -> None:
    """A data quality definition with the baseline."""
    request = bench.definition("DataQuality", name, DataQualityBaselineConfig=baseline(bench))
    bench.call("CreateDataQualityJobDefinition", **request)


def test_job_definitions(bench: MonitoringBench) -> None:
    request = bench.definition("DataQuality", "defined", Tags=[{"Key": "a", "Value": "b"}])
    arn = bench.call("CreateDataQualityJobDefinition", **request)["JobDefinitionArn"]
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:data-quality-job-definition/defined"
    assert bench.refused("CreateDataQualityJobDefinition", **request).startswith("ResourceInUse")
    shown = bench.call("DescribeDataQualityJobDefinition", JobDefinitionName="defined")
    assert shown["DataQualityJobInput"] == request["DataQualityJobInput"]
    assert bench.call("ListTags", ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    found = bench.call("ListDataQualityJobDefinitions", EndpointName="flights", NameContains="defined")
    assert [item["MonitoringJobDefinitionName"] for item in found["JobDefinitionSummaries"]] == ["defined"]
    told = bench.refused("DescribeModelQualityJobDefinition", JobDefinitionName="defined")
    assert told.startswith("ResourceNotFound")
    bench.call("DeleteDataQualityJobDefinition", JobDefinitionName="defined")
    assert bench.call("ListDataQualityJobDefinitions", NameContains="defined")["JobDefinitionSummaries"] == []


def test_an_hourly_schedule_finds_drift_and_says_so(bench: MonitoringBench) -> None:
    define(bench, "data")
    done = len(bench.ended)
    begun = bench.clock.now()  # a full hour
    bench.capture(begun, *calls(begun + timedelta(minutes=5), 0))
    bench.capture(begun + timedelta(hours=1), *calls(begun + timedelta(minutes=65), 20))
    config = schedule("DataQuality", "data", HOURLY)
    bench.call("CreateMonitoringSchedule", MonitoringScheduleName="hourly", MonitoringScheduleConfig=config)
    assert bench.timer.next_due() == begun + timedelta(hours=1)
    bench.clock.advance(3599)
    bench.timer.run_due()
    assert bench.executions("hourly") == []
    bench.clock.advance(1)
    bench.timer.run_due()
    job = bench.wait_for_jobs(done + 1)
    (first,) = bench.executions("hourly")
    assert (first["MonitoringExecutionStatus"], first["ScheduledTime"]) == ("Completed", begun + timedelta(hours=1))
    assert first["ProcessingJobArn"].endswith(f"processing-job/{job.name}")
    shown = bench.call("DescribeProcessingJob", ProcessingJobName=job.name)
    assert shown["MonitoringScheduleArn"].endswith("monitoring-schedule/hourly")
    assert shown["ExitMessage"] == "Completed: Job completed successfully with no violations."
    assert [item["InputName"] for item in shown["ProcessingInputs"]] == ["endpoint_input_1", "baseline", "constraints"]
    assert alert(bench, "hourly") == "OK"

    bench.clock.advance(3600)
    bench.timer.run_due()
    job = bench.wait_for_jobs(done + 2)
    second, _ = bench.executions("hourly")
    assert second["MonitoringExecutionStatus"] == "CompletedWithViolations"
    assert second["FailureReason"] == "CompletedWithViolations: Job completed successfully with 1 violations."
    uri = f"s3://{BUCKET}/reports/flights/hourly/{begun + timedelta(hours=2):%Y/%m/%d/%H}"
    (violation,) = bench.read(f"{uri}/constraint_violations.json")["violations"]
    assert (violation["feature_name"], violation["constraint_check_type"]) == ("delay", "baseline_drift_check")
    assert bench.read(f"{uri}/statistics.json")["dataset"]["item_count"] == 1000
    assert alert(bench, "hourly") == "InAlert"
    (change,) = bench.call("ListMonitoringAlertHistory", MonitoringScheduleName="hourly")["MonitoringAlertHistory"]
    assert change["AlertStatus"] == "InAlert"
    bench.call("DeleteMonitoringSchedule", MonitoringScheduleName="hourly")
    assert len(bench.executions("hourly")) == 2  # as SageMaker keeps them

    told = [event for event in bench.events if event.detail_type == "SageMaker Monitoring Schedule State Change"]
    ours = [event.detail for event in told if event.detail["MonitoringScheduleName"] == "hourly"]
    words = [detail.get("LastMonitoringExecutionSummary", {}).get("MonitoringExecutionStatus") for detail in ours]
    assert words == [None, "InProgress", "Completed", "InProgress", "CompletedWithViolations"]

    metrics = published(job)
    drift = metrics["feature_baseline_drift_delay"]
    assert drift.namespace == "aws/sagemaker/Endpoints/data-metrics"
    assert drift.dimensions == {"Endpoint": "flights", "MonitoringSchedule": "hourly"}
    assert drift.at == begun + timedelta(hours=2)
    # 20 of 51 values moved on: 20/51 apart, less what chance explains.
    assert drift.value == pytest.approx(20 / 51 - 1.8 * np.sqrt(3000 / 2_000_000), abs=0.01)
    assert metrics["feature_data_delay"].datum().high == 70


def alert(bench: MonitoringBench, schedule: str) -> Any:
    (found,) = bench.call("ListMonitoringAlerts", MonitoringScheduleName=schedule)["MonitoringAlertSummaries"]
    return found["AlertStatus"]


def published(job: Job) -> dict[str, ServiceMetric]:
    """What a job's metrics file becomes."""
    found: list[ServiceMetric] = []
    monitoring(found.extend)(job)
    return {metric.name: metric for metric in found}


def test_hours_without_data_a_stack_that_was_down_and_stopping(bench: MonitoringBench) -> None:
    define(bench, "empty")
    done = len(bench.ended)
    begun = bench.clock.now()
    config = schedule("DataQuality", "empty", HOURLY)
    bench.call("CreateMonitoringSchedule", MonitoringScheduleName="empty", MonitoringScheduleConfig=config)
    told = bench.refused("CreateMonitoringSchedule", MonitoringScheduleName="empty", MonitoringScheduleConfig=config)
    assert told.startswith("ResourceInUse")
    bench.clock.advance(3600)
    bench.timer.run_due()
    shown = bench.call("DescribeMonitoringSchedule", MonitoringScheduleName="empty")
    last = shown["LastMonitoringExecutionSummary"]
    assert (last["MonitoringExecutionStatus"], last["FailureReason"]) == ("Failed", "Job inputs had no data")
    assert "ProcessingJobArn" not in last
    assert len(bench.ended) == done
    bench.clock.advance(10 * 3600)  # the stack was down: the last run is made up for
    bench.timer.run_due()
    assert [item["ScheduledTime"] for item in bench.executions("empty")] == [
        begun + timedelta(hours=11), begun + timedelta(hours=1)
    ]  # fmt: skip
    page = bench.call("ListMonitoringExecutions", MonitoringScheduleName="empty", MaxResults=1, StatusEquals="Failed")
    rest = bench.call(
        "ListMonitoringExecutions", MonitoringScheduleName="empty", MaxResults=1, NextToken=page["NextToken"]
    )
    assert rest["MonitoringExecutionSummaries"][0]["ScheduledTime"] == begun + timedelta(hours=1)
    bench.call("StopMonitoringSchedule", MonitoringScheduleName="empty")
    assert bench.timer.next_due() is None
    bench.call("UpdateMonitoringSchedule", MonitoringScheduleName="empty", MonitoringScheduleConfig=config)
    assert bench.timer.next_due() is None
    bench.call("StartMonitoringSchedule", MonitoringScheduleName="empty")
    assert bench.timer.next_due() == bench.clock.now() + timedelta(hours=1)
    daily = {**config, "ScheduleConfig": {"ScheduleExpression": "cron(0 0 ? * * *)"}}
    bench.call("UpdateMonitoringSchedule", MonitoringScheduleName="empty", MonitoringScheduleConfig=daily)
    assert bench.timer.next_due() == datetime(2026, 1, bench.clock.now().day + 1, tzinfo=UTC)
    found = bench.call("ListMonitoringSchedules", EndpointName="flights", NameContains="empty")
    assert [item["MonitoringScheduleStatus"] for item in found["MonitoringScheduleSummaries"]] == ["Scheduled"]
    bench.call("DeleteMonitoringSchedule", MonitoringScheduleName="empty")
    assert bench.refused("DescribeMonitoringSchedule", MonitoringScheduleName="empty").startswith("ResourceNotFound")


def test_executions_after_a_restart(tmp_path: Path) -> None:
    bench = MonitoringBench(tmp_path)
    define(bench, "data")
    bench.capture(bench.clock.now(), *calls(bench.clock.now(), 0))
    config = schedule("DataQuality", "data", HOURLY)
    bench.call("CreateMonitoringSchedule", MonitoringScheduleName="s", MonitoringScheduleConfig=config)
    bench.jobs.close()
    bench.clock.advance(3600)
    bench.timer.run_due()
    (execution,) = bench.executions("s")
    assert execution["MonitoringExecutionStatus"] == "Pending"
    bench.begin()
    bench.timer.run_due()  # the same time is not run again
    bench.wait_for_jobs(1)
    (execution,) = bench.executions("s")
    assert execution["MonitoringExecutionStatus"] == "Completed"

    bench.capture(bench.clock.now(), *calls(bench.clock.now(), 0))
    bench.jobs.close()
    bench.clock.advance(3600)
    bench.timer.run_due()
    (job,) = bench.jobs.repository.active()
    bench.jobs.repository.enter(job.id, Phase.RUNNING)  # and then it was killed
    bench.begin()
    bench.wait_for_jobs(2)
    execution, _ = bench.executions("s")
    assert execution["MonitoringExecutionStatus"] == "Failed"
    assert "was stopped or killed while the job ran" in execution["FailureReason"]
    bench.close()


def test_model_quality_on_demand_merges_the_truth_first(bench: MonitoringBench) -> None:
    bench.clock.advance(10 * 3600)  # away from what other tests captured
    now = bench.clock.now()
    done = len(bench.ended)
    bench.capture(now - timedelta(hours=1), *[
        record("1", f"{i}", now - timedelta(minutes=30), f"event-{i}", inferenceId=f"flight-{i}") for i in range(40)
    ])  # fmt: skip
    truth = "".join(
        f'{{"groundTruthData": {{"data": "{i + 3}", "encoding": "CSV"}}, "eventMetadata": {{"eventId": "flight-{i}"}}, '
        '"eventVersion": "0"}\n'
        for i in range(30)
    )
    bench.put(f"truth/{now - timedelta(hours=1):%Y/%m/%d/%H}/t.jsonl", truth)
    limits = {"rmse": {"threshold": 2.5, "comparison_operator": "GreaterThanThreshold"}}
    uri = bench.put("quality/constraints.json", json.dumps({"version": 0.0, "regression_constraints": limits}))
    request = bench.definition(
        "ModelQuality",
        "model",
        ModelQualityAppSpecification={
            "ImageUri": bench.definition("ModelQuality", "x")["ModelQualityAppSpecification"]["ImageUri"],
            "ProblemType": "Regression",
        },
        ModelQualityBaselineConfig={"ConstraintsResource": {"S3Uri": uri}},
        ModelQualityJobInput={
            "EndpointInput": {**INPUT["EndpointInput"], "InferenceAttribute": "0"},
            "GroundTruthS3Input": {"S3Uri": f"s3://{BUCKET}/truth"},
        },
    )
    bench.call("CreateModelQualityJobDefinition", **request)
    config = schedule("ModelQuality", "model", NOW)
    bench.call("CreateMonitoringSchedule", MonitoringScheduleName="quality", MonitoringScheduleConfig=config)
    assert bench.timer.next_due() is None
    bench.wait_for_jobs(done + 2)
    merged, analysed = bench.ended[-2:]
    assert merged.name.startswith("groundtruth-merge-")
    assert merged.results["message"] == "Completed: 30 of 40 captured records were merged with ground truth."
    assert analysed.name.startswith("model-quality-monitoring-")
    (execution,) = bench.executions("quality")
    assert execution["MonitoringExecutionStatus"] == "CompletedWithViolations"
    assert execution["MonitoringType"] == "ModelQuality"
    report = f"s3://{BUCKET}/reports/flights/quality/{now:%Y/%m/%d/%H}"
    scores = bench.read(f"{report}/statistics.json")["regression_metrics"]
    assert (scores["rmse"]["value"], scores["mae"]["value"]) == (3.0, 3.0)
    (violation,) = bench.read(f"{report}/constraint_violations.json")["violations"]
    assert violation["description"] == "Metric rmse with 3.0 +/- NaN was GreaterThanThreshold '2.5'"
    published: list[Any] = []
    monitoring(published.extend)(analysed)
    assert {(metric.namespace, metric.name) for metric in published} >= {
        ("aws/sagemaker/Endpoints/model-metrics", "r2")
    }
    monitoring(published.extend)(merged)

    bench.call("StartMonitoringSchedule", MonitoringScheduleName="quality")  # once more, at once
    bench.wait_for_jobs(done + 4)
    assert len(bench.executions("quality")) == 2


def test_batch_transform_leaves_manifests_that_a_schedule_reads(bench: MonitoringBench) -> None:
    bench.clock.advance(10 * 3600)
    for name, shift in (("a", 0), ("b/c", 20)):
        bench.put(f"batch/{name}.csv", "".join(f"{i % 2},{i % 51 + shift}\n" for i in range(1000)))
    request = {
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/batch"}}},
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/answers"},
        "DataCaptureConfig": {"DestinationS3Uri": BATCH["BatchTransformInput"]["DataCapturedDestinationS3Uri"]},
    }
    jobs = bench.jobs.repository
    ended = jobs.enter(jobs.create(NewJob("sagemaker", "TransformJob", "t", request, SPEC)).id, Phase.COMPLETED)
    transform_capture.on_job(bench.api, ended)
    hour = f"{bench.clock.now():%Y/%m/%d/%H}"
    manifests: dict[str, Any] = {
        side: bench.read(f"s3://{BUCKET}/batches/{side}/{hour}/{ended.id}.json") for side in ("input", "output")
    }
    assert manifests["input"] == [{"prefix": f"s3://{BUCKET}/batch/"}, "a.csv", "b/c.csv"]
    assert manifests["output"] == [{"prefix": f"s3://{BUCKET}/answers/"}, "a.csv.out", "b/c.csv.out"]

    definition = bench.definition(
        "DataQuality", "batch", DataQualityJobInput=BATCH, DataQualityBaselineConfig=baseline(bench)
    )
    bench.call("CreateDataQualityJobDefinition", **definition)
    listed = monitoring_definitions.list_("DataQuality", bench.api, {"NameContains": "batch"}, Caller("", ""))
    wrong = bench.api.model.check_response("ListDataQualityJobDefinitions", listed)
    assert [item.path for item in wrong] == ["jobDefinitionSummaries.1.member.endpointName"]
    assert BY_NAME["ListDataQualityJobDefinitions"].excuses(wrong[0].path)
    done = len(bench.ended)
    times = {**NOW, "DataAnalysisEndTime": "PT1M"}
    config = schedule("DataQuality", "batch", times)
    bench.call("CreateMonitoringSchedule", MonitoringScheduleName="batch", MonitoringScheduleConfig=config)
    job = bench.wait_for_jobs(done + 1)
    (execution,) = bench.executions("batch")
    assert execution["MonitoringExecutionStatus"] == "CompletedWithViolations", execution
    assert "EndpointName" not in execution
    report = f"s3://{BUCKET}/reports/batch/{hour}"
    assert bench.read(f"{report}/statistics.json")["dataset"]["item_count"] == 2000
    (violation,) = bench.read(f"{report}/constraint_violations.json")["violations"]
    assert violation["feature_name"] == "delay"
    drift = published(job)["feature_baseline_drift_delay"]
    assert drift.namespace == "aws/sagemaker/ModelMonitoring/data-metrics"
    assert drift.dimensions == {"MonitoringSchedule": "batch"}


def test_what_is_refused(bench: MonitoringBench) -> None:
    absent = {"EndpointInput": {"EndpointName": "nobody", "LocalPath": "/opt/ml/processing/x"}}
    told = bench.refused(
        "CreateDataQualityJobDefinition", **bench.definition("DataQuality", "x", DataQualityJobInput=absent)
    )
    assert told.startswith('ValidationException: Could not find endpoint "arn:aws:sagemaker')
    bench.endpoint("silent")
    silent = {"EndpointInput": {"EndpointName": "silent", "LocalPath": "/opt/ml/processing/x"}}
    told = bench.refused(
        "CreateDataQualityJobDefinition", **bench.definition("DataQuality", "x", DataQualityJobInput=silent)
    )
    assert told.endswith("does not have data capture enabled.")
    both = {**INPUT, **BATCH}
    told = bench.refused(
        "CreateDataQualityJobDefinition", **bench.definition("DataQuality", "x", DataQualityJobInput=both)
    )
    assert "Exactly one of EndpointInput and BatchTransformInput" in told
    late = {**BATCH, "GroundTruthS3Input": {"S3Uri": "s3://b/t"}}
    told = bench.refused(
        "CreateModelQualityJobDefinition", **bench.definition("ModelQuality", "x", ModelQualityJobInput=late)
    )
    assert "BatchTransformInput of MonitoringType ModelQuality is not supported by mlparity" in told
    for config, reason in (
        (schedule("DataQuality", "absent", HOURLY), "Job Definition"),
        (schedule("ModelBias", "absent", HOURLY), "MonitoringType ModelBias is not supported"),
        ({"ScheduleConfig": HOURLY}, "Exactly one of MonitoringJobDefinition and"),
    ):
        told = bench.refused("CreateMonitoringSchedule", MonitoringScheduleName="x", MonitoringScheduleConfig=config)
        assert reason in told


def test_windows_and_times() -> None:
    at = datetime(2026, 3, 4, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    window = monitoring_windows.window(HOURLY, {}, at)
    assert (window.start, window.end) == (at - hour, at)
    assert list(window.hours()) == [at - hour]
    daily = monitoring_windows.window({"ScheduleExpression": "cron(0 12 ? * * *)"}, {}, at)
    assert (daily.start, daily.end) == (at - 24 * hour, at)
    late = monitoring_windows.window(HOURLY, {"StartTimeOffset": "-P1D", "EndTimeOffset": "-PT6H"}, at)
    assert (late.start, late.end) == (at - 25 * hour, at - 6 * hour)
    odd = monitoring_windows.window({**NOW, "DataAnalysisStartTime": "-PT90M"}, {}, at + timedelta(minutes=10))
    assert list(odd.hours()) == [at - 2 * hour, at - hour, at]
    for text, reason in (("PT", "offset"), ("an hour", "offset")):
        with pytest.raises(Exception, match=reason):
            monitoring_windows.offset(text)
    for config, reason in (
        ({"ScheduleExpression": "NOW"}, "required for a one time"),
        ({"ScheduleExpression": "rate(1 hour)"}, "Invalid schedule expression"),
        ({"ScheduleExpression": "cron(0 99 ? * * *)"}, "not between"),
        ({**NOW, "DataAnalysisEndTime": "-PT3H"}, "must be before"),
    ):
        with pytest.raises(Exception, match=reason):
            monitoring_windows.check(config)


def test_many_hours_become_days(bench: MonitoringBench, tmp_path: Path) -> None:
    from mlparity.apis.sagemaker.monitoring_capture import hour_folders

    start = datetime(2030, 1, 1, tzinfo=UTC)
    for hours in range(0, 40, 2):
        bench.put(f"many/e/v/{start + timedelta(hours=hours):%Y/%m/%d/%H}/a.jsonl", "{}")
    found = hour_folders(bench.api, f"s3://{BUCKET}/many", ["e/v"], [start + timedelta(hours=i) for i in range(40)])
    assert [folder.path for folder in found] == ["e/v/2030/01/01", "e/v/2030/01/02"]
    few = hour_folders(bench.api, f"s3://{BUCKET}/many", ["e/v"], [start + timedelta(hours=i) for i in range(4)])
    assert [folder.uri for folder in few] == [f"s3://{BUCKET}/many/e/v/2030/01/01/{hour:02}/" for hour in (0, 2)]
