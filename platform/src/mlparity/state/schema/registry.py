"""Model groups, their versions, and who approved what."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

model_groups = Table(
    "model_groups",
    metadata,
    Column("api", String(32), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("description", Text, nullable=False, default=""),
    Column("last_version", Integer, nullable=False, default=0),
    Column("request", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_model_groups_created", "api", "created_at"),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("api", String(32), primary_key=True),
    Column("group_name", String(256), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("approval", String(32), nullable=False),  # the vendor's own word: "PendingManualApproval"
    Column("approval_description", Text, nullable=False, default=""),
    Column("request", Json, nullable=False),  # the vendor's create request, with later updates applied
    Column("created_at", UtcDateTime, nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    Index("ix_model_versions_created", "api", "group_name", "created_at"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("api", String(32), nullable=False),
    Column("group_name", String(256), nullable=False),
    Column("version", Integer, nullable=False),
    Column("before", String(32), nullable=False),
    Column("after", String(32), nullable=False),
    Column("actor", String(256), nullable=False),
    Column("comment", Text, nullable=False, default=""),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_approvals_version", "api", "group_name", "version"),
)
