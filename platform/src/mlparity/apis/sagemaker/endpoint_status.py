"""An endpoint's states in SageMaker's words.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase, RolloutPhase, VariantStage

STATUS: Mapping[EndpointPhase, str] = {
    EndpointPhase.CREATING: "Creating",
    EndpointPhase.IN_SERVICE: "InService",
    EndpointPhase.UPDATING: "Updating",
    EndpointPhase.ROLLING_BACK: "RollingBack",
    EndpointPhase.ROLLBACK_FAILED: "UpdateRollbackFailed",
    EndpointPhase.FAILED: "Failed",
    EndpointPhase.DELETING: "Deleting",
    EndpointPhase.DELETED: "Deleting",
}
# As events have them.
EVENT_STATUS: Mapping[EndpointPhase, str] = {
    EndpointPhase.CREATING: "CREATING",
    EndpointPhase.IN_SERVICE: "IN_SERVICE",
    EndpointPhase.UPDATING: "UPDATING",
    EndpointPhase.ROLLING_BACK: "ROLLING_BACK",
    EndpointPhase.ROLLBACK_FAILED: "UPDATE_ROLLBACK_FAILED",
    EndpointPhase.FAILED: "FAILED",
    EndpointPhase.DELETING: "DELETING",
    EndpointPhase.DELETED: "DELETED",
}
VARIANT_STATUS: Mapping[VariantStage, str] = {
    VariantStage.CREATING: "Creating",
    VariantStage.UPDATING: "Updating",
    VariantStage.ACTIVATING_TRAFFIC: "ActivatingTraffic",
    VariantStage.BAKING: "Baking",
    VariantStage.DELETING: "Deleting",
}
_TAKES_REQUESTS = {
    EndpointPhase.IN_SERVICE,
    EndpointPhase.UPDATING,
    EndpointPhase.ROLLING_BACK,
    EndpointPhase.ROLLBACK_FAILED,
}
# What an endpoint's own record keeps of the configurations, which may be deleted while they serve.
NEW_CONFIG, SERVING_CONFIG = "Config", "ServingConfig"


def takes_requests(endpoint: Endpoint) -> bool:
    """Whether it may be invoked."""
    return endpoint.phase in _TAKES_REQUESTS


def serving_config(endpoint: Endpoint) -> Mapping[str, Any]:
    """The body of the endpoint configuration that serves."""
    update = endpoint.update_request
    if update is None:
        found: Mapping[str, Any] = endpoint.request[NEW_CONFIG]
        return found
    done = endpoint.rollout is not None and endpoint.rollout.phase is RolloutPhase.SUCCEEDED
    chosen: Mapping[str, Any] = update[NEW_CONFIG if done else SERVING_CONFIG]
    return chosen


def pending_config(endpoint: Endpoint) -> Mapping[str, Any]:
    """The body of the configuration that the endpoint is being updated to; or that serves."""
    if endpoint.pending is None or endpoint.update_request is None:
        return serving_config(endpoint)
    found: Mapping[str, Any] = endpoint.update_request[NEW_CONFIG]
    return found


def last_deployment_config(endpoint: Endpoint) -> Mapping[str, Any] | None:
    """``LastDeploymentConfig``; None where none was ever given."""
    for request in (endpoint.update_request, endpoint.request):
        if request is not None and request.get("DeploymentConfig"):
            found: Mapping[str, Any] = request["DeploymentConfig"]
            return found
    return None
