"""Which AWS services are served beside S3 and SageMaker, how, and how far: read by the router and by `parity`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Operations that change nothing, by the vendor's naming habit.
_READING = (
    "Check", "Describe", "Estimate", "Filter", "Get", "Head", "List", "Lookup", "Preview", "Query", "Search", "Select",
    "Simulate", "Test", "Validate", "BatchGet", "BatchCheck", "Decrypt", "Encrypt", "ReEncrypt", "Generate", "Sign",
    "Verify",
)  # fmt: skip


@dataclass(frozen=True)
class ServiceEntry:
    """One service. ``name`` is botocore's; operations are served by moto unless they are in ``native``."""

    name: str
    signing_name: str
    how: str
    moto: str = ""  # moto's module; "" where nothing is left to moto
    native: frozenset[str] = frozenset()
    # Where set, moto's other operations are refused: they would only pretend.
    only: frozenset[str] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)  # operation -> why
    volatile: frozenset[str] = frozenset()  # mutating, but not kept over a restart
    requires: tuple[str, ...] = ()  # signing names that moto reads while it serves this one
    invalid: str = "ValidationException"  # the service's code for a request that breaks its model; "" leaves it to moto
    note: str = ""

    def is_journaled(self, operation: str) -> bool:
        """Whether a successful call must be replayed after a restart."""
        return not operation.startswith(_READING) and operation not in self.volatile

    def refusal(self, operation: str) -> str | None:
        """Why ``operation`` is not served although the vendor has it; None where moto may be asked."""
        if operation in self.refused:
            return self.refused[operation]
        if self.only is not None and operation not in self.only | self.native:
            return "is not served by mlparity"
        return None


_JOURNALED = "moto, journaled"
_NATIVE_AND_MOTO = "native and moto, journaled"
_LOGS_NATIVE = frozenset(
    {"CreateLogGroup", "DeleteLogGroup", "DescribeLogGroups", "DescribeLogStreams", "FilterLogEvents", "GetLogEvents"}
)
_CLOUDWATCH_NATIVE = frozenset(
    {
        "DeleteAlarms", "DescribeAlarmHistory", "DescribeAlarms", "DescribeAlarmsForMetric", "DisableAlarmActions",
        "EnableAlarmActions", "GetMetricData", "GetMetricStatistics", "ListMetrics", "ListTagsForResource",
        "PutMetricAlarm", "PutMetricData", "SetAlarmState", "TagResource", "UntagResource",
    }
)  # fmt: skip
_NO_ARCHIVE = "is not served by mlparity: events are delivered, not archived"
_NO_PROVIDER = "is not served by mlparity: there is no identity provider to check the token with"
_NO_REGISTRY = "is not served by mlparity: there is no image registry behind the repositories"
_NO_SCANNER = "is not served by mlparity: there is no image scanner"
_NOTHING_RUNS = "is not served by mlparity: nothing would execute it"

SERVICES: tuple[ServiceEntry, ...] = (
    ServiceEntry(
        "sts",
        "sts",
        "native",
        native=frozenset(
            {"AssumeRole", "GetAccessKeyInfo", "GetCallerIdentity", "GetFederationToken", "GetSessionToken"}
        ),
        refused=dict.fromkeys(("AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"), _NO_PROVIDER),
        invalid="ValidationError",
        note="AssumeRole follows the role's trust policy; sessions survive a restart",
    ),
    ServiceEntry(
        "iam",
        "iam",
        _NATIVE_AND_MOTO,
        moto="iam",
        native=frozenset({"SimulateCustomPolicy", "SimulatePrincipalPolicy"}),
        invalid="ValidationError",
        note="policies are simulated, not enforced on calls",
    ),
    ServiceEntry(
        "logs",
        "logs",
        _NATIVE_AND_MOTO,
        moto="logs",
        native=_LOGS_NATIVE,
        refused=dict.fromkeys(("CreateExportTask", "StartQuery", "GetQueryResults", "StartLiveTail"), _NOTHING_RUNS),
        invalid="InvalidParameterException",
        note="the groups of SageMaker jobs are the jobs' own log files",
    ),
    ServiceEntry(
        "events",
        "events",
        _NATIVE_AND_MOTO,
        moto="events",
        native=frozenset({"PutEvents", "TestEventPattern"}),
        refused=dict.fromkeys(("CreateArchive", "UpdateArchive", "StartReplay", "CancelReplay"), _NO_ARCHIVE),
        note="targets: SageMaker pipelines, Lambda functions, API destinations on this machine, SQS queues, SNS "
        "topics, log groups, event buses; rules with schedules fire",
    ),
    ServiceEntry(
        "scheduler",
        "scheduler",
        "native",
        native=frozenset(
            {
                "CreateSchedule", "CreateScheduleGroup", "DeleteSchedule", "DeleteScheduleGroup", "GetSchedule",
                "GetScheduleGroup", "ListScheduleGroups", "ListSchedules", "ListTagsForResource", "TagResource",
                "UntagResource", "UpdateSchedule",
            }
        ),
        note="schedules fire: SageMaker pipelines, SQS queues, SNS topics, event buses; times that pass while the "
        "stack is down are not made up for",
    ),
    ServiceEntry(
        "cloudwatch",
        "monitoring",
        _NATIVE_AND_MOTO,
        moto="cloudwatch",
        native=_CLOUDWATCH_NATIVE,
        only=frozenset({"DeleteDashboards", "GetDashboard", "ListDashboards", "PutDashboard"}),
        refused={"PutCompositeAlarm": "is not served by mlparity: alarms are on one metric's statistic"},
        invalid="ValidationError",
        note="metrics are kept for 15 days; alarms are evaluated and act on SNS topics and the event bus; no metric "
        "math, no composite alarms",
    ),
    ServiceEntry(
        "ecr",
        "ecr",
        _NATIVE_AND_MOTO,
        moto="ecr",
        native=frozenset({"BatchGetImage"}),
        refused={
            **dict.fromkeys(("StartImageScan", "DescribeImageScanFindings"), _NO_SCANNER),
            **dict.fromkeys(
                ("CompleteLayerUpload", "GetAuthorizationToken", "GetDownloadUrlForLayer", "InitiateLayerUpload",
                 "UploadLayerPart"),
                _NO_REGISTRY,
            ),
        },
        invalid="InvalidParameterException",
        note="repositories, policies and image manifests; no registry to log in to and push layers to; lifecycle "
        "policies are kept, nothing expires",
    ),
    ServiceEntry(
        "sqs",
        "sqs",
        _JOURNALED,
        moto="sqs",
        volatile=frozenset(
            {
                "CancelMessageMoveTask", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "DeleteMessage",
                "DeleteMessageBatch", "PurgeQueue", "ReceiveMessage", "SendMessage", "SendMessageBatch",
                "StartMessageMoveTask",
            }
        ),
        invalid="",
        note="queues survive a restart, messages do not",
    ),
    ServiceEntry(
        "lambda",
        "lambda",
        _JOURNALED,
        moto="awslambda",
        only=frozenset(
            {
                "AddPermission", "CreateAlias", "CreateFunction", "DeleteAlias", "DeleteFunction", "GetAlias",
                "GetFunction", "GetFunctionConfiguration", "GetPolicy", "ListAliases", "ListFunctions", "ListTags",
                "ListVersionsByFunction", "PublishVersion", "RemovePermission", "TagResource", "UntagResource",
                "UpdateAlias", "UpdateFunctionCode", "UpdateFunctionConfiguration",
            }
        ),
        requires=("iam", "logs"),
        invalid="InvalidParameterValueException",
        note="functions of Python runtimes, without layers; Lambda steps of pipelines run them",
    ),
    ServiceEntry(
        "sns",
        "sns",
        _JOURNALED,
        moto="sns",
        volatile=frozenset({"Publish", "PublishBatch"}),
        requires=("sqs",),
        invalid="InvalidParameter",
        note="messages reach SQS queues; nothing leaves the machine",
    ),
    ServiceEntry(
        "kms",
        "kms",
        _JOURNALED,
        moto="kms",
        note="symmetric keys only; their material survives a restart",
    ),
    ServiceEntry("secretsmanager", "secretsmanager", _JOURNALED, moto="secretsmanager", requires=("kms",)),
    ServiceEntry(
        "ssm",
        "ssm",
        _JOURNALED,
        moto="ssm",
        only=frozenset(
            {
                "AddTagsToResource", "DeleteParameter", "DeleteParameters", "DescribeParameters", "GetParameter",
                "GetParameterHistory", "GetParameters", "GetParametersByPath", "LabelParameterVersion",
                "ListTagsForResource", "PutParameter", "RemoveTagsFromResource",
            }
        ),
        requires=("kms",),
        note="Parameter Store",
    ),
    ServiceEntry(
        "application-autoscaling",
        "application-autoscaling",
        "native",
        native=frozenset(
            {
                "DeleteScalingPolicy", "DeregisterScalableTarget", "DescribeScalableTargets",
                "DescribeScalingActivities", "DescribeScalingPolicies", "ListTagsForResource", "PutScalingPolicy",
                "RegisterScalableTarget", "TagResource", "UntagResource",
            }
        ),
        refused=dict.fromkeys(
            ("DeleteScheduledAction", "DescribeScheduledActions", "PutScheduledAction"),
            "is not served by mlparity: capacities follow metrics only",
        ),
        note="instance counts of SageMaker's endpoint variants, by target tracking of invocations per instance or of "
        "one metric; no step, scheduled or predictive scaling",
    ),
)  # fmt: skip

BY_SIGNING_NAME: Mapping[str, ServiceEntry] = {entry.signing_name: entry for entry in SERVICES}
BY_NAME: Mapping[str, ServiceEntry] = {entry.name: entry for entry in SERVICES}
