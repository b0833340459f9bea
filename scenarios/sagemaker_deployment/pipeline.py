"""The (re)training pipeline: prepare two spans of days, train, evaluate beside the champion, register.

It registers whatever is better than the mean: whether that is good enough is for the loop's gate and a person to say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sagemaker.core import image_uris
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.workflow.conditions import ConditionLessThan
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, StoppingCondition

from scenarios.sagemaker_deployment.names import PACKAGE_GROUP, PIPELINE, WINTER

INSTANCE = "ml.m5.large"
XGBOOST = "3.2-0"
HYPERPARAMETERS = {
    "objective": "reg:squarederror",
    "num_round": 150,
    "max_depth": 6,
    "eta": 0.1,
    "subsample": 0.8,
    "min_child_weight": 50,
    "seed": 2013,
}
_LIBRARY = "/opt/ml/processing/input/library"


class Builder:
    """Builds the pipeline for one session. ``base`` is s3://bucket/prefix; the jobs' scripts lie in ``jobs``."""

    def __init__(self, session: PipelineSession, role_arn: str, jobs: Path, base: str) -> None:
        self._session = session
        self._role = role_arn
        self._jobs = jobs
        self._base = base
        self._days = {name: ParameterString(name, default_value=value) for name, value in WINTER.items()}
        self._champion = ParameterString("ChampionModelUri", default_value=f"{base}/no-champion/")

    def pipeline(self) -> Pipeline:
        """The whole, ready for ``upsert``."""
        report = PropertyFile(name="Report", output_name="evaluation", path="evaluation.json")
        prepare = self._prepare()
        train = self._train(prepare)
        evaluate = self._evaluate(prepare, train, report)
        model, mean = (
            JsonGet(step_name=evaluate.name, property_file=report, json_path=f"{name}.mse.value")
            for name in ("regression_metrics", "baseline_metrics")
        )
        better = ConditionStep(
            name="BetterThanTheMean",
            conditions=[ConditionLessThan(left=model, right=mean)],
            if_steps=[self._register(train)],
            else_steps=[],
        )
        return Pipeline(
            name=PIPELINE,
            parameters=[*self._days.values(), self._champion],
            steps=[prepare, train, evaluate, better],
            sagemaker_session=self._session,
            pipeline_experiment_config=None,
        )

    def image(self) -> str:
        """The vendor's XGBoost image: its built-in algorithm, and the server of its models."""
        return str(image_uris.retrieve("xgboost", self._session.boto_region_name, version=XGBOOST))

    def _place(self, *names: str) -> Join:
        return Join(on="/", values=[self._base, "runs", ExecutionVariables.PIPELINE_EXECUTION_ID, *names])

    def _processor(self, image: str, name: str) -> ScriptProcessor:
        return ScriptProcessor(
            image_uri=image,
            command=["python3"],
            role=self._role,
            instance_count=1,
            instance_type=INSTANCE,
            base_job_name=name,
            env={"PYTHONPATH": _LIBRARY},
            sagemaker_session=self._session,
        )

    def _prepare(self) -> ProcessingStep:
        scikit_learn = image_uris.retrieve("sklearn", self._session.boto_region_name, version="1.4-2")
        arguments: list[Any] = []
        for flag, name in zip(("train-from", "train-to", "test-from", "test-to"), self._days, strict=True):
            arguments += [f"--{flag}", self._days[name]]
        return ProcessingStep(
            name="Prepare",
            step_args=self._processor(scikit_learn, "flights-delay-prepare").run(
                code=str(self._jobs / "prepare.py"),
                inputs=[
                    _received("data", f"{self._base}/data", "input/data"),
                    _received("library", f"{self._base}/library", "input/library"),
                ],
                outputs=[self._produced(name) for name in ("train", "test", "baseline")],
                arguments=arguments,
            ),
        )

    def _train(self, prepare: ProcessingStep) -> TrainingStep:
        trainer = ModelTrainer(
            training_image=self.image(),
            hyperparameters=HYPERPARAMETERS,
            compute=Compute(instance_type=INSTANCE, instance_count=1, volume_size_in_gb=10),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
            output_data_config=OutputDataConfig(s3_output_path=self._place("model")),
            role=self._role,
            base_job_name="flights-delay-train",
            sagemaker_session=self._session,
        )
        data = prepare.properties.ProcessingOutputConfig.Outputs["train"].S3Output.S3Uri
        channel = InputData(channel_name="train", data_source=data, content_type="text/csv")
        return TrainingStep(name="Train", step_args=trainer.train(input_data_config=[channel]))

    def _evaluate(self, prepare: ProcessingStep, train: TrainingStep, report: PropertyFile) -> ProcessingStep:
        test = prepare.properties.ProcessingOutputConfig.Outputs["test"].S3Output.S3Uri
        return ProcessingStep(
            name="Evaluate",
            step_args=self._processor(self.image(), "flights-delay-evaluate").run(
                code=str(self._jobs / "evaluate.py"),
                inputs=[
                    _received("model", train.properties.ModelArtifacts.S3ModelArtifacts, "model"),
                    _received("champion", self._champion, "champion"),
                    _received("test", test, "test"),
                ],
                outputs=[self._produced("evaluation")],
            ),
            property_files=[report],
        )

    def _register(self, train: TrainingStep) -> ModelStep:
        model = ModelBuilder(
            s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
            image_uri=self.image(),
            role_arn=self._role,
            sagemaker_session=self._session,
        )
        report = MetricsSource(s3_uri=self._place("evaluation", "evaluation.json"), content_type="application/json")
        return ModelStep(
            name="Register",
            step_args=model.register(
                model_package_group_name=PACKAGE_GROUP,
                content_types=["text/csv"],
                response_types=["text/csv"],
                inference_instances=[INSTANCE],
                transform_instances=[INSTANCE],
                approval_status="PendingManualApproval",
                model_metrics=ModelMetrics(model_statistics=report),
            ),
        )

    def _produced(self, name: str) -> ProcessingOutput:
        return ProcessingOutput(
            output_name=name,
            s3_output=ProcessingS3Output(
                s3_uri=self._place(name), local_path=f"/opt/ml/processing/{name}", s3_upload_mode="EndOfJob"
            ),
        )


def _received(name: str, uri: Any, folder: str) -> ProcessingInput:
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
