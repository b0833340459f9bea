"""The operation table: what is served, by what. Router, coverage table and tests read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlparity.apis.sagemaker import (
    executions,
    model_package_groups,
    model_packages,
    pipelines,
    processing_jobs,
    tags,
    training_jobs,
)
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker

Handler = Callable[[SageMaker, Request, Caller], Response]


@dataclass(frozen=True)
class Operation:
    """One operation of the vendor's model; ``partial`` says what of it is refused, "" where nothing is."""

    name: str
    handler: Handler
    partial: str = ""


OPERATIONS = (
    Operation(
        "CreateTrainingJob",
        training_jobs.create,
        "one instance; File and FastFile input; no spot, warm pools, debugger or marketplace algorithms",
    ),
    Operation("DescribeTrainingJob", training_jobs.describe),
    Operation("ListTrainingJobs", training_jobs.list_),
    Operation("StopTrainingJob", training_jobs.stop),
    Operation("DeleteTrainingJob", training_jobs.delete),
    Operation(
        "CreateProcessingJob",
        processing_jobs.create,
        "one instance; S3 inputs and outputs in File and EndOfJob mode",
    ),
    Operation("DescribeProcessingJob", processing_jobs.describe),
    Operation("ListProcessingJobs", processing_jobs.list_),
    Operation("StopProcessingJob", processing_jobs.stop),
    Operation("DeleteProcessingJob", processing_jobs.delete),
    Operation(
        "CreatePipeline",
        pipelines.create,
        "steps: Processing, Training, Condition, Fail, RegisterModel; no caching, no retry policies",
    ),
    Operation("UpdatePipeline", pipelines.update, "as CreatePipeline"),
    Operation("DescribePipeline", pipelines.describe, "no versions"),
    Operation("ListPipelines", pipelines.list_),
    Operation("DeletePipeline", pipelines.delete),
    Operation("StartPipelineExecution", executions.start, "no selective execution, no versions"),
    Operation("StopPipelineExecution", executions.stop),
    Operation("DescribePipelineExecution", executions.describe),
    Operation("DescribePipelineDefinitionForExecution", executions.definition),
    Operation("ListPipelineExecutions", executions.list_),
    Operation("ListPipelineExecutionSteps", executions.steps),
    Operation("ListPipelineParametersForExecution", executions.parameters),
    Operation("CreateModelPackageGroup", model_package_groups.create),
    Operation("DescribeModelPackageGroup", model_package_groups.describe),
    Operation("ListModelPackageGroups", model_package_groups.list_),
    Operation("DeleteModelPackageGroup", model_package_groups.delete),
    Operation("CreateModelPackage", model_packages.create, "versioned packages; no validation jobs"),
    Operation("DescribeModelPackage", model_packages.describe),
    Operation("ListModelPackages", model_packages.list_),
    Operation("UpdateModelPackage", model_packages.update),
    Operation("DeleteModelPackage", model_packages.delete),
    Operation("AddTags", tags.add),
    Operation("ListTags", tags.list_),
    Operation("DeleteTags", tags.delete),
)

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}
