"""What may be wrong with a compiled pipeline."""

from __future__ import annotations

from mlparity.errors import EngineError, InvalidRequestError


class InvalidPipelineError(InvalidRequestError):
    """The file is no PipelineSpec, contradicts itself, or its arguments do not fit; names the field."""


class UnsupportedPipelineError(InvalidRequestError):
    """A feature that cannot run on this machine; names the feature and the task. Raised before anything starts."""


class TaskFailedError(EngineError):
    """A task cannot begin: an input is missing, a condition cannot be evaluated, an object does not exist."""
