"""Why a deployment cannot start, in the words of the vendor whose container it is."""

from __future__ import annotations

from typing import Protocol


class Words(Protocol):
    """One vendor's sentences."""

    def not_found(self, container: str, uri: str) -> str:
        """There is nothing at the model's URI."""
        ...

    def not_unpacked(self, container: str, uri: str, why: str) -> str:
        """It is no archive."""
        ...

    def not_placed(self, container: str, uri: str, why: str) -> str:
        """Anything else that goes wrong with the model's files."""
        ...

    def not_ready(self, variant: str, container: str, log_group: str, problem: str) -> str:
        """The server ended, or kept silent, before it ever answered."""
        ...


class SageMakerWords:
    """As DescribeEndpoint's FailureReason has them."""

    def not_found(self, container: str, uri: str) -> str:
        """See ``Words``."""
        return (
            f'Failed to download model data for container "{container}" from URL: "{uri}". Please ensure that there is '
            "an object located at the URL and that the role passed to CreateModel has permissions to download the "
            "object."
        )

    def not_unpacked(self, container: str, uri: str, why: str) -> str:
        """See ``Words``."""
        return (
            f'Failed to extract model data archive for container "{container}" from URL "{uri}". Please ensure that '
            f"the object located at the URL is a valid tar.gz archive ({why})."
        )

    def not_placed(self, container: str, uri: str, why: str) -> str:
        """See ``Words``."""
        return f'Failed to place model data for container "{container}" from URL "{uri}": {why}'

    def not_ready(self, variant: str, container: str, log_group: str, problem: str) -> str:  # noqa: ARG002
        """See ``Words``."""
        return (
            f"The {container} container for production variant {variant} did not pass the ping health check. Please "
            f"check CloudWatch logs for this endpoint. ({problem})"
        )


class VertexWords:
    """As the error of a DeployModel operation has them."""

    def not_found(self, container: str, uri: str) -> str:  # noqa: ARG002
        """See ``Words``."""
        return f"Failed to copy the model artifacts: there is nothing at {uri}."

    def not_unpacked(self, container: str, uri: str, why: str) -> str:  # noqa: ARG002
        """See ``Words``."""
        return f"Failed to copy the model artifacts from {uri}: {why}"

    def not_placed(self, container: str, uri: str, why: str) -> str:
        """See ``Words``."""
        return self.not_unpacked(container, uri, why)

    def not_ready(self, variant: str, container: str, log_group: str, problem: str) -> str:  # noqa: ARG002
        """See ``Words``."""
        return f"Model server exited unexpectedly. Model server logs can be found at {log_group}. ({problem})"


_SAGEMAKER = SageMakerWords()
_OTHERS: dict[str, Words] = {"vertex": VertexWords()}


def words_of(contract: str) -> Words:
    """Those of a container's contract."""
    return _OTHERS.get(contract, _SAGEMAKER)
