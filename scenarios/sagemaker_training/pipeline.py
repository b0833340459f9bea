"""The pipeline, as a SageMaker user writes it with the SageMaker Python SDK 3.

    Preprocess -> Train -> Evaluate -> CheckMse --(MSE <= MseThreshold)--> RegisterModel
                                          +-----------(otherwise)--------> RejectModel, which fails the execution

Nothing in this file knows where it runs: the session decides that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagemaker.core import image_uris
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import (
    Compute,
    InputData,
    MetricDefinition,
    OutputDataConfig,
    SourceCode,
    StoppingCondition,
)

from scenarios.sagemaker_training.settings import PROCESSING_INSTANCE, TRAINING_INSTANCE, TRAINING_JOBS

XGBOOST = "3.2-0"
SCIKIT_LEARN = "1.9-0"

# How they were chosen, and what that is worth: README.md.
HYPERPARAMETERS = {
    "max_depth": 5,
    "eta": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 100,
    "num_round": 600,
    "early_stopping_rounds": 50,
    "seed": 2013,
}


def metric_regex(split: str) -> str:
    """Finds the model's error on "train" or "validation" (min2) in the last line of train.py."""
    return rf"best_{split}_mse=([0-9.]+);"


@dataclass(frozen=True)
class Parameters:
    """What a start of the pipeline may set."""

    input_data: ParameterString
    mse_threshold: ParameterFloat
    approval_status: ParameterString
    processing_instance: ParameterString
    training_instance: ParameterString

    @classmethod
    def defaults(cls, input_data: str, mse_threshold: float) -> Parameters:
        """The parameters with the values that a start without any gets."""
        return cls(
            input_data=ParameterString("InputDataUrl", default_value=input_data),
            mse_threshold=ParameterFloat("MseThreshold", default_value=mse_threshold),
            approval_status=ParameterString("ModelApprovalStatus", default_value="PendingManualApproval"),
            processing_instance=ParameterString("ProcessingInstanceType", default_value=PROCESSING_INSTANCE),
            training_instance=ParameterString("TrainingInstanceType", default_value=TRAINING_INSTANCE),
        )

    def all(self) -> list[Any]:
        """As the Pipeline takes them."""
        return list(vars(self).values())


@dataclass(frozen=True)
class Builder:
    """What every step needs: the session, the execution role, the scripts' folder and where objects go."""

    session: PipelineSession
    role_arn: str
    jobs: Path  # the folder with preprocess.py, train.py and evaluate.py
    prefix: str  # s3://bucket/prefix: each execution gets a folder of its own below it
    parameters: Parameters
    name: str
    package_group: str
    cache: CacheConfig | None = None  # of the steps that run jobs
    options: Mapping[str, Any] = field(default_factory=dict)  # more of the SDK's Pipeline

    def place(self, *names: str) -> Join:
        """The S3 URI of an output (or a file in it) of the execution."""
        return Join(on="/", values=[self.prefix, ExecutionVariables.PIPELINE_EXECUTION_ID, *names])

    def image(self, framework: str, version: str) -> str:
        """The vendor's image for a framework in the session's region."""
        return str(
            image_uris.retrieve(
                framework,
                self.session.boto_region_name,
                version=version,
                instance_type=TRAINING_INSTANCE,
                py_version="py3",
            )
        )

    def processor(self, image: str, name: str) -> ScriptProcessor:
        """A processor that runs one script on one machine."""
        return ScriptProcessor(
            image_uri=image,
            command=["python3"],
            role=self.role_arn,
            instance_count=1,
            instance_type=self.parameters.processing_instance,
            base_job_name=name,
            sagemaker_session=self.session,
        )

    def received(self, name: str, uri: Any, folder: str) -> ProcessingInput:
        """An S3 prefix as a folder under /opt/ml/processing."""
        return ProcessingInput(
            input_name=name,
            s3_input=ProcessingS3Input(
                s3_uri=uri,
                local_path=f"/opt/ml/processing/{folder}",
                s3_data_type="S3Prefix",
                s3_input_mode="File",
                s3_data_distribution_type="FullyReplicated",
            ),
        )

    def produced(self, name: str) -> ProcessingOutput:
        """A folder under /opt/ml/processing that is uploaded when the job ends."""
        return ProcessingOutput(
            output_name=name,
            s3_output=ProcessingS3Output(
                s3_uri=self.place(name), local_path=f"/opt/ml/processing/{name}", s3_upload_mode="EndOfJob"
            ),
        )

    def preprocess(self) -> ProcessingStep:
        """Join, split by time, encode."""
        return ProcessingStep(
            name="Preprocess",
            step_args=self.processor(self.image("sklearn", SCIKIT_LEARN), "flights-preprocess").run(
                code=str(self.jobs / "preprocess.py"),
                inputs=[self.received("flights", self.parameters.input_data, "input/flights")],
                outputs=[self.produced(name) for name in ("train", "validation", "test", "features")],
            ),
            cache_config=self.cache,
        )

    def train(self, preprocess: ProcessingStep) -> TrainingStep:
        """XGBoost in script mode: the SDK uploads train.py and its own drivers."""
        trainer = ModelTrainer(
            training_image=self.image("xgboost", XGBOOST),
            source_code=SourceCode(source_dir=str(self.jobs), entry_script="train.py"),
            hyperparameters=HYPERPARAMETERS,
            compute=Compute(instance_type=self.parameters.training_instance, instance_count=1, volume_size_in_gb=30),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
            output_data_config=OutputDataConfig(s3_output_path=self.place("model")),
            role=self.role_arn,
            base_job_name=TRAINING_JOBS,
            sagemaker_session=self.session,
        ).with_metric_definitions(
            [MetricDefinition(name=f"{split}:mse", regex=metric_regex(split)) for split in ("train", "validation")]
        )
        outputs = preprocess.properties.ProcessingOutputConfig.Outputs
        channels = [
            InputData(channel_name=name, data_source=outputs[name].S3Output.S3Uri)
            for name in ("train", "validation", "features")
        ]
        return TrainingStep(name="Train", step_args=trainer.train(input_data_config=channels), cache_config=self.cache)

    def evaluate(self, preprocess: ProcessingStep, train: TrainingStep, report: PropertyFile) -> ProcessingStep:
        """Measure the model on months that neither training nor early stopping has seen."""
        test = preprocess.properties.ProcessingOutputConfig.Outputs["test"].S3Output.S3Uri
        return ProcessingStep(
            name="Evaluate",
            step_args=self.processor(self.image("xgboost", XGBOOST), "flights-evaluate").run(
                code=str(self.jobs / "evaluate.py"),
                inputs=[
                    self.received("model", train.properties.ModelArtifacts.S3ModelArtifacts, "model"),
                    self.received("test", test, "test"),
                ],
                outputs=[self.produced("evaluation")],
            ),
            property_files=[report],
            cache_config=self.cache,
        )

    def register(self, train: TrainingStep, evaluate: ProcessingStep) -> ModelStep:
        """A new version in the model package group, with the evaluation as its metrics."""
        model = ModelBuilder(
            s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
            image_uri=self.image("xgboost", XGBOOST),
            role_arn=self.role_arn,
            sagemaker_session=self.session,
        )
        # Where the evaluation's job put it: a cached one did so in an earlier execution's folder.
        folder = evaluate.properties.ProcessingOutputConfig.Outputs["evaluation"].S3Output.S3Uri
        report = Join(on="/", values=[folder, "evaluation.json"])
        evaluation = MetricsSource(s3_uri=report, content_type="application/json")
        return ModelStep(
            name="RegisterModel",
            step_args=model.register(
                model_package_group_name=self.package_group,
                content_types=["text/csv"],
                response_types=["text/csv"],
                inference_instances=["ml.m5.large"],
                transform_instances=["ml.m5.large"],
                approval_status=self.parameters.approval_status,
                model_metrics=ModelMetrics(model_statistics=evaluation),
            ),
        )

    def gate(self, evaluate: ProcessingStep, report: PropertyFile, register: ModelStep) -> ConditionStep:
        """Register a model that is good enough; otherwise fail, and say by how much."""
        mse = JsonGet(step_name=evaluate.name, property_file=report, json_path="regression_metrics.mse.value")
        threshold = self.parameters.mse_threshold
        message = Join(on=" ", values=["The model was not registered: its MSE of", mse, "is above", threshold])
        return ConditionStep(
            name="CheckMse",
            conditions=[ConditionLessThanOrEqualTo(left=mse, right=threshold)],
            if_steps=[register],
            else_steps=[FailStep(name="RejectModel", error_message=message)],
        )

    def pipeline(self) -> Pipeline:
        """The whole, ready for `upsert`. Building it uploads the scripts."""
        report = PropertyFile(name="EvaluationReport", output_name="evaluation", path="evaluation.json")
        preprocess = self.preprocess()
        train = self.train(preprocess)
        evaluate = self.evaluate(preprocess, train, report)
        return Pipeline(
            name=self.name,
            parameters=self.parameters.all(),
            steps=[preprocess, train, evaluate, self.gate(evaluate, report, self.register(train, evaluate))],
            sagemaker_session=self.session,
            **self.options,
        )
