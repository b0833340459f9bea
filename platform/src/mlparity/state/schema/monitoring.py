"""Retraining loops and their cycles."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

loops = Table(
    "loops",
    metadata,
    Column("api", String(32), primary_key=True),  # the vendor folder that carries it out: "sagemaker"
    Column("name", String(64), primary_key=True),
    Column("definition", Json, nullable=False),  # monitoring.loop.definition.LoopDefinition
    Column("paused", Boolean, nullable=False, default=False),
    Column("last_cycle", Integer, nullable=False, default=0),
    Column("created_at", UtcDateTime, nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
)

loop_cycles = Table(
    "loop_cycles",
    metadata,
    Column("api", String(32), primary_key=True),
    Column("loop", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1
    Column("state", String(32), nullable=False),  # monitoring.loop.cycles.CycleState
    Column("dedupe_key", String(256), nullable=False),
    Column("trigger", Text, nullable=False),  # in words
    Column("event", Json, nullable=False),  # as it came
    Column("facts", Json, nullable=False),  # what the steps found: run, package, metrics, rollout
    Column("history", Json, nullable=False),  # [{"at", "state", "reason"}, ...]
    Column("created_at", UtcDateTime, nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime),  # when to look at it again; null once it has ended
    Index("ix_loop_cycles_due", "due_at"),
    Index("ix_loop_cycles_created", "api", "loop", "created_at"),
)
