"""Jobs, DAG runs with their steps, and the journal of events."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("api", String(32), nullable=False),  # the vendor folder that owns it: "sagemaker"
    Column("kind", String(64), nullable=False),  # the vendor's noun: "TrainingJob"
    Column("name", String(256), nullable=False),
    # The vendor's own create request, as validated; what the vendor API renders its answers from.
    Column("request", Json, nullable=False),
    Column("spec", Json, nullable=False),  # engine.jobs.JobSpec
    Column("phase", String(16), nullable=False),  # engine.jobs.Phase
    # [{"phase", "at", "message"}, ...]: every phase entered, in order
    Column("history", Json, nullable=False),
    Column("failure_reason", Text, nullable=False, default=""),
    Column("exit_code", Integer),
    Column("results", Json, nullable=False),  # output name -> URI, metrics, tracking run
    Column("stop_requested_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("modified_at", UtcDateTime, nullable=False),
    Column("run_id", String(128)),  # the DAG run and step that started it, if any
    Column("step", String(256)),
    Index("uq_jobs_api_kind_name", "api", "kind", "name", unique=True),
    Index("ix_jobs_api_kind_created", "api", "kind", "created_at"),
    Index("ix_jobs_phase", "phase"),
    Index("ix_jobs_run", "run_id"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("api", String(32), nullable=False),
    Column("kind", String(64), nullable=False),  # "PipelineExecution"
    Column("parent", String(256), nullable=False),  # the pipeline it executes
    Column("name", String(256), nullable=False),
    Column("request", Json, nullable=False),  # the vendor's start request
    Column("plan", Json, nullable=False),  # engine.runs.RunPlan
    Column("status", String(16), nullable=False),  # engine.runs.RunStatus
    Column("failure_reason", Text, nullable=False, default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("modified_at", UtcDateTime, nullable=False),
    Column("enclosing_run", String(128)),  # the run and step that it lies inside, if any
    Column("enclosing_step", String(256), nullable=False, default=""),
    Column("iteration", Integer, nullable=False, default=-1),  # which of a loop's runs it is
    Column("root_run", String(128), nullable=False),  # the outermost run; its own id where it lies inside none
    Index("ix_runs_enclosing", "enclosing_run", "enclosing_step"),
    Index("ix_runs_root", "root_run", "created_at"),
    Index("ix_runs_api_kind_parent_created", "api", "kind", "parent", "created_at"),
    Index("ix_runs_status", "status"),
)

run_steps = Table(
    "run_steps",
    metadata,
    Column("run_id", String(128), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("position", Integer, nullable=False),  # order in the plan
    Column("kind", String(64), nullable=False),
    Column("status", String(16), nullable=False),  # engine.runs.StepStatus
    Column("attempt", Integer, nullable=False, default=0),
    Column("branch", String(64), nullable=False, default=""),  # the outcome of a condition
    Column("failure_reason", Text, nullable=False, default=""),
    Column("job_id", String(36)),
    Column("outputs", Json, nullable=False),  # what later steps may refer to
    Column("details", Json, nullable=False),  # the vendor's step metadata
    Column("cache_key", String(64)),
    Column("fault", String(64), nullable=False, default=""),  # the kind of its last failure, in the vendor's word
    Column("past_jobs", Json, nullable=False),  # the ids of earlier attempts' jobs
    Column("due_at", UtcDateTime),  # its next attempt, or its deadline
    Column("reuse", String(16), nullable=False, default=""),  # engine.runs.Reuse
    Column("reused_from", String(128)),  # the run whose results it has
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Index("ix_run_steps_cache", "cache_key", "status", "ended_at"),
    Index("ix_run_steps_job", "job_id"),
)

events = Table(
    "events",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("source", String(128), nullable=False),  # "aws.sagemaker"
    Column("detail_type", String(256), nullable=False),
    Column("resources", Json, nullable=False),
    Column("detail", Json, nullable=False),
    # Set once every subscriber has taken it; a restart delivers the rest.
    Column("delivered_at", UtcDateTime),
    Index("ix_events_delivered", "delivered_at"),
)
