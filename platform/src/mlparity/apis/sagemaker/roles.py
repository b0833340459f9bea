"""The roles that jobs and models act as: SageMaker refuses those that it may not assume."""

from __future__ import annotations

from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.errors import validation


def require(api: SageMaker, role: str, resource: str) -> None:
    """Raises ``ValidationException`` unless SageMaker may act as ``role`` for ``resource`` (ARNs)."""
    if not api.may_assume(role, resource):
        raise validation(
            f"Could not assume role {role}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role."
        )
