"""Which types of steps there are, and what SageMaker lets each of them have.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-steps-types.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StepType:
    """What steps of one type may and must have.

    ``cached``: the attributes that decide whether a step is equal to an earlier one; None where steps of this
    type are never cached, () where every argument counts. ``retried``: whether it may have RetryPolicies.
    ``members``: what it must have beside Arguments; ``optional``: what else of it may refer to parameters and steps.

    https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-default-keys.html
    https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html
    """

    cached: tuple[str, ...] | None = None
    retried: bool = False
    members: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


# The attributes are those of the documentation.
SERVED: Mapping[str, StepType] = {
    "Processing": StepType(("AppSpecification", "Environment", "ProcessingInputs"), retried=True),
    "Training": StepType(
        (
            "AlgorithmSpecification", "CheckpointConfig", "DebugHookConfig", "DebugRuleConfigurations", "Environment",
            "HyperParameters", "InputDataConfig",
        ),
        retried=True,
    ),
    "Transform": StepType(("DataProcessing", "Environment", "ModelName", "TransformInput"), retried=True),
    "Tuning": StepType(
        ("HyperParameterTuningJobConfig", "TrainingJobDefinition", "TrainingJobDefinitions"), retried=True
    ),
    "Model": StepType(retried=True),
    "Condition": StepType(),
    "Fail": StepType(),
    "RegisterModel": StepType(retried=True),
    "QualityCheck": StepType(
        ("AppSpecification", "Environment", "ProcessingInputs"),
        members=("CheckType",),
        optional=(
            "FailOnViolation", "ModelPackageGroupName", "RegisterNewBaseline", "SkipCheck",
            "SuppliedBaselineConstraints", "SuppliedBaselineStatistics",
        ),
    ),
    # The SDK lets both have a CacheConfig; the documentation names no attributes, so all of them count.
    "Callback": StepType((), members=("SqsQueueUrl",)),
    "Lambda": StepType((), members=("FunctionArn",)),
}  # fmt: skip

# What SageMaker has and mlparity does not: refused by name when the pipeline is created.
NOT_SERVED = frozenset(
    {
        "Athena", "AutoML", "BedrockCustomModel", "BedrockCustomModelDeployment", "BedrockModelImport",
        "BedrockProvisionedModelThroughput", "ClarifyCheck", "Cleanup", "EMR", "EMRServerless", "Endpoint",
        "EndpointConfig", "ForEach", "InferenceComponent", "Job", "Lineage", "MonitorBatchTransform",
        "NotebookJob",
    }
)  # fmt: skip
