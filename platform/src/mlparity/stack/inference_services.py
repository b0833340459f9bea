"""What SageMaker does around endpoints, made once: asynchronous inference, metrics, the page for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mlparity.apis.aws import AwsServices
from mlparity.apis.sagemaker import endpoints
from mlparity.apis.sagemaker.async_answers import Answering
from mlparity.apis.sagemaker.async_inference import AsyncEndpoint, AsyncInference
from mlparity.apis.sagemaker.async_queue import AsyncQueue
from mlparity.apis.sagemaker.context import API, SageMaker
from mlparity.apis.sagemaker.endpoint_status import serving_config, takes_requests
from mlparity.engine.scheduling import TimerService
from mlparity.errors import NotFoundError
from mlparity.serving.endpoints.endpoints import Endpoint, EndpointPhase
from mlparity.stack.async_calls import RouterCalls
from mlparity.stack.async_metrics import AsyncMetrics
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.endpoint_metrics import EndpointMetrics
from mlparity.stack.endpoint_plane import EndpointPlane
from mlparity.stack.endpoint_usage import EndpointUsage
from mlparity.stack.prometheus import EndpointPage


class InferenceServices:
    """``inference`` queues InvokeEndpointAsync; ``page`` gives the Prometheus text."""

    def __init__(
        self, config: ControlPlaneConfig, api: SageMaker, plane: EndpointPlane, aws: AwsServices, timers: TimerService
    ) -> None:
        self._api = api
        clock = api.clock
        local = (config.access_key_id, config.secret_access_key)
        calls = RouterCalls(plane.router, local, config.region, clock)
        answering = Answering(api.store, calls, aws.publish_to_topic, clock, config.region)
        self.inference = AsyncInference(AsyncQueue(api.documents), answering, self._endpoint, clock)
        page = EndpointPage()
        self.page: Callable[[], str] = page.text
        metrics = EndpointMetrics(aws.publish_metrics, self._instances, clock, timers.wake)
        plane.router.listen(metrics.report)
        plane.router.listen(page.report)
        timers.add(
            metrics,
            EndpointUsage(lambda: endpoints.every(api), plane.fleet.usage, aws.publish_metrics, clock),
            AsyncMetrics(self.inference, self._asynchronous, aws.publish_metrics, clock),
        )
        plane.endpoints.listen(self._changed)
        plane.fleet.listen(lambda _deployment: self.inference.changed())  # more workers, or those of a restart

    def start(self) -> None:
        """Go on with the requests that an earlier process left. After the endpoints have been recovered."""
        self.inference.start()

    def close(self) -> None:
        """Take no more asynchronous requests out of the queue."""
        self.inference.close()

    def _changed(self, endpoint: Endpoint, _before: Endpoint | None) -> None:
        if endpoint.api != API:
            return
        if endpoint.phase is EndpointPhase.DELETED:
            self.inference.gone(endpoint.name)
        else:
            self.inference.changed()

    def _endpoint(self, name: str) -> AsyncEndpoint:
        found = _asynchronous(self._api.hosting.endpoints.get(API, name))
        if found is None:
            raise NotFoundError(f"endpoint {name} is not asynchronous any more")
        return found

    def _asynchronous(self) -> dict[str, AsyncEndpoint]:
        return dict(self._all_asynchronous())

    def _all_asynchronous(self) -> Iterator[tuple[str, AsyncEndpoint]]:
        for endpoint in endpoints.every(self._api):
            found = _asynchronous(endpoint)
            if found is not None:
                yield endpoint.name, found

    def _instances(self, endpoint: str, variant: str) -> int:
        try:
            found = self._api.hosting.endpoints.get(API, endpoint)
        except NotFoundError:
            return 0
        return sum(one.current_instances for one in found.variants if one.name == variant)


def _asynchronous(endpoint: Endpoint) -> AsyncEndpoint | None:
    config = serving_config(endpoint).get("AsyncInferenceConfig")
    if config is None:
        return None
    answering = sum(one.current_instances for one in endpoint.variants if not one.plan.shadow)
    return AsyncEndpoint(config, takes_requests(endpoint), answering)
