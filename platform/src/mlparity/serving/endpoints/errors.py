"""What an endpoint refuses, typed, so that each vendor's API can word it."""

from __future__ import annotations

from mlparity.errors import ConflictError, InvalidRequestError


class EndpointExistsError(ConflictError):
    """The name is taken."""


class EndpointBusyError(ConflictError):
    """It is being created, updated, rolled back or deleted, and takes no change before that ends.

    SageMaker: ``ValidationException``, "Cannot update in-progress endpoint".
    """


class EndpointFailedError(ConflictError):
    """It could not be created. Deleting it is the only operation that it takes (SageMaker's EndpointStatus Failed)."""


class UnknownVariantError(InvalidRequestError):
    """The endpoint has no variant of that name; ``variant`` is the name."""

    def __init__(self, variant: str) -> None:
        super().__init__(f"the endpoint has no variant {variant}")
        self.variant = variant
