"""The lineage graph: data, models, images, jobs, approvals and experiments, and what led to what."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

lineage_entities = Table(
    "lineage_entities",
    metadata,
    Column("api", String(32), primary_key=True),
    Column("id", String(256), primary_key=True),  # the vendor's name for it: an ARN
    Column("family", String(32), nullable=False),  # "Artifact"
    Column("kind", String(256), nullable=False),  # "DataSet"
    Column("name", String(256), nullable=False),
    Column("source_uri", Text, nullable=False),
    Column("is_open", Boolean, nullable=False),  # stands for work that has not ended
    Column("body", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    Index("ix_lineage_entities_created", "api", "family", "created_at"),
    Index("ix_lineage_entities_source", "api", "source_uri"),
    Index("ix_lineage_entities_open", "api", "is_open"),
)

lineage_edges = Table(
    "lineage_edges",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("api", String(32), nullable=False),
    Column("source", String(256), nullable=False),
    Column("target", String(256), nullable=False),
    Column("kind", String(32), nullable=False),  # "ContributedTo"
    Column("source_kind", String(256), nullable=False),  # the kinds of its ends, which never change
    Column("target_kind", String(256), nullable=False),
    Column("body", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("uq_lineage_edges_ends", "api", "source", "target", "kind", unique=True),
    Index("ix_lineage_edges_target", "api", "target"),
)
