"""What an algorithm may say went wrong, in the classes of SageMaker's algorithm toolkit."""

from __future__ import annotations


class FailureError(Exception):
    """Base: ends the program with code 1 and its message in the failure file."""


class UserError(FailureError):
    """Something that the caller can avoid: a hyperparameter, a channel, the data."""


class AlgorithmError(FailureError):
    """A failure of the algorithm itself."""


class PlatformError(FailureError):
    """The environment does not offer what the job asks for."""
