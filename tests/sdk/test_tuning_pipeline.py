"""Tuning, Model and Transform steps: the best of a search becomes a model, whose predictions are right."""

from __future__ import annotations

import json
import uuid
from typing import Any

import numpy as np
import xgboost
from sklearn.datasets import load_diabetes

from tests.sdk.cloud import Cloud, csv_text, unique, xgboost_image
from tests.sdk.pipelines import ended, steps_of, until_stopped

FEATURES, TARGET = load_diabetes(return_X_y=True)
TABLE = np.column_stack([TARGET, FEATURES])


def tuning_step(cloud: Cloud, base: str) -> dict[str, Any]:
    """As the SDK compiles it."""
    from sagemaker.core.parameter import CategoricalParameter
    from sagemaker.mlops.workflow.pipeline import Pipeline
    from sagemaker.mlops.workflow.steps import TuningStep
    from sagemaker.train import ModelTrainer
    from sagemaker.train.configs import Compute, InputData, OutputDataConfig
    from sagemaker.train.tuner import HyperparameterTuner

    session = cloud.pipelines
    trainer = ModelTrainer(
        sagemaker_session=session,
        role=cloud.role,
        training_image=xgboost_image(),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        output_data_config=OutputDataConfig(s3_output_path=cloud.uri(base, "output")),
        hyperparameters={"num_round": 5, "objective": "reg:squarederror", "eval_metric": "rmse"},
    )
    tuner = HyperparameterTuner(
        model_trainer=trainer,
        objective_metric_name="validation:rmse",
        objective_type="Minimize",
        hyperparameter_ranges={"max_depth": CategoricalParameter(["1", "2", "4"])},
        strategy="Grid",
        max_jobs=3,
        max_parallel_jobs=2,
    )
    inputs = [
        InputData(
            channel_name=name,
            data_source=cloud.put(f"{base}/{name}.csv", csv_text(rows)),
            content_type="text/csv",
        )
        for name, rows in (("train", TABLE[:200]), ("validation", TABLE[200:]))
    ]
    step = TuningStep(name="Tune", step_args=tuner.tune(inputs=inputs))
    document = json.loads(Pipeline(name=base, steps=[step], sagemaker_session=session).definition())
    (compiled,) = document["Steps"]
    return dict(compiled)


def model_step(cloud: Cloud, base: str) -> dict[str, Any]:
    """A model of the best training job, found as ``TuningStep.get_top_model_s3_uri`` finds it."""
    best = {"Get": "Steps.Tune.TrainingJobSummaries[0].TrainingJobName"}
    url = {"Std:Join": {"On": "/", "Values": [cloud.uri(base, "output"), best, "output/model.tar.gz"]}}
    container = {"Image": xgboost_image(), "ModelDataUrl": url, "Environment": {}}
    return {
        "Name": "Make-Model",
        "Type": "Model",
        "Arguments": {"ExecutionRoleArn": cloud.role, "PrimaryContainer": container},
    }


def transform_step(cloud: Cloud, base: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": cloud.put(f"{base}/rows.csv", csv_text(FEATURES[:10]))}
    arguments = {
        "ModelName": {"Get": "Steps.Make-Model.ModelName"},
        "TransformInput": {"DataSource": {"S3DataSource": source}, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {"S3OutputPath": cloud.uri(base, "predictions"), "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    return {"Name": "Predict", "Type": "Transform", "Arguments": arguments}


def start(cloud: Cloud, name: str, steps: list[dict[str, Any]]) -> Any:
    from sagemaker.mlops.workflow.pipeline import PipelineExecution

    document = {"Version": "2020-12-01", "Parameters": [], "Steps": steps}
    cloud.sagemaker.create_pipeline(
        PipelineName=name,
        PipelineDefinition=json.dumps(document),
        RoleArn=cloud.role,
        ClientRequestToken=uuid.uuid4().hex,
    )
    arn = cloud.sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    return PipelineExecution(arn=arn, sagemaker_session=cloud.session)


def test_the_best_of_a_search_becomes_a_model_and_predicts(cloud: Cloud) -> None:
    base = unique("tuned")
    chain = [tuning_step(cloud, base), model_step(cloud, base), transform_step(cloud, base)]
    execution = start(cloud, base, chain)
    described = ended(execution)
    ran = steps_of(execution)
    assert described["PipelineExecutionStatus"] == "Succeeded", ran
    tuning = ran["Tune"]["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2]
    assert len(tuning) <= 32
    best = cloud.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuning)["BestTrainingJob"]
    trained = cloud.trained(best["TrainingJobName"])
    booster = xgboost.Booster()
    booster.load_model(bytearray(cloud.archive(trained["ModelArtifacts"]["S3ModelArtifacts"])["xgboost-model"]))
    expected = booster.predict(xgboost.DMatrix(FEATURES[:10]))
    written = cloud.get(cloud.uri(base, "predictions", "rows.csv.out"))
    assert [float(line) for line in written.split()] == expected.tolist()
    model = ran["Make-Model"]["Metadata"]["Model"]["Arn"].rpartition("/")[2]
    assert cloud.sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["ModelDataUrl"].endswith(
        f"{best['TrainingJobName']}/output/model.tar.gz"
    )
    job = ran["Predict"]["Metadata"]["TransformJob"]["Arn"].rpartition("/")[2]
    assert cloud.sagemaker.describe_transform_job(TransformJobName=job)["TransformJobStatus"] == "Completed"


def test_a_search_that_fails_fails_its_step(cloud: Cloud) -> None:
    base = unique("tuned")
    step = tuning_step(cloud, base)
    step["Arguments"]["TrainingJobDefinition"]["StaticHyperParameters"]["objective"] = "no:such"
    execution = start(cloud, base, [step])
    assert ended(execution)["PipelineExecutionStatus"] == "Failed"
    assert steps_of(execution)["Tune"]["FailureReason"].startswith(
        "HyperParameterTuningJob failed: All training jobs failed."
    )


def test_stopping_an_execution_stops_its_search(cloud: Cloud) -> None:
    base = unique("tuned")
    step = tuning_step(cloud, base)
    step["Arguments"]["TrainingJobDefinition"]["StaticHyperParameters"]["num_round"] = "30000"
    execution = start(cloud, base, [step])
    execution.stop()
    assert until_stopped(execution)["PipelineExecutionStatus"] == "Stopped"
    ran = steps_of(execution)
    if "Tune" in ran and "Metadata" in ran["Tune"]:  # it may not have begun
        name = ran["Tune"]["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2]
        tuning = cloud.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        assert tuning["HyperParameterTuningJobStatus"] == "Stopped"
