"""A pipeline of SDK 2.x: process, train, evaluate, a condition, registration; twice, with other parameters."""

from __future__ import annotations

from flow import CODE, MACHINE, ROLE, SKLEARN, report, table, uploaded
from sagemaker.inputs import TrainingInput
from sagemaker.model_metrics import MetricsSource, ModelMetrics
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.sklearn import SKLearn, SKLearnModel
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join, JsonGet
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.properties import PropertyFile
from sagemaker.workflow.step_collections import RegisterModel
from sagemaker.workflow.steps import CacheConfig, ProcessingStep, TrainingStep

session = PipelineSession()
USUAL = {"role": ROLE, "instance_type": MACHINE, "instance_count": 1, "sagemaker_session": session}
data = ParameterString("InputData", default_value=uploaded("data", table(300, 1), "twin/pipeline"))
threshold = ParameterFloat("Threshold", default_value=0.1)
alpha = ParameterFloat("Alpha", default_value=0.5)
machines = ParameterInteger("Machines", default_value=1)
approval = ParameterString("Approval", default_value="PendingManualApproval")
cache = CacheConfig(enable_caching=True, expire_after="PT1H")


def processor():
    return SKLearnProcessor(framework_version=SKLEARN, **{**USUAL, "instance_count": machines})


split = ProcessingStep(
    "Split",
    step_args=processor().run(
        code=str(CODE / "split.py"),
        inputs=[ProcessingInput(source=data, destination="/opt/ml/processing/input/data")],
        outputs=[ProcessingOutput(output_name=n, source=f"/opt/ml/processing/{n}") for n in ("train", "test")],
        arguments=["--share", "0.8"],
    ),
    cache_config=cache,
)
outputs = split.properties.ProcessingOutputConfig.Outputs
estimator = SKLearn(
    **USUAL,
    entry_point="train_sklearn.py",
    source_dir=str(CODE),
    framework_version=SKLEARN,
    hyperparameters={"alpha": alpha},
    metric_definitions=[{"Name": "train:mse", "Regex": "train_mse=([0-9.]+);"}],
)
train = TrainingStep(
    "Train", step_args=estimator.fit({"train": TrainingInput(outputs["train"].S3Output.S3Uri)}), cache_config=cache
)
model_data = train.properties.ModelArtifacts.S3ModelArtifacts
evaluation = PropertyFile("Evaluation", output_name="evaluation", path="evaluation.json")
evaluate = ProcessingStep(
    "Evaluate",
    step_args=processor().run(
        code=str(CODE / "evaluate.py"),
        inputs=[
            ProcessingInput(source=model_data, destination="/opt/ml/processing/model"),
            ProcessingInput(source=outputs["test"].S3Output.S3Uri, destination="/opt/ml/processing/test"),
        ],
        outputs=[ProcessingOutput(output_name="evaluation", source="/opt/ml/processing/evaluation")],
    ),
    property_files=[evaluation],
    cache_config=cache,
)
report_uri = evaluate.properties.ProcessingOutputConfig.Outputs["evaluation"].S3Output.S3Uri
metrics = ModelMetrics(
    model_statistics=MetricsSource(s3_uri=Join("/", [report_uri, "evaluation.json"]), content_type="application/json")
)
kinds = {
    "content_types": ["text/csv"],
    "response_types": ["text/csv"],
    "inference_instances": [MACHINE],
    "transform_instances": [MACHINE],
    "approval_status": approval,
    "model_metrics": metrics,
}
model = SKLearnModel(
    model_data=model_data, role=ROLE, entry_point=str(CODE / "inference.py"), framework_version=SKLEARN,
    sagemaker_session=session,
)  # fmt: skip
register = ModelStep("Model", step_args=model.register(model_package_group_name="twin-models", **kinds))
legacy = RegisterModel(
    "Legacy", estimator=estimator, model_data=model_data, model_package_group_name="twin-legacy", **kinds
)
gate = ConditionStep(
    "Gate",
    conditions=[
        ConditionLessThanOrEqualTo(
            JsonGet("Evaluate", property_file=evaluation, json_path="regression.mse.value"), threshold
        )
    ],
    if_steps=[register, legacy],
    else_steps=[FailStep("TooBad", error_message=Join(" ", ["the error is above", threshold]))],
)
pipeline = Pipeline(
    "twin-pipeline",
    parameters=[data, threshold, alpha, machines, approval],
    steps=[split, train, evaluate, gate],
    sagemaker_session=session,
)
pipeline.upsert(role_arn=ROLE, tags=[{"Key": "team", "Value": "twin"}])
arn = pipeline.upsert(role_arn=ROLE, description="again")["PipelineArn"]


def run(**parameters):
    execution = pipeline.start(parameters=parameters)
    failed = ""
    try:
        execution.wait(delay=1, max_attempts=100)
    except Exception as error:  # noqa: BLE001 - what the vendor's waiter says
        failed = str(error)
    steps = {step["StepName"]: step for step in execution.list_steps()}
    return execution, {"status": execution.describe()["PipelineExecutionStatus"], "steps": steps, "failed": failed}


good, first = run(Alpha=0.25, Approval="Approved")
_, cached = run(Alpha=0.25, Approval="Approved")
_, bad = run(Alpha=0.25, Threshold=1e-9)
report(
    arn=arn,
    execution=good.arn,
    good=first,
    cached=cached,
    bad=bad,
    parameters=list(good.list_parameters()["PipelineParameters"]),
    executions=len(pipeline.list_executions()["PipelineExecutionSummaries"]),
    description=pipeline.describe()["PipelineDescription"],
)
