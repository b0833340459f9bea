"""The ASGI application behind the one AWS endpoint for everything but S3 and SageMaker."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from anyio import CapacityLimiter, to_thread

from mlparity.apis.aws import ecr_images, functions, guards, queue_polling
from mlparity.apis.aws.application_autoscaling import Scalable
from mlparity.apis.aws.authentication import authenticate
from mlparity.apis.aws.config import AwsConfig
from mlparity.apis.aws.credentials import Credentials
from mlparity.apis.aws.message import AwsError, AwsRequest, AwsResponse, error_response, unknown_operation
from mlparity.apis.aws.metrics import ServiceMetric
from mlparity.apis.aws.models import Models
from mlparity.apis.aws.natives import Natives
from mlparity.apis.aws.table import BY_SIGNING_NAME, ServiceEntry
from mlparity.apis.aws.targets import FunctionInvoker, PipelineStarter
from mlparity.clock import Clock
from mlparity.engine.functions import FunctionCode
from mlparity.engine.logs import JobLogs
from mlparity.engine.scheduling import TimerService
from mlparity.errors import MlparityError, NotFoundError
from mlparity.ids import IdSource
from mlparity.state import Database
from mlparity.wire.aws_service import service_of

_LOG = logging.getLogger(__name__)
_INTERNAL = 500
_THREADS = 100  # long polls of queues sit in them

Message = MutableMapping[str, Any]


class AwsServices:
    """STS, IAM, CloudWatch Logs, EventBridge and what ``table`` lists, on one ASGI interface.

    ``recover`` first; ``warm`` may run in a thread while requests are answered already: each waits only for the
    service that it needs.
    """

    def __init__(  # noqa: PLR0913 - what the control plane hands in
        self,
        config: AwsConfig,
        database: Database,
        clock: Clock,
        ids: IdSource,
        logs: JobLogs,
        *,
        timers: TimerService | None = None,
        start_pipeline: PipelineStarter | None = None,
        invoke_function: FunctionInvoker | None = None,
        read_object: functions.ReadObject | None = None,
        scalable: Scalable | None = None,
    ) -> None:
        """Schedules, retries and alarms become work of ``timers``; whoever made it starts it after ``recover``.

        ``read_object`` gives an object of S3 by bucket and key: the code of functions may be one. ``scalable`` are the
        endpoint variants that Application Auto Scaling may scale.
        """
        self._read_object = read_object
        self._clock = clock
        self._ids = ids
        self._region = config.region
        self._models = Models()
        timers = timers or TimerService(clock)
        self._natives = Natives(
            config, database, clock, ids, logs, self._models, timers, start_pipeline, invoke_function, scalable
        )
        self._moto = self._natives.moto
        self._limiter = CapacityLimiter(_THREADS)
        self._closing = threading.Event()

    def recover(self) -> None:
        """Read back what must be known before the first request. Fast; the journals are replayed by ``warm``."""
        self._natives.credentials.recover()
        self._natives.schedules.recover()
        self._natives.alarms.recover()

    def warm(self) -> None:
        """Load moto and replay every journal, so that no request has to wait. Takes a second or two."""
        usual = {"iam", "logs", "events", "sqs"}
        for name in sorted(usual | self._moto.journaled_services()):
            if self._closing.is_set():
                return
            if name in BY_SIGNING_NAME and BY_SIGNING_NAME[name].moto:
                self._moto.ensure(BY_SIGNING_NAME[name])
        self._natives.rule_schedules.recover()

    def close(self) -> None:
        """End the long polls that are under way."""
        self._closing.set()

    def credentials(self) -> Credentials:
        """Access key → secret of the local pair, of STS sessions and of IAM users; a live view."""
        return self._natives.credentials

    def identity(self, access_key: str) -> tuple[str, str]:
        """ARN and user id of whoever owns the key. Raises ``NotFoundError``. May wait for IAM to load."""
        pair = self._natives.credentials.pair(access_key)
        if pair is None:
            raise NotFoundError("the access key is not known", access_key)
        return pair.arn, pair.user_id

    def may_assume(self, role_arn: str, principal: str, source: str) -> bool:
        """Whether a service ("sagemaker.amazonaws.com") may act as the role for a resource: by its trust policy.

        May wait for IAM to load, but not for the execution role.
        """
        return self._natives.may_assume(role_arn, principal, source)

    def publish(self, event: Mapping[str, Any]) -> None:
        """Put a service's own event on the default event bus; matching rules' targets have it when this returns.

        ``event`` has source, detail-type and detail, and may have resources, time (``datetime``) and id.
        """
        self._natives.events.publish(event)

    def listen(self, listener: Callable[[Mapping[str, Any]], None]) -> None:
        """Call ``listener`` with every event of the default event bus: the services' own and those that were put."""
        self._natives.events.listen(listener)

    def send_message(self, queue_url: str, body: str) -> None:
        """Send a text to an SQS queue. Raises ``AwsError``."""
        self._moto.ask("sqs", "SendMessage", {"QueueUrl": queue_url, "MessageBody": body}, self._region)

    def publish_to_topic(self, topic_arn: str, text: str) -> None:
        """Publish a text to an SNS topic. Raises ``AwsError``."""
        self._moto.ask("sns", "Publish", {"TopicArn": topic_arn, "Message": text}, self._region)

    def alarm_states(self, names: Sequence[str]) -> Mapping[str, str]:
        """The states (OK, ALARM, INSUFFICIENT_DATA) of those of the CloudWatch alarms that exist, by name."""
        return self._natives.alarms.states(self._region, names)

    def function(self, arn: str) -> FunctionCode:
        """A Lambda function that somebody has created here. Raises ``NotFoundError``, which tells how to."""
        return functions.function(self._moto, arn)

    def publish_metrics(self, metrics: Sequence[ServiceMetric]) -> None:
        """Keep metrics that a service of this stack has of itself."""
        self._natives.metrics.publish(metrics)

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Serve one HTTP request."""
        body = bytearray()
        more = True
        while more:
            part = await receive()
            if part["type"] == "http.disconnect":
                return
            body += part.get("body", b"")
            more = part.get("more_body", False)
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        single = dict(reversed(headers))
        query = scope["query_string"].decode("latin-1")
        service = service_of(single, query, single.get("host", ""))
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        request = AwsRequest(service, scope["method"], path, query, single, bytes(body), self._region)
        response = await to_thread.run_sync(self.serve, request, headers, limiter=self._limiter)
        fields = {**response.headers, "content-length": str(len(response.body))}
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})

    def serve(self, request: AwsRequest, headers: Sequence[tuple[str, str]]) -> AwsResponse:
        """Answer one request; errors come back in the shape of the request's protocol."""
        request_id = self._ids.uuid()
        try:
            response = self._serve(request, headers, request_id)
        except AwsError as error:
            return error_response(request, error, request_id)
        except MlparityError as error:
            _LOG.error("%s: %s", request.service, error)
            return error_response(request, AwsError("InternalFailure", str(error), _INTERNAL), request_id)
        except Exception as error:  # noqa: BLE001 - a client must get AWS's error, whatever broke
            _LOG.exception("a defect in serving %s", request.service)
            why = f"{type(error).__name__}: {error}"
            return error_response(request, AwsError("InternalFailure", why, _INTERNAL), request_id)
        if "x-amzn-requestid" in response.headers:
            return response
        return AwsResponse(response.status, response.body, {**response.headers, "x-amzn-requestid": request_id})

    def _serve(self, request: AwsRequest, headers: Sequence[tuple[str, str]], request_id: str) -> AwsResponse:
        entry = BY_SIGNING_NAME.get(request.service)
        if entry is None:
            why = f"is not served: mlparity has no local {request.service}"
            raise unknown_operation(request, request.rpc_operation(), why)
        operation = self._operation(entry, request)
        refusal = entry.refusal(operation)
        if refusal is not None:  # said first: some of these come unsigned
            raise unknown_operation(request, operation, refusal)
        caller = authenticate(request, headers, self._natives.credentials, self._clock)
        request = request.decompressed()
        if operation not in entry.native and (not entry.moto or operation not in self._moto.moto.operations(entry)):
            raise unknown_operation(request, operation, "is not served by mlparity")
        params = self._models.read(entry, operation, request)
        guards.check(entry.name, operation, params)
        answer = self._natives.handle(entry, operation, params, caller, request.region)
        if answer is not None:
            return self._models.render(entry, operation, answer, request, request_id)
        if (entry.name, operation) == ("sqs", "ReceiveMessage"):
            return queue_polling.receive(self._moto, entry, request, self._clock, self._closing)
        if (entry.name, operation) == ("ecr", "PutImage"):
            request = ecr_images.with_digest(request, params)
        if entry.name == "lambda" and operation in {"CreateFunction", "UpdateFunctionCode"} and self._read_object:
            request = functions.with_code(request, operation, params, self._read_object)
        response = self._moto.call(entry, operation, request)
        if response.ok and entry.name == "events":
            self._natives.rule_schedules.changed(operation, params, request.region)
        return response

    def _operation(self, entry: ServiceEntry, request: AwsRequest) -> str:
        operation = request.rpc_operation()
        if operation is None and self._models.is_rest(entry):
            operation = self._models.rest_operation(entry, request)
        if operation is None or operation not in self._models.of(entry).operations:
            raise unknown_operation(request, operation, f"is not an operation of {entry.name}")
        return operation


def coverage(services: Mapping[str, ServiceEntry] = BY_SIGNING_NAME) -> dict[str, tuple[str, ...]]:
    """The operations that are served, by botocore's service name. Loads every service: slow."""
    from mlparity.apis.aws.moto_runtime import implemented_operations

    result = {}
    for entry in services.values():
        served = set(entry.native)
        if entry.moto:
            served |= {name for name in implemented_operations(entry) if entry.refusal(name) is None}
        result[entry.name] = tuple(sorted(served))
    return result
