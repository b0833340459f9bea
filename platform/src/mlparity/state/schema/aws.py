"""What the AWS services around SageMaker keep: planned deliveries, metrics, and alarms with their history."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

_Sequence = BigInteger().with_variant(Integer, "sqlite")

# What a schedule has decided to deliver and has not delivered yet.
aws_invocations = Table(
    "aws_invocations",
    metadata,
    Column("id", String(36), primary_key=True),  # made from what fired and when, so that it cannot be there twice
    Column("scheduled_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),  # made so far
    Column("body", Json, nullable=False),  # apis.aws.targets_queue.Invocation
    Index("ix_aws_invocations_due", "due_at"),
)

metric_series = Table(
    "metric_series",
    metadata,
    Column("id", String(64), primary_key=True),  # a digest of the next four
    Column("region", String(32), nullable=False),
    Column("namespace", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("dimensions", Json, nullable=False),  # {name: value}
    Column("last_at", UtcDateTime, nullable=False),  # of its newest data point
    Index("ix_metric_series_name", "region", "namespace", "name", "id"),
)

# As they came: a row a datum. Periods are made when they are asked for.
metric_data = Table(
    "metric_data",
    metadata,
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("series_id", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),  # the minute, or the second of a high-resolution metric
    Column("unit", String(32), nullable=False),
    Column("count", Float, nullable=False),
    Column("total", Float, nullable=False),
    Column("low", Float, nullable=False),
    Column("high", Float, nullable=False),
    Column("samples", Json),  # [[value, count], ...]; null for a statistic set, whose values nobody knows
    Index("ix_metric_data_series", "series_id", "at"),
    Index("ix_metric_data_at", "at"),
)

alarms = Table(
    "alarms",
    metadata,
    Column("region", String(32), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("body", Json, nullable=False),  # the members of PutMetricAlarm
    Column("actions_enabled", Boolean, nullable=False),
    Column("state", String(32), nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("state_data", Text, nullable=False),
    Column("state_at", UtcDateTime, nullable=False),  # the state or its reason last changed
    Column("transitioned_at", UtcDateTime, nullable=False),  # the state last changed
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_alarms_state", "region", "state"),
)

alarm_history = Table(
    "alarm_history",
    metadata,
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("region", String(32), nullable=False),
    Column("alarm", String(255), nullable=False),
    Column("kind", String(32), nullable=False),  # ConfigurationUpdate, StateUpdate or Action
    Column("at", UtcDateTime, nullable=False),
    Column("summary", Text, nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_alarm_history_alarm", "region", "alarm", "sequence"),
)
