"""How a batch transform job may fail, in SageMaker's classes."""

from __future__ import annotations


class TransformError(Exception):
    """Base: one object could not be transformed. ``lines`` are what the job's log says."""

    kind = "ClientError"

    def __init__(self, *lines: str) -> None:
        super().__init__(lines[0])
        self.lines = lines


class DataError(TransformError):
    """The data, or what was asked of it, is at fault; also where the container answered 4xx."""


class AlgorithmError(TransformError):
    """The container is at fault: it does not start, answers 5xx, or does not answer in time."""

    kind = "AlgorithmError"
