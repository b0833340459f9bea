"""Why a step failed, in the words of SageMaker's retry policies.

https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html
"""

from __future__ import annotations

from mlparity.apis.sagemaker.definition.policies import (
    CAPACITY_ERROR,
    JOB_INTERNAL_ERROR,
    RESOURCE_LIMIT,
    SERVICE_FAULT,
    THROTTLING,
)
from mlparity.apis.sagemaker.errors import SageMakerError, from_mlparity
from mlparity.apis.sagemaker.job_status import failure_reason
from mlparity.engine.jobs import Job
from mlparity.engine.runs import StepStatus, StepUpdate
from mlparity.errors import InvalidRequestError, MlparityError, StateError

_INTERNAL = 500
_CODES = {
    "ThrottlingException": THROTTLING,
    "ResourceLimitExceeded": RESOURCE_LIMIT,
    "InsufficientCapacityError": CAPACITY_ERROR,
    "CapacityError": CAPACITY_ERROR,
}
# How a job's FailureReason begins.
_REASONS = {
    "InternalServerError": JOB_INTERNAL_ERROR,
    "CapacityError": CAPACITY_ERROR,
    "InsufficientCapacityError": CAPACITY_ERROR,
    "ResourceLimitExceeded": RESOURCE_LIMIT,
}


def of_creation(operation: str, error: Exception) -> StepUpdate:
    """The step whose call of ``operation`` was refused.

    Raises ``error`` again where it is a defect here, and where the database refused: that says nothing of the step.
    """
    if isinstance(error, StateError):
        raise error
    if isinstance(error, InvalidRequestError):
        return StepUpdate(StepStatus.FAILED, failure_reason=str(error))
    if isinstance(error, StateError):
        raise error  # nothing is known of the call: the engine makes it again
    if isinstance(error, MlparityError):
        error = from_mlparity(error)
    if not isinstance(error, SageMakerError):
        raise error
    whose = "ServiceError" if error.status >= _INTERNAL else "ClientError"
    return StepUpdate(
        StepStatus.FAILED,
        failure_reason=f"{whose}: Failed to invoke sagemaker:{operation}. Error Details: {error.message}",
        fault=SERVICE_FAULT if error.status >= _INTERNAL else _CODES.get(error.code, ""),
    )


def of_job(job: Job) -> str:
    """The kind of a job's failure; "" where it is the program's own, or its input's: that is never retried."""
    return _REASONS.get(failure_reason(job).partition(":")[0], "")
