"""The events of endpoints: their states, and the stages of their deployments.

https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
"""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker.context import API, Response, SageMaker
from mlparity.apis.sagemaker.endpoint_status import EVENT_STATUS
from mlparity.apis.sagemaker.endpoint_views import arn, described
from mlparity.apis.sagemaker.state_events import SOURCE, detail_of
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase

_DEPLOYING = {EndpointPhase.UPDATING, EndpointPhase.ROLLING_BACK}
_LEFT_OUT = ("DataCaptureConfig", "AsyncInferenceConfig", "LastDeploymentConfig")


def endpoint(api: SageMaker, changed: Endpoint, before: Endpoint | None) -> None:
    """An ``Endpoints`` listener, within the change's transaction."""
    if changed.api != API or changed.phase is EndpointPhase.DELETED:
        return
    if before is None or before.phase is not changed.phase:
        _publish(api, "SageMaker Endpoint State Change", changed)
    elif changed.phase not in _DEPLOYING:
        return
    deploying = changed.phase in _DEPLOYING or (before is not None and before.phase in _DEPLOYING)
    if deploying and (before is None or _stages(before) != _stages(changed)):
        _publish(api, "SageMaker Endpoint Deployment State Change", changed)


def _stages(of: Endpoint) -> tuple[Any, ...]:
    """What a deployment event tells of: where the endpoint and each of its variants are."""
    pending = of.pending.variants if of.pending is not None else ()
    return of.phase, *((item.deployment, item.stage, item.stage_message) for item in (*of.variants, *pending))


def _publish(api: SageMaker, kind: str, changed: Endpoint) -> None:
    shown: Response = described(api, changed)
    for member in _LEFT_OUT:
        shown.pop(member, None)
    shown["EndpointStatus"] = EVENT_STATUS[changed.phase]
    shown["Tags"] = api.tags.get(arn(api, changed.name))
    api.events.publish(SOURCE, kind, detail_of(shown), [arn(api, changed.name)])
