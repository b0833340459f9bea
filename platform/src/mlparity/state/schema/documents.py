"""Vendor resources that are only stored and read back, their tags, and the AWS call journal."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

documents = Table(
    "documents",
    metadata,
    Column("api", String(32), primary_key=True),
    Column("kind", String(64), primary_key=True),  # "Pipeline"
    Column("name", String(256), primary_key=True),
    Column("body", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    Index("ix_documents_created", "api", "kind", "created_at"),
)

tags = Table(
    "tags",
    metadata,
    Column("resource", String(512), primary_key=True),  # the ARN
    Column("key", String(256), primary_key=True),
    Column("value", Text, nullable=False),
)

# Mutating calls to the AWS services that run in memory, replayed in order at the next start.
aws_journal = Table(
    "aws_journal",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("service", String(64), nullable=False),
    Column("operation", String(128), nullable=False),
    Column("method", String(8), nullable=False),
    Column("url", Text, nullable=False),
    Column("headers", Json, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
