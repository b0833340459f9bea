"""What is served here and not by moto, wired to the state of moto where it needs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mlparity.apis.aws import alarms_tags, ecr_images, iam_simulation
from mlparity.apis.aws.alarms import CLOUDWATCH, Alarms, AlarmsService
from mlparity.apis.aws.alarms_store import AlarmStore
from mlparity.apis.aws.application_autoscaling import AutoscalingService, NothingScalable, Scalable
from mlparity.apis.aws.application_autoscaling_alarms import TrackingAlarms
from mlparity.apis.aws.application_autoscaling_store import AutoscalingStore
from mlparity.apis.aws.application_autoscaling_work import AutoscalingWork
from mlparity.apis.aws.config import AwsConfig
from mlparity.apis.aws.credentials import Credentials, KeyPair
from mlparity.apis.aws.deliveries import Deliveries
from mlparity.apis.aws.events import EventsService, RuleView
from mlparity.apis.aws.journal import Journal
from mlparity.apis.aws.journaled_moto import JournaledMoto
from mlparity.apis.aws.logs import LogsService
from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.metrics import MetricsService
from mlparity.apis.aws.metrics_store import MetricStore
from mlparity.apis.aws.models import Models
from mlparity.apis.aws.moto_runtime import MotoRuntime
from mlparity.apis.aws.scheduler import SchedulerService
from mlparity.apis.aws.scheduler_store import SchedulerStore
from mlparity.apis.aws.schedules import Schedules
from mlparity.apis.aws.schedules_rules import RuleSchedules, ScheduledRule
from mlparity.apis.aws.sts import StsService
from mlparity.apis.aws.table import BY_NAME, ServiceEntry
from mlparity.apis.aws.targets import EVENTS, SCHEDULER, Delivery, FunctionInvoker, PipelineStarter, Principal, assume
from mlparity.apis.aws.targets_queue import DeliveryQueue
from mlparity.apis.aws.webhooks import Webhooks
from mlparity.clock import Clock
from mlparity.engine.logs import JobLogs
from mlparity.engine.scheduling import TimerService
from mlparity.errors import MlparityError
from mlparity.ids import IdSource
from mlparity.state import Database
from mlparity.state.documents import TagRepository

_SESSION = "mlparity"  # the local key pair is this session of the execution role
_LOST_ROLE_ID = "AROAMLPARITYLOCALROLE"  # where the user has deleted the role
_FULL_ACCESS = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
# Whoever may act as the execution role: with it one role is enough for jobs, rules and schedules.
_TRUSTED = ["sagemaker.amazonaws.com", EVENTS, SCHEDULER]
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": _TRUSTED}, "Action": "sts:AssumeRole"}],
}
_IAM = BY_NAME["iam"]
_EVENTS = BY_NAME["events"]
_PARTITION = "aws"  # moto's "region" of IAM


class Natives:
    """The native services and the shared journaled moto behind them."""

    def __init__(  # noqa: PLR0913 - what the control plane hands in
        self,
        config: AwsConfig,
        database: Database,
        clock: Clock,
        ids: IdSource,
        logs: JobLogs,
        models: Models,
        timers: TimerService,
        start_pipeline: PipelineStarter | None,
        invoke_function: FunctionInvoker | None,
        scalable: Scalable | None,
    ) -> None:
        self._config = config
        journal, runtime = Journal(database), MotoRuntime(config.account_id, clock)
        first = {"iam": self._create_execution_role}
        self.moto = JournaledMoto(runtime, journal, clock, ids, models.document, first)
        local = (config.access_key_id, config.secret_access_key)
        self.credentials = Credentials(database, clock, ids, local, self._identity, self._user_keys, self._role_id)
        deliveries = Deliveries(self.moto, clock, ids, self._assume, start_pipeline, invoke_function)
        targets = {
            "sqs": deliveries.to_queue,
            "sns": deliveries.to_topic,
            "logs": deliveries.to_log_group,
            "sagemaker": deliveries.to_pipeline,
            "lambda": deliveries.to_function,
            "api-destination": Webhooks(self.moto).deliver,
        }
        queue = DeliveryQueue(database, clock, self._deliver, deliveries.dead_letter, timers.wake)
        self.events = EventsService(
            config.account_id, config.region, clock, ids, self._rules, targets, queue.retry_later, self._assume
        )
        self.rule_schedules = RuleSchedules(
            config.account_id, database, clock, queue, self._scheduled_rules, timers.wake
        )
        store = SchedulerStore(database, clock)
        self.schedules = Schedules(config.account_id, store, queue, clock, timers.wake)
        self._scheduler = SchedulerService(
            config.account_id, store, clock, self._assume, self.schedules.changed, self.schedules.gone
        )
        self._metric_tags = TagRepository(database)
        metrics, alarms = MetricStore(database), AlarmStore(database)
        self.metrics = MetricsService(metrics, clock, config.region)
        self.alarms = Alarms(config.account_id, alarms, metrics, queue, clock, ids)
        self._alarms = AlarmsService(config.account_id, alarms, self.alarms, self._metric_tags, clock, timers.wake)
        targets_store, variants = AutoscalingStore(database, clock), scalable or NothingScalable()
        scaling = AutoscalingWork(targets_store, metrics, variants, clock, ids)
        tracking = TrackingAlarms(config.account_id, self._alarms.handle)
        self._autoscaling = AutoscalingService(config.account_id, targets_store, variants, ids, timers.wake, tracking)
        self.events.listen(self._autoscaling.on_event)
        timers.add(self.schedules, self.rule_schedules, self.metrics, self.alarms, queue, scaling)
        self._sts = StsService(config.account_id, self.credentials, self._find_role)
        self._logs = LogsService(logs, config.account_id, config.region)

    def handle(
        self, entry: ServiceEntry, operation: str, params: Mapping[str, Any], caller: KeyPair, region: str
    ) -> dict[str, Any] | None:
        """The response of a native operation; None where moto is to answer. Raises ``AwsError``."""
        handlers: Mapping[str, Callable[[], dict[str, Any] | None]] = {
            "sts": lambda: self._sts.handle(operation, params, caller),
            "iam": lambda: self._simulate(operation, params),
            "cloudwatch": lambda: self._cloudwatch(operation, params, region),
            "scheduler": lambda: self._scheduler.handle(operation, params, region),
            "events": lambda: self.events.handle(operation, params, region),
            "ecr": lambda: self._handle_ecr(entry, operation, params, region),
            "logs": lambda: self._handle_logs(operation, params, region),
            "application-autoscaling": lambda: self._autoscaling.handle(operation, params, region),
        }
        handler = handlers.get(entry.name)
        return None if handler is None else handler()

    def _handle_ecr(
        self, entry: ServiceEntry, operation: str, params: Mapping[str, Any], region: str
    ) -> dict[str, Any] | None:
        self.moto.ensure(entry)
        with self.moto.moto.exclusive():
            return ecr_images.handle(self.moto.moto.backend(entry, region), operation, params)

    def _handle_logs(self, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any] | None:
        if region != self._config.region:
            return None
        return self._logs.handle(operation, params, lambda name, asked: self.moto.ask("logs", name, asked, region))

    def _simulate(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        if operation == "SimulateCustomPolicy":
            return iam_simulation.simulate(params, iam_simulation.Principal((), None, {}))
        if operation != "SimulatePrincipalPolicy":
            return None
        self.moto.ensure(_IAM)
        with self.moto.moto.exclusive():
            iam = self.moto.moto.backend(_IAM, _PARTITION)
            principal = iam_simulation.find_principal(iam, params["PolicySourceArn"])
        return iam_simulation.simulate(params, principal)

    def _create_execution_role(self) -> None:
        """At the first start. What the user changes about the role later stays changed."""
        name, region = self._config.role_name, self._config.region
        if self._role(self._role_arn) is None:
            trust = {"RoleName": name, "AssumeRolePolicyDocument": json.dumps(_TRUST)}
            self.moto.ask("iam", "CreateRole", trust, region)
        self.moto.ask("iam", "AttachRolePolicy", {"RoleName": name, "PolicyArn": _FULL_ACCESS}, region)

    @property
    def _role_arn(self) -> str:
        return f"arn:aws:iam::{self._config.account_id}:role/{self._config.role_name}"

    def _role(self, arn: str) -> Any:
        self.moto.ensure(_IAM)
        with self.moto.moto.exclusive():
            roles = self.moto.moto.backend(_IAM, _PARTITION).roles.values()
            return next((role for role in roles if role.arn == arn), None)

    def _find_role(self, arn: str) -> tuple[str, str, int] | None:
        role = self._role(arn)
        return None if role is None else (role.id, role.assume_role_policy_document, int(role.max_session_duration))

    def _cloudwatch(self, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any] | None:
        for service in (self.metrics, self._alarms):
            answer = service.handle(operation, params, region)
            if answer is not None:
                return answer
        return alarms_tags.handle(self._metric_tags, self._alarms.exists, operation, params)

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.principal != CLOUDWATCH or delivery.service != "sns":
            self.events.deliver(delivery)
            return
        try:
            self.events.deliver(delivery)
        except MlparityError as error:
            self.alarms.acted(delivery, error.what)
            raise
        self.alarms.acted(delivery, "")

    def _assume(self, role_arn: str, principal: str, source: str) -> Principal:
        return assume(self._find_role, self._config.account_id, role_arn, principal, source)

    def may_assume(self, role_arn: str, principal: str, source: str) -> bool:
        """Whether the role exists and its trust policy lets a service act as it, for the resource ``source``.

        The execution role is taken to be as it was made until IAM is loaded: the first job is not to wait for that.
        """
        if role_arn == self._role_arn and not self.moto.is_ready(_IAM):
            return True
        try:
            self._assume(role_arn, principal, source)
        except AwsError:
            return False
        return True

    def _role_id(self, arn: str) -> str:
        role = self._role(arn)
        return role.id if role is not None else _LOST_ROLE_ID

    def _identity(self) -> tuple[str, str]:
        arn = f"arn:aws:sts::{self._config.account_id}:assumed-role/{self._config.role_name}/{_SESSION}"
        return arn, f"{self._role_id(self._role_arn)}:{_SESSION}"

    def _user_keys(self) -> Mapping[str, KeyPair]:
        self.moto.ensure(_IAM)
        with self.moto.moto.exclusive():
            users = list(self.moto.moto.backend(_IAM, _PARTITION).users.values())
            return {
                key.access_key_id: KeyPair(key.access_key_id, key.secret_access_key, user.arn, user.id)
                for user in users
                for key in user.access_keys
                if key.status == "Active"
            }

    def _rules(self, region: str, bus: str) -> list[RuleView] | None:
        self.moto.ensure(_EVENTS)
        with self.moto.moto.exclusive():
            found = self.moto.moto.backend(_EVENTS, region).event_buses.get(bus.rpartition("/")[2])
            if found is None:
                return None
            return [
                RuleView(rule.name, rule.arn, rule.event_pattern.get_pattern(), _targets(rule))
                for rule in found.rules.values()
                if rule.state != "DISABLED" and rule.event_pattern.get_pattern()
            ]

    def _scheduled_rules(self) -> list[ScheduledRule] | None:
        """Schedules are on default buses only."""
        if not self.moto.is_ready(_EVENTS):
            return None
        with self.moto.moto.exclusive():
            return [
                ScheduledRule(region, rule.name, rule.arn, rule.scheduled_expression, _targets(rule))
                for region, backend in self.moto.moto.backends(_EVENTS).items()
                for rule in backend.event_buses["default"].rules.values()
                if rule.state != "DISABLED" and rule.scheduled_expression
            ]


def _targets(rule: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(dict(each) for each in rule.targets)
