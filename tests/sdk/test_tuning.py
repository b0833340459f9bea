"""Tuning: the jobs that a strategy asks for run, and the best of them is the best there is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from sklearn.datasets import load_diabetes

from tests.sdk.cloud import OFTEN, Cloud, csv_text, metrics, unique, xgboost_image

FEATURES, TARGET = load_diabetes(return_X_y=True)


def request(cloud: Cloud, strategy: str, jobs: int | None, **changes: Any) -> dict[str, Any]:
    """A CreateHyperParameterTuningJob request with built-in XGBoost."""
    name = unique("tune")
    data = cloud.put(f"{name}/train.csv", csv_text(np.column_stack([TARGET, FEATURES])[:200]))
    held_out = cloud.put(f"{name}/validation.csv", csv_text(np.column_stack([TARGET, FEATURES])[200:]))
    training = cloud.training_request(
        "unused",
        InputDataConfig=[cloud.channel("train", data, "text/csv"), cloud.channel("validation", held_out, "text/csv")],
    )
    algorithm = training.pop("AlgorithmSpecification")
    del training["TrainingJobName"]
    static = {"num_round": "5", "objective": "reg:squarederror", "eval_metric": "rmse", **changes.pop("static", {})}
    limits = {"MaxParallelTrainingJobs": 2} | ({"MaxNumberOfTrainingJobs": jobs} if jobs else {})
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "validation:rmse"},
            "ResourceLimits": limits,
            "ParameterRanges": changes.pop("ranges"),
            **changes.pop("config", {}),
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": static,
            "AlgorithmSpecification": algorithm,
            **training,
            **changes.pop("definition", {}),
        },
        **changes,
    }


def wait(cloud: Cloud, name: str) -> dict[str, Any]:
    """Describe once it has ended; the vendor has no waiter for it, so this is one by the vendor's means."""
    import botocore.waiter

    status = {"matcher": "path", "state": "success", "argument": "HyperParameterTuningJobStatus"}
    acceptors = [{**status, "expected": end} for end in ("Completed", "Failed", "Stopped")]
    waiter = {"operation": "DescribeHyperParameterTuningJob", "delay": 1, "maxAttempts": 60, "acceptors": acceptors}
    model = botocore.waiter.WaiterModel({"version": 2, "waiters": {"Ended": waiter}})
    botocore.waiter.create_waiter_with_client("Ended", model, cloud.sagemaker).wait(
        HyperParameterTuningJobName=name, WaiterConfig=OFTEN
    )
    described: dict[str, Any] = cloud.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    return described


def tuned(cloud: Cloud, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run a tuning job to its end; what Describe says, and its training jobs by name."""
    cloud.sagemaker.create_hyper_parameter_tuning_job(**wanted)
    name = wanted["HyperParameterTuningJobName"]
    described = wait(cloud, name)
    return described, training_jobs(cloud, name)


def training_jobs(cloud: Cloud, name: str, **wanted: Any) -> list[dict[str, Any]]:
    pages = cloud.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, PaginationConfig={"PageSize": 2}, **wanted
    )
    return [item for page in pages for item in page["TrainingJobSummaries"]]


def value(summary: dict[str, Any]) -> float:
    return float(summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def test_a_grid_covers_the_product_and_names_its_best(cloud: Cloud) -> None:
    grid = {"max_depth": ["1", "3"], "eta": ["0.1", "0.5", "0.9"]}
    ranges = {"CategoricalParameterRanges": [{"Name": name, "Values": values} for name, values in grid.items()]}
    wanted = request(cloud, "Grid", None, ranges=ranges, Tags=[{"Key": "k", "Value": "v"}])
    described, jobs = tuned(cloud, wanted)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"] == {
        "Completed": 6,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert described["ObjectiveStatusCounters"] == {"Succeeded": 6, "Pending": 0, "Failed": 0}
    tried = {tuple(job["TunedHyperParameters"][name] for name in grid) for job in jobs}
    assert tried == set(itertools.product(*grid.values()))
    champion = min(jobs, key=value)
    assert described["BestTrainingJob"] == champion
    assert len({value(job) for job in jobs}) == 6
    _check_training_job(cloud, wanted, champion)
    ranked = training_jobs(cloud, wanted["HyperParameterTuningJobName"], SortBy="FinalObjectiveMetricValue")
    assert [value(job) for job in ranked] == sorted(value(job) for job in jobs)


def _check_training_job(cloud: Cloud, wanted: dict[str, Any], champion: dict[str, Any]) -> None:
    name = champion["TrainingJobName"]
    assert name.startswith(f"{wanted['HyperParameterTuningJobName']}-00")
    training = cloud.sagemaker.describe_training_job(TrainingJobName=name)
    assert training["TuningJobArn"].endswith(f"hyper-parameter-tuning-job/{wanted['HyperParameterTuningJobName']}")
    assert metrics(training)["validation:rmse"] == value(champion)
    static = wanted["TrainingJobDefinition"]["StaticHyperParameters"]
    assert training["HyperParameters"] == {
        **static,
        **champion["TunedHyperParameters"],
        "_tuning_objective_metric": "validation:rmse",
    }
    assert cloud.sagemaker.list_tags(ResourceArn=training["TrainingJobArn"])["Tags"] == wanted["Tags"]
    assert "model.tar.gz" in cloud.keys(training["ModelArtifacts"]["S3ModelArtifacts"].rsplit("/", 1)[0])


RANGES = {
    "ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.01", "MaxValue": "0.9", "ScalingType": "Logarithmic"}],
    "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "1", "MaxValue": "5"}],
}


def test_random_repeats_with_its_seed(cloud: Cloud) -> None:
    tried = []
    for seed in (7, 7, 8):
        described, jobs = tuned(cloud, request(cloud, "Random", 3, ranges=RANGES, config={"RandomSeed": seed}))
        assert described["HyperParameterTuningJobStatus"] == "Completed"
        tried.append([(job["TunedHyperParameters"], value(job)) for job in jobs])
    assert tried[0] == tried[1]
    assert tried[0] != tried[2]
    for values, _ in tried[0]:
        assert 0.01 <= float(values["eta"]) <= 0.9
        assert values["max_depth"] in "12345"


def test_the_sdks_tuner_finds_the_best_job(cloud: Cloud) -> None:
    from sagemaker.core.parameter import ContinuousParameter, IntegerParameter
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData, OutputDataConfig
    from sagemaker.train.tuner import HyperparameterTuner

    base = unique("sdk")
    table = np.column_stack([TARGET, FEATURES])
    trainer = ModelTrainer(
        sagemaker_session=cloud.session,
        role=cloud.role,
        training_image=xgboost_image(),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=cloud.uri(base, "output")),
        hyperparameters={"num_round": 5, "objective": "reg:squarederror", "eval_metric": "rmse"},
        base_job_name=base,
    )
    tuner = HyperparameterTuner(
        model_trainer=trainer,
        objective_metric_name="validation:rmse",
        objective_type="Minimize",
        hyperparameter_ranges={
            "eta": ContinuousParameter(0.05, 0.9, scaling_type="Logarithmic"),
            "max_depth": IntegerParameter(1, 5),
        },
        strategy="Bayesian",
        max_jobs=6,
        max_parallel_jobs=2,
        random_seed=3,
    )
    inputs = [
        InputData(
            channel_name="train",
            data_source=cloud.put(f"{base}/train.csv", csv_text(table[:200])),
            content_type="text/csv",
        ),
        InputData(
            channel_name="validation",
            data_source=cloud.put(f"{base}/validation.csv", csv_text(table[200:])),
            content_type="text/csv",
        ),
    ]
    name = f"{base}-t"[:32]
    tuner.tune(inputs=inputs, job_name=name, wait=False)
    described = wait(cloud, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    jobs = training_jobs(cloud, name)
    assert len(jobs) == 6
    assert tuner.best_training_job() == min(jobs, key=value)["TrainingJobName"]


def test_it_ends_when_the_target_is_reached(cloud: Cloud) -> None:
    grid = [{"Name": "max_depth", "Values": ["1", "2", "3", "4", "5"]}]
    config = {
        "TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 10_000.0},
        "ResourceLimits": {"MaxParallelTrainingJobs": 1},
    }
    described, jobs = tuned(
        cloud, request(cloud, "Grid", None, ranges={"CategoricalParameterRanges": grid}, config=config)
    )
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert len(jobs) == 1


def test_jobs_that_fail_are_counted_and_all_failed_is_a_failure(cloud: Cloud) -> None:
    grid = {"CategoricalParameterRanges": [{"Name": "max_depth", "Values": ["1", "2", "-1"]}]}
    described, jobs = tuned(cloud, request(cloud, "Grid", None, ranges=grid))
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"]["NonRetryableError"] == 1
    failed = [job for job in jobs if job["TrainingJobStatus"] == "Failed"]
    assert [job["TunedHyperParameters"]["max_depth"] for job in failed] == ["-1"]
    assert failed[0]["ObjectiveStatus"] == "Failed"
    assert "AlgorithmError" in failed[0]["FailureReason"]
    grid = {"CategoricalParameterRanges": [{"Name": "max_depth", "Values": ["-1", "-2"]}]}
    described, _ = tuned(cloud, request(cloud, "Grid", None, ranges=grid))
    assert described["HyperParameterTuningJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("All training jobs failed.")
    assert "BestTrainingJob" not in described


def test_a_warm_start_learns_from_its_parent(cloud: Cloud) -> None:
    parent, _ = tuned(cloud, request(cloud, "Random", 3, ranges=RANGES, config={"RandomSeed": 1}))
    name = parent["HyperParameterTuningJobName"]
    warm = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": name}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    described, jobs = tuned(cloud, request(cloud, "Bayesian", 2, ranges=RANGES, WarmStartConfig=warm))
    overall = min(value(described["BestTrainingJob"]), value(parent["BestTrainingJob"]))
    assert value(described["OverallBestTrainingJob"]) == overall
    assert described["OverallBestTrainingJob"]["TuningJobName"] in {name, described["HyperParameterTuningJobName"]}
    assert len(jobs) == 2


def test_a_running_tuning_stops_lists_and_is_deleted(cloud: Cloud) -> None:
    wanted = request(cloud, "Random", 50, ranges=RANGES, static={"num_round": "20000"})
    name = wanted["HyperParameterTuningJobName"]
    arn = cloud.sagemaker.create_hyper_parameter_tuning_job(**wanted)["HyperParameterTuningJobArn"]
    with pytest.raises(ClientError, match="ResourceInUse"):
        cloud.sagemaker.create_hyper_parameter_tuning_job(**wanted)
    listed = cloud.sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name, StatusEquals="InProgress")
    assert [job["Strategy"] for job in listed["HyperParameterTuningJobSummaries"]] == ["Random"]
    cloud.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    described = wait(cloud, name)
    assert described["HyperParameterTuningJobStatus"] == "Stopped"
    assert described["TrainingJobStatusCounters"]["InProgress"] == 0
    jobs = training_jobs(cloud, name)
    assert len(jobs) <= 2
    with pytest.raises(ClientError, match="is in status Stopped"):
        cloud.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    cloud.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        cloud.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


@pytest.mark.parametrize(
    ("strategy", "changes", "message"),
    [
        ("Hyperband", {}, "Strategy Hyperband is not supported by mlparity"),
        ("Random", {"Autotune": {"Mode": "Enabled"}}, "Autotune is not supported by mlparity"),
        ("Random", {"config": {"TrainingJobEarlyStoppingType": "Auto"}}, "EarlyStoppingType Auto is not supported"),
        ("Grid", {}, "only supports categorical"),
        (
            "Random",
            {"config": {"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "no:such"}}},
            "is not among the metric definitions",
        ),
        ("Random", {"static": {"eta": "1"}}, "given more than once"),
    ],
)
def test_what_cannot_be_is_refused(cloud: Cloud, strategy: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        cloud.sagemaker.create_hyper_parameter_tuning_job(**request(cloud, strategy, 4, ranges=RANGES, **changes))
