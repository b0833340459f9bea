"""Alembic's entry point: migrate over the connection that the caller gave."""

from __future__ import annotations

from alembic import context

from mlparity.state.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
