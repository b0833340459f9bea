"""How the tests build steps: thin wrappers over the SDK's classes, for scripts in ``jobs/`` or given as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import WaiterError

from tests.sdk.cloud import JOBS, Cloud, sklearn_image, unique, xgboost_image


@dataclass(frozen=True)
class Builder:
    """The steps of one pipeline."""

    cloud: Cloud
    folder: Path  # for scripts given as text
    name: str
    session: Any  # PipelineSession

    @classmethod
    def make(cls, cloud: Cloud, folder: Path, prefix: str) -> Builder:
        """For a pipeline with a new name."""
        return cls(cloud, folder, unique(prefix), cloud.pipelines)

    def place(self, *names: Any) -> Any:
        """An S3 URI of the execution's own."""
        from sagemaker.core.workflow.execution_variables import ExecutionVariables
        from sagemaker.core.workflow.functions import Join

        first = self.cloud.uri(self.name)
        return Join(on="/", values=[first, ExecutionVariables.PIPELINE_EXECUTION_ID, *names])

    def process(self, name: str, script: str, **options: Any) -> Any:
        """A processing step. ``inputs`` and ``outputs`` map a name to its URI (None: the step's own place)."""
        from sagemaker.core.processing import ScriptProcessor
        from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
        from sagemaker.mlops.workflow.steps import ProcessingStep

        processor = ScriptProcessor(
            image_uri=sklearn_image(),
            command=["python3"],
            role=self.cloud.role,
            instance_count=1,
            instance_type=options.pop("instance_type", "ml.m5.large"),
            base_job_name=name,
            env=options.pop("env", None),
            sagemaker_session=self.session,
        )
        inputs = [
            ProcessingInput(
                input_name=key,
                s3_input=ProcessingS3Input(
                    s3_uri=uri,
                    local_path=f"/opt/ml/processing/{key}",
                    s3_data_type="S3Prefix",
                    s3_input_mode="File",
                ),
            )
            for key, uri in options.pop("inputs", {}).items()
        ]
        outputs = [
            ProcessingOutput(
                output_name=key,
                s3_output=ProcessingS3Output(
                    s3_uri=self.place(name, key), local_path=f"/opt/ml/processing/{key}", s3_upload_mode="EndOfJob"
                ),
            )
            for key in options.pop("outputs", ())
        ]
        arguments = processor.run(
            code=self._script(name, script), inputs=inputs, outputs=outputs, arguments=options.pop("arguments", None)
        )
        return ProcessingStep(name=name, step_args=arguments, **options)

    def train(self, name: str, data: Any, hyperparameters: dict[str, Any], **options: Any) -> Any:
        """A training step with built-in XGBoost on one CSV channel."""
        from sagemaker.mlops.workflow.steps import TrainingStep
        from sagemaker.train import ModelTrainer
        from sagemaker.train.configs import Compute, InputData, OutputDataConfig

        trainer = ModelTrainer(
            training_image=xgboost_image(),
            hyperparameters=hyperparameters,
            compute=Compute(instance_type="ml.m5.large", instance_count=1),
            output_data_config=OutputDataConfig(s3_output_path=self.place("model")),
            role=self.cloud.role,
            base_job_name=name,
            sagemaker_session=self.session,
        )
        channel = InputData(channel_name="train", data_source=data, content_type="text/csv")
        return TrainingStep(name=name, step_args=trainer.train(input_data_config=[channel]), **options)

    def register(self, name: str, model: Any, group: str, **options: Any) -> Any:
        """A step that registers a model in a group."""
        from sagemaker.mlops.workflow.model_step import ModelStep
        from sagemaker.serve.model_builder import ModelBuilder

        builder = ModelBuilder(
            s3_model_data_url=model,
            image_uri=xgboost_image(),
            role_arn=self.cloud.role,
            sagemaker_session=self.session,
        )
        arguments = builder.register(
            model_package_group_name=group,
            content_types=["text/csv"],
            response_types=["text/csv"],
            inference_instances=["ml.m5.large"],
            transform_instances=["ml.m5.large"],
            **options,
        )
        return ModelStep(name=name, step_args=arguments)

    def pipeline(self, steps: list[Any], parameters: list[Any] | None = None) -> Any:
        """The pipeline of these steps; not yet created."""
        from sagemaker.mlops.workflow.pipeline import Pipeline

        return Pipeline(name=self.name, parameters=parameters or [], steps=steps, sagemaker_session=self.session)

    def _script(self, name: str, script: str) -> str:
        if (JOBS / script).is_file():
            return str(JOBS / script)
        path = self.folder / f"{name}.py"
        path.write_text(script)
        return str(path)


def ended(execution: Any) -> dict[str, Any]:
    """Wait with the SDK's own wait, and describe."""
    try:
        execution.wait(delay=0.2, max_attempts=600)
    except WaiterError as error:
        if "terminal failure state" not in str(error):
            raise
    described: dict[str, Any] = execution.describe()
    return described


def until_stopped(execution: Any) -> dict[str, Any]:
    """Wait and describe; the SDK's own wait knows no Stopped."""
    until(execution.sagemaker_session.sagemaker_client, execution.arn, "Stopped")
    described: dict[str, Any] = execution.describe()
    return described


def until(client: Any, arn: str, status: str) -> None:
    """Wait with a waiter made as the vendor makes them: boto3 has none for executions."""
    import botocore.waiter

    acceptor = {"expected": status, "matcher": "path", "state": "success", "argument": "PipelineExecutionStatus"}
    waiter = {"operation": "DescribePipelineExecution", "delay": 1, "maxAttempts": 60, "acceptors": [acceptor]}
    model = botocore.waiter.WaiterModel({"version": 2, "waiters": {status: waiter}})
    botocore.waiter.create_waiter_with_client(status, model, client).wait(
        PipelineExecutionArn=arn, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300}
    )


def steps_of(execution: Any) -> dict[str, dict[str, Any]]:
    """Step name -> what ListPipelineExecutionSteps says of it, whatever the page size."""
    client = execution.sagemaker_session.sagemaker_client
    pages = client.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=execution.arn)
    return {step["StepName"]: step for page in pages for step in page["PipelineExecutionSteps"]}


def statuses(execution: Any) -> dict[str, str]:
    """Step name -> status."""
    return {name: step["StepStatus"] for name, step in steps_of(execution).items()}
