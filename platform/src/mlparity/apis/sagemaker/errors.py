"""SageMaker's errors, and which of ours becomes which."""

from __future__ import annotations

from mlparity.errors import (
    ConflictError,
    EngineError,
    InvalidRequestError,
    MlparityError,
    NotFoundError,
    RuntimeUnavailableError,
    StateError,
    StorageError,
)


class SageMakerError(Exception):
    """An answer with an error: its code (``__type``), message and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def validation(message: str) -> SageMakerError:
    """``ValidationException``: most of what SageMaker refuses, a missing resource of many kinds included."""
    return SageMakerError("ValidationException", message)


def not_found(message: str) -> SageMakerError:
    """``ResourceNotFound``: newer operations say it with this code."""
    return SageMakerError("ResourceNotFound", message)


def in_use(message: str) -> SageMakerError:
    """``ResourceInUse``: a job's name is taken."""
    return SageMakerError("ResourceInUse", message)


def conflict(message: str) -> SageMakerError:
    """``ConflictException``: the state of a resource forbids the request."""
    return SageMakerError("ConflictException", message)


def not_served(feature: str) -> SageMakerError:
    """What SageMaker does and mlparity does not: refused by name, never accepted and dropped."""
    return validation(f"{feature} is not supported by mlparity. See `mlparity parity sagemaker`.")


def from_mlparity(error: MlparityError) -> SageMakerError:
    """The vendor's error for one of ours that no operation translated."""
    text = ". ".join(error.lines())
    if isinstance(error, NotFoundError):
        return not_found(text)
    if isinstance(error, ConflictError):
        return conflict(text)
    if isinstance(error, StateError):
        return SageMakerError("ServiceUnavailable", text, 503)
    if isinstance(error, InvalidRequestError | StorageError | RuntimeUnavailableError | EngineError):
        return validation(text)
    return SageMakerError("InternalFailure", text, 500)
