"""Endpoints and the rollouts that change them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("api", String(32), nullable=False),
    Column("name", String(256), nullable=False),
    Column("phase", String(32), nullable=False),  # serving.endpoints.endpoints.EndpointPhase
    Column("request", Json, nullable=False),  # the vendor's own create request, as validated
    Column("update_request", Json),  # the vendor's own request of the newest update
    Column("failure_reason", Text, nullable=False, default=""),
    Column("state", Json, nullable=False),  # serving.endpoints.documents.endpoint_document
    Column("version", Integer, nullable=False),  # counts the writes
    Column("created_at", UtcDateTime, nullable=False),
    Column("modified_at", UtcDateTime, nullable=False),
    Index("uq_endpoints_api_name", "api", "name", unique=True),
    Index("ix_endpoints_created", "api", "created_at"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("endpoint_id", String(36), nullable=False),
    Column("number", Integer, nullable=False),  # from 1, of the endpoint
    Column("phase", String(32), nullable=False),  # serving.endpoints.endpoints.RolloutPhase
    Column("state", Json, nullable=False),  # serving.endpoints.documents.rollout_document
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("uq_rollouts_endpoint_number", "endpoint_id", "number", unique=True),
)
