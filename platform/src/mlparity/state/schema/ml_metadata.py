"""ML metadata: artifacts, executions and contexts, the events between them, who belongs to whom, and time series."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

_NUMBER = BigInteger().with_variant(Integer, "sqlite")


def _node(name: str, *, primary_key: bool = False) -> Column[int]:
    return Column(name, _NUMBER, ForeignKey("ml_nodes.number", ondelete="CASCADE"), primary_key=primary_key)


ml_nodes = Table(
    "ml_nodes",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("scope", String(320), nullable=False),  # "vertex/project/location/default"
    Column("family", String(16), nullable=False),  # "artifact", "execution" or "context"
    Column("id", String(256), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("schema_title", String(256), nullable=False),
    Column("schema_version", String(64), nullable=False),
    Column("description", Text, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("labels", Json, nullable=False),
    Column("state", String(32), nullable=False),
    Column("uri", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),  # the etag
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("uq_ml_nodes_id", "scope", "family", "id", unique=True),
    Index("ix_ml_nodes_family", "scope", "family"),  # SQLite's indexes go on by row: in the order of making
    Index("ix_ml_nodes_created", "scope", "family", "created_at"),
    Index("ix_ml_nodes_updated", "scope", "family", "updated_at"),
    Index("ix_ml_nodes_title", "scope", "family", "schema_title"),
    Index("ix_ml_nodes_name", "scope", "family", "display_name"),
    Index("ix_ml_nodes_uri", "scope", "family", "uri"),
)

ml_events = Table(
    "ml_events",
    metadata,
    Column("sequence", _NUMBER, primary_key=True, autoincrement=True),
    Column("execution", _NUMBER, ForeignKey("ml_nodes.number", ondelete="CASCADE"), nullable=False),
    Column("artifact", _NUMBER, ForeignKey("ml_nodes.number", ondelete="CASCADE"), nullable=False),
    Column("type", String(16), nullable=False),  # "INPUT" or "OUTPUT"
    Column("path", String(256), nullable=False),  # the input's or output's name, where the API has one
    Column("labels", Json, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("uq_ml_events_ends", "execution", "artifact", "type", "path", unique=True),
    Index("ix_ml_events_artifact", "artifact"),
)

ml_members = Table(
    "ml_members",
    metadata,
    _node("context", primary_key=True),
    _node("member", primary_key=True),  # an artifact or an execution
    Index("ix_ml_members_member", "member"),
)

ml_children = Table(
    "ml_children",
    metadata,
    _node("parent", primary_key=True),
    _node("child", primary_key=True),
    Index("ix_ml_children_child", "child"),
)

ml_points = Table(
    "ml_points",
    metadata,
    Column("series", Text, primary_key=True),  # the full name of the time series
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("value", Float, nullable=True),  # SQLite has no NaN: NULL stands for it
    Column("tensor", LargeBinary, nullable=True),
    Column("version", Integer, nullable=False),
)
