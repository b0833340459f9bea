"""Searches for the best hyperparameters, and the trials of each."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

tunings = Table(
    "tunings",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("api", String(32), nullable=False),
    Column("kind", String(64), nullable=False),  # the vendor's noun: "HyperParameterTuningJob"
    Column("name", String(256), nullable=False),
    Column("request", Json, nullable=False),  # the vendor's own create request, as validated
    Column("plan", Json, nullable=False),  # engine.tuning.tunings.TuningPlan
    Column("status", String(16), nullable=False),  # engine.tuning.tunings.TuningStatus
    Column("outcome", String(16), nullable=False, default=""),  # the status it is ending with, "" while it searches
    Column("failure_reason", Text, nullable=False, default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("modified_at", UtcDateTime, nullable=False),
    Column("run_id", String(64)),  # the DAG run and step that started it, if any
    Column("step", String(256)),
    Index("uq_tunings_api_kind_name", "api", "kind", "name", unique=True),
    Index("ix_tunings_api_kind_created", "api", "kind", "created_at"),
    Index("ix_tunings_status", "status"),
)

trials = Table(
    "trials",
    metadata,
    Column("tuning_id", String(36), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1
    Column("name", String(256), nullable=False),  # of its job, chosen before the job is made
    Column("parameters", Json, nullable=False),  # parameter -> value
    Column("state", String(16), nullable=False),  # engine.tuning.tunings.TrialState
    Column("objective", Float),
    Column("job_id", String(36)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_trials_job", "job_id"),
)
