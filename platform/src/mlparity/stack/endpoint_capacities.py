"""The instance counts of SageMaker's endpoint variants, as Application Auto Scaling changes them."""

from __future__ import annotations

from collections.abc import Callable

from mlparity.apis.sagemaker.context import API
from mlparity.errors import NotFoundError
from mlparity.serving.endpoints.contract import Endpoints


class EndpointCapacities:
    """``apis.aws.application_autoscaling.Scalable``. ``endpoints`` are made after this object."""

    def __init__(self, endpoints: Callable[[], Endpoints]) -> None:
        self._endpoints = endpoints

    def capacity(self, endpoint: str, variant: str) -> int | None:
        """The wanted number of instances; None where there is no such variant."""
        try:
            found = self._endpoints().get(API, endpoint)
        except NotFoundError:
            return None
        counts = [one.desired_instances for one in found.variants if one.name == variant]
        return counts[0] if counts else None

    def set_capacity(self, endpoint: str, variant: str, instances: int) -> None:
        """Change it. Raises ``MlparityError`` where the endpoint cannot be changed now."""
        self._endpoints().set_weights_and_capacities(API, endpoint, {variant: (None, instances)})
