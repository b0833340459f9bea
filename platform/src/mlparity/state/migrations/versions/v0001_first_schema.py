"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from mlparity.state.schema.base import UtcDateTime


revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('approvals',
    sa.Column('sequence', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('group_name', sa.String(length=256), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('before', sa.String(length=32), nullable=False),
    sa.Column('after', sa.String(length=32), nullable=False),
    sa.Column('actor', sa.String(length=256), nullable=False),
    sa.Column('comment', sa.Text(), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('sequence', name=op.f('pk_approvals'))
    )
    with op.batch_alter_table('approvals', schema=None) as batch_op:
        batch_op.create_index('ix_approvals_version', ['api', 'group_name', 'version'], unique=False)

    op.create_table('aws_journal',
    sa.Column('sequence', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('service', sa.String(length=64), nullable=False),
    sa.Column('operation', sa.String(length=128), nullable=False),
    sa.Column('method', sa.String(length=8), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('headers', sa.JSON(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('sequence', name=op.f('pk_aws_journal'))
    )
    op.create_table('buckets',
    sa.Column('name', sa.String(length=63), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('region', sa.String(length=32), nullable=False),
    sa.Column('versioning', sa.String(length=16), nullable=False),
    sa.Column('settings', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_buckets'))
    )
    op.create_table('documents',
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('body', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('api', 'kind', 'name', name=op.f('pk_documents'))
    )
    with op.batch_alter_table('documents', schema=None) as batch_op:
        batch_op.create_index('ix_documents_created', ['api', 'kind', 'created_at'], unique=False)

    op.create_table('doomed_blobs',
    sa.Column('blob', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('blob', name=op.f('pk_doomed_blobs'))
    )
    op.create_table('events',
    sa.Column('sequence', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('source', sa.String(length=128), nullable=False),
    sa.Column('detail_type', sa.String(length=256), nullable=False),
    sa.Column('resources', sa.JSON(), nullable=False),
    sa.Column('detail', sa.JSON(), nullable=False),
    sa.Column('delivered_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('sequence', name=op.f('pk_events'))
    )
    with op.batch_alter_table('events', schema=None) as batch_op:
        batch_op.create_index('ix_events_delivered', ['delivered_at'], unique=False)

    op.create_table('jobs',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('request', sa.JSON(), nullable=False),
    sa.Column('spec', sa.JSON(), nullable=False),
    sa.Column('phase', sa.String(length=16), nullable=False),
    sa.Column('history', sa.JSON(), nullable=False),
    sa.Column('failure_reason', sa.Text(), nullable=False),
    sa.Column('exit_code', sa.Integer(), nullable=True),
    sa.Column('results', sa.JSON(), nullable=False),
    sa.Column('stop_requested_at', UtcDateTime(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=True),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.Column('run_id', sa.String(length=128), nullable=True),
    sa.Column('step', sa.String(length=256), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_jobs'))
    )
    with op.batch_alter_table('jobs', schema=None) as batch_op:
        batch_op.create_index('ix_jobs_api_kind_created', ['api', 'kind', 'created_at'], unique=False)
        batch_op.create_index('ix_jobs_phase', ['phase'], unique=False)
        batch_op.create_index('ix_jobs_run', ['run_id'], unique=False)
        batch_op.create_index('uq_jobs_api_kind_name', ['api', 'kind', 'name'], unique=True)

    op.create_table('loop_cycles',
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('loop', sa.String(length=64), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=32), nullable=False),
    sa.Column('dedupe_key', sa.String(length=256), nullable=False),
    sa.Column('trigger', sa.Text(), nullable=False),
    sa.Column('event', sa.JSON(), nullable=False),
    sa.Column('facts', sa.JSON(), nullable=False),
    sa.Column('history', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.Column('due_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('api', 'loop', 'number', name=op.f('pk_loop_cycles'))
    )
    with op.batch_alter_table('loop_cycles', schema=None) as batch_op:
        batch_op.create_index('ix_loop_cycles_created', ['api', 'loop', 'created_at'], unique=False)
        batch_op.create_index('ix_loop_cycles_due', ['due_at'], unique=False)

    op.create_table('loops',
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('definition', sa.JSON(), nullable=False),
    sa.Column('paused', sa.Boolean(), nullable=False),
    sa.Column('last_cycle', sa.Integer(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('api', 'name', name=op.f('pk_loops'))
    )
    op.create_table('model_groups',
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('last_version', sa.Integer(), nullable=False),
    sa.Column('request', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('api', 'name', name=op.f('pk_model_groups'))
    )
    with op.batch_alter_table('model_groups', schema=None) as batch_op:
        batch_op.create_index('ix_model_groups_created', ['api', 'created_at'], unique=False)

    op.create_table('model_versions',
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('group_name', sa.String(length=256), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('approval', sa.String(length=32), nullable=False),
    sa.Column('approval_description', sa.Text(), nullable=False),
    sa.Column('request', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('api', 'group_name', 'version', name=op.f('pk_model_versions'))
    )
    with op.batch_alter_table('model_versions', schema=None) as batch_op:
        batch_op.create_index('ix_model_versions_created', ['api', 'group_name', 'created_at'], unique=False)

    op.create_table('objects',
    sa.Column('bucket', sa.String(length=63), nullable=False),
    sa.Column('key', sa.Text().with_variant(sa.Text(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version_id', sa.String(length=64), nullable=False),
    sa.Column('sequence', sa.BigInteger(), nullable=False),
    sa.Column('is_latest', sa.Boolean(), nullable=False),
    sa.Column('is_delete_marker', sa.Boolean(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('etag', sa.String(length=64), nullable=False),
    sa.Column('blobs', sa.JSON(), nullable=False),
    sa.Column('headers', sa.JSON(), nullable=False),
    sa.Column('user_metadata', sa.JSON(), nullable=False),
    sa.Column('checksums', sa.JSON(), nullable=False),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.Column('crc32c', sa.BigInteger(), nullable=True),
    sa.Column('metageneration', sa.BigInteger(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('bucket', 'key', 'version_id', name=op.f('pk_objects'))
    )
    with op.batch_alter_table('objects', schema=None) as batch_op:
        batch_op.create_index('ix_objects_listing', ['bucket', 'is_latest', 'is_delete_marker', 'key'], unique=False)
        batch_op.create_index('ix_objects_sequence', ['sequence'], unique=False)

    op.create_table('run_steps',
    sa.Column('run_id', sa.String(length=128), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=64), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('branch', sa.String(length=64), nullable=False),
    sa.Column('failure_reason', sa.Text(), nullable=False),
    sa.Column('job_id', sa.String(length=36), nullable=True),
    sa.Column('outputs', sa.JSON(), nullable=False),
    sa.Column('details', sa.JSON(), nullable=False),
    sa.Column('cache_key', sa.String(length=64), nullable=True),
    sa.Column('fault', sa.String(length=64), nullable=False),
    sa.Column('past_jobs', sa.JSON(), nullable=False),
    sa.Column('due_at', UtcDateTime(), nullable=True),
    sa.Column('reuse', sa.String(length=16), nullable=False),
    sa.Column('reused_from', sa.String(length=128), nullable=True),
    sa.Column('started_at', UtcDateTime(), nullable=True),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('run_id', 'name', name=op.f('pk_run_steps'))
    )
    with op.batch_alter_table('run_steps', schema=None) as batch_op:
        batch_op.create_index('ix_run_steps_cache', ['cache_key', 'status', 'ended_at'], unique=False)
        batch_op.create_index('ix_run_steps_job', ['job_id'], unique=False)

    op.create_table('runs',
    sa.Column('id', sa.String(length=128), nullable=False),
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=64), nullable=False),
    sa.Column('parent', sa.String(length=256), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('request', sa.JSON(), nullable=False),
    sa.Column('plan', sa.JSON(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('failure_reason', sa.Text(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=True),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.Column('enclosing_run', sa.String(length=128), nullable=True),
    sa.Column('enclosing_step', sa.String(length=256), nullable=False),
    sa.Column('iteration', sa.Integer(), nullable=False),
    sa.Column('root_run', sa.String(length=128), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_runs'))
    )
    with op.batch_alter_table('runs', schema=None) as batch_op:
        batch_op.create_index('ix_runs_api_kind_parent_created', ['api', 'kind', 'parent', 'created_at'], unique=False)
        batch_op.create_index('ix_runs_enclosing', ['enclosing_run', 'enclosing_step'], unique=False)
        batch_op.create_index('ix_runs_root', ['root_run', 'created_at'], unique=False)
        batch_op.create_index('ix_runs_status', ['status'], unique=False)

    op.create_table('tags',
    sa.Column('resource', sa.String(length=512), nullable=False),
    sa.Column('key', sa.String(length=256), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('resource', 'key', name=op.f('pk_tags'))
    )
    op.create_table('trials',
    sa.Column('tuning_id', sa.String(length=36), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('parameters', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('objective', sa.Float(), nullable=True),
    sa.Column('job_id', sa.String(length=36), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('tuning_id', 'number', name=op.f('pk_trials'))
    )
    with op.batch_alter_table('trials', schema=None) as batch_op:
        batch_op.create_index('ix_trials_job', ['job_id'], unique=False)

    op.create_table('tunings',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('request', sa.JSON(), nullable=False),
    sa.Column('plan', sa.JSON(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('outcome', sa.String(length=16), nullable=False),
    sa.Column('failure_reason', sa.Text(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.Column('run_id', sa.String(length=64), nullable=True),
    sa.Column('step', sa.String(length=256), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tunings'))
    )
    with op.batch_alter_table('tunings', schema=None) as batch_op:
        batch_op.create_index('ix_tunings_api_kind_created', ['api', 'kind', 'created_at'], unique=False)
        batch_op.create_index('ix_tunings_status', ['status'], unique=False)
        batch_op.create_index('uq_tunings_api_kind_name', ['api', 'kind', 'name'], unique=True)

    op.create_table('upload_parts',
    sa.Column('upload_id', sa.String(length=64), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('blob', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('etag', sa.String(length=64), nullable=False),
    sa.Column('checksums', sa.JSON(), nullable=False),
    sa.Column('crc32c', sa.BigInteger(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('upload_id', 'number', name=op.f('pk_upload_parts'))
    )
    op.create_table('upload_sessions',
    sa.Column('session_id', sa.String(length=64), nullable=False),
    sa.Column('bucket', sa.String(length=63), nullable=False),
    sa.Column('key', sa.Text().with_variant(sa.Text(collation='C'), 'postgresql'), nullable=False),
    sa.Column('request', sa.JSON(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('crc32c', sa.BigInteger(), nullable=True),
    sa.Column('version_id', sa.String(length=64), nullable=False),
    sa.Column('sequence', sa.BigInteger(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('session_id', name=op.f('pk_upload_sessions'))
    )
    with op.batch_alter_table('upload_sessions', schema=None) as batch_op:
        batch_op.create_index('ix_upload_sessions_created', ['created_at'], unique=False)

    op.create_table('session_chunks',
    sa.Column('session_id', sa.String(length=64), nullable=False),
    sa.Column('offset', sa.BigInteger(), nullable=False),
    sa.Column('blob', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('session_id', 'offset', name=op.f('pk_session_chunks'))
    )
    op.create_table('uploads',
    sa.Column('upload_id', sa.String(length=64), nullable=False),
    sa.Column('bucket', sa.String(length=63), nullable=False),
    sa.Column('key', sa.Text().with_variant(sa.Text(collation='C'), 'postgresql'), nullable=False),
    sa.Column('headers', sa.JSON(), nullable=False),
    sa.Column('user_metadata', sa.JSON(), nullable=False),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.Column('checksum', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('upload_id', name=op.f('pk_uploads'))
    )
    with op.batch_alter_table('uploads', schema=None) as batch_op:
        batch_op.create_index('ix_uploads_bucket_key', ['bucket', 'key'], unique=False)

    op.create_table('alarm_history',
    sa.Column('sequence', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('region', sa.String(length=32), nullable=False),
    sa.Column('alarm', sa.String(length=255), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('summary', sa.Text(), nullable=False),
    sa.Column('data', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('sequence', name=op.f('pk_alarm_history'))
    )
    with op.batch_alter_table('alarm_history', schema=None) as batch_op:
        batch_op.create_index('ix_alarm_history_alarm', ['region', 'alarm', 'sequence'], unique=False)

    op.create_table('alarms',
    sa.Column('region', sa.String(length=32), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('body', sa.JSON(), nullable=False),
    sa.Column('actions_enabled', sa.Boolean(), nullable=False),
    sa.Column('state', sa.String(length=32), nullable=False),
    sa.Column('state_reason', sa.Text(), nullable=False),
    sa.Column('state_data', sa.Text(), nullable=False),
    sa.Column('state_at', UtcDateTime(), nullable=False),
    sa.Column('transitioned_at', UtcDateTime(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('region', 'name', name=op.f('pk_alarms'))
    )
    with op.batch_alter_table('alarms', schema=None) as batch_op:
        batch_op.create_index('ix_alarms_state', ['region', 'state'], unique=False)

    op.create_table('aws_invocations',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('scheduled_at', UtcDateTime(), nullable=False),
    sa.Column('due_at', UtcDateTime(), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('body', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_aws_invocations'))
    )
    with op.batch_alter_table('aws_invocations', schema=None) as batch_op:
        batch_op.create_index('ix_aws_invocations_due', ['due_at'], unique=False)

    op.create_table('metric_data',
    sa.Column('sequence', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('series_id', sa.String(length=64), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('unit', sa.String(length=32), nullable=False),
    sa.Column('count', sa.Float(), nullable=False),
    sa.Column('total', sa.Float(), nullable=False),
    sa.Column('low', sa.Float(), nullable=False),
    sa.Column('high', sa.Float(), nullable=False),
    sa.Column('samples', sa.JSON(), nullable=True),
    sa.PrimaryKeyConstraint('sequence', name=op.f('pk_metric_data'))
    )
    with op.batch_alter_table('metric_data', schema=None) as batch_op:
        batch_op.create_index('ix_metric_data_at', ['at'], unique=False)
        batch_op.create_index('ix_metric_data_series', ['series_id', 'at'], unique=False)

    op.create_table('metric_series',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('region', sa.String(length=32), nullable=False),
    sa.Column('namespace', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('dimensions', sa.JSON(), nullable=False),
    sa.Column('last_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_metric_series'))
    )
    with op.batch_alter_table('metric_series', schema=None) as batch_op:
        batch_op.create_index('ix_metric_series_name', ['region', 'namespace', 'name', 'id'], unique=False)

    op.create_table('ml_nodes',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('scope', sa.String(length=320), nullable=False),
    sa.Column('family', sa.String(length=16), nullable=False),
    sa.Column('id', sa.String(length=256), nullable=False),
    sa.Column('display_name', sa.Text(), nullable=False),
    sa.Column('schema_title', sa.String(length=256), nullable=False),
    sa.Column('schema_version', sa.String(length=64), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('metadata', sa.JSON(), nullable=False),
    sa.Column('labels', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(length=32), nullable=False),
    sa.Column('uri', sa.Text(), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_ml_nodes'))
    )
    with op.batch_alter_table('ml_nodes', schema=None) as batch_op:
        batch_op.create_index('uq_ml_nodes_id', ['scope', 'family', 'id'], unique=True)
        batch_op.create_index('ix_ml_nodes_family', ['scope', 'family'], unique=False)
        batch_op.create_index('ix_ml_nodes_created', ['scope', 'family', 'created_at'], unique=False)
        batch_op.create_index('ix_ml_nodes_updated', ['scope', 'family', 'updated_at'], unique=False)
        batch_op.create_index('ix_ml_nodes_title', ['scope', 'family', 'schema_title'], unique=False)
        batch_op.create_index('ix_ml_nodes_name', ['scope', 'family', 'display_name'], unique=False)
        batch_op.create_index('ix_ml_nodes_uri', ['scope', 'family', 'uri'], unique=False)

    op.create_table('ml_events',
    sa.Column('sequence', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('execution', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('artifact', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('type', sa.String(length=16), nullable=False),
    sa.Column('path', sa.String(length=256), nullable=False),
    sa.Column('labels', sa.JSON(), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['execution'], ['ml_nodes.number'], name=op.f('fk_ml_events_execution'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['artifact'], ['ml_nodes.number'], name=op.f('fk_ml_events_artifact'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('sequence', name=op.f('pk_ml_events'))
    )
    with op.batch_alter_table('ml_events', schema=None) as batch_op:
        batch_op.create_index('uq_ml_events_ends', ['execution', 'artifact', 'type', 'path'], unique=True)
        batch_op.create_index('ix_ml_events_artifact', ['artifact'], unique=False)

    op.create_table('ml_members',
    sa.Column('context', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('member', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['context'], ['ml_nodes.number'], name=op.f('fk_ml_members_context'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['member'], ['ml_nodes.number'], name=op.f('fk_ml_members_member'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('context', 'member', name=op.f('pk_ml_members'))
    )
    with op.batch_alter_table('ml_members', schema=None) as batch_op:
        batch_op.create_index('ix_ml_members_member', ['member'], unique=False)

    op.create_table('ml_children',
    sa.Column('parent', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('child', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['parent'], ['ml_nodes.number'], name=op.f('fk_ml_children_parent'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['child'], ['ml_nodes.number'], name=op.f('fk_ml_children_child'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('parent', 'child', name=op.f('pk_ml_children'))
    )
    with op.batch_alter_table('ml_children', schema=None) as batch_op:
        batch_op.create_index('ix_ml_children_child', ['child'], unique=False)

    op.create_table('ml_points',
    sa.Column('series', sa.Text(), nullable=False),
    sa.Column('step', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('value', sa.Float(), nullable=True),
    sa.Column('tensor', sa.LargeBinary(), nullable=True),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('series', 'step', name=op.f('pk_ml_points'))
    )
    op.create_table('lineage_edges',
    sa.Column('sequence', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('source', sa.String(length=256), nullable=False),
    sa.Column('target', sa.String(length=256), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('source_kind', sa.String(length=256), nullable=False),
    sa.Column('target_kind', sa.String(length=256), nullable=False),
    sa.Column('body', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('sequence', name=op.f('pk_lineage_edges'))
    )
    with op.batch_alter_table('lineage_edges', schema=None) as batch_op:
        batch_op.create_index('ix_lineage_edges_target', ['api', 'target'], unique=False)
        batch_op.create_index('uq_lineage_edges_ends', ['api', 'source', 'target', 'kind'], unique=True)

    op.create_table('lineage_entities',
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('id', sa.String(length=256), nullable=False),
    sa.Column('family', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=256), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('source_uri', sa.Text(), nullable=False),
    sa.Column('is_open', sa.Boolean(), nullable=False),
    sa.Column('body', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('api', 'id', name=op.f('pk_lineage_entities'))
    )
    with op.batch_alter_table('lineage_entities', schema=None) as batch_op:
        batch_op.create_index('ix_lineage_entities_created', ['api', 'family', 'created_at'], unique=False)
        batch_op.create_index('ix_lineage_entities_open', ['api', 'is_open'], unique=False)
        batch_op.create_index('ix_lineage_entities_source', ['api', 'source_uri'], unique=False)

    op.create_table('endpoints',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('api', sa.String(length=32), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('phase', sa.String(length=32), nullable=False),
    sa.Column('request', sa.JSON(), nullable=False),
    sa.Column('update_request', sa.JSON(), nullable=True),
    sa.Column('failure_reason', sa.Text(), nullable=False),
    sa.Column('state', sa.JSON(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('modified_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_endpoints'))
    )
    with op.batch_alter_table('endpoints', schema=None) as batch_op:
        batch_op.create_index('ix_endpoints_created', ['api', 'created_at'], unique=False)
        batch_op.create_index('uq_endpoints_api_name', ['api', 'name'], unique=True)

    op.create_table('rollouts',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('endpoint_id', sa.String(length=36), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('phase', sa.String(length=32), nullable=False),
    sa.Column('state', sa.JSON(), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rollouts'))
    )
    with op.batch_alter_table('rollouts', schema=None) as batch_op:
        batch_op.create_index('uq_rollouts_endpoint_number', ['endpoint_id', 'number'], unique=True)


def downgrade() -> None:
    """Revert."""
    op.drop_table('ml_points')
    op.drop_table('ml_children')
    op.drop_table('ml_members')
    op.drop_table('ml_events')
    op.drop_table('ml_nodes')
    with op.batch_alter_table('rollouts', schema=None) as batch_op:
        batch_op.drop_index('uq_rollouts_endpoint_number')

    op.drop_table('rollouts')
    with op.batch_alter_table('endpoints', schema=None) as batch_op:
        batch_op.drop_index('uq_endpoints_api_name')
        batch_op.drop_index('ix_endpoints_created')

    op.drop_table('endpoints')
    with op.batch_alter_table('lineage_entities', schema=None) as batch_op:
        batch_op.drop_index('ix_lineage_entities_source')
        batch_op.drop_index('ix_lineage_entities_open')
        batch_op.drop_index('ix_lineage_entities_created')

    op.drop_table('lineage_entities')
    with op.batch_alter_table('lineage_edges', schema=None) as batch_op:
        batch_op.drop_index('uq_lineage_edges_ends')
        batch_op.drop_index('ix_lineage_edges_target')

    op.drop_table('lineage_edges')
    with op.batch_alter_table('metric_series', schema=None) as batch_op:
        batch_op.drop_index('ix_metric_series_name')

    op.drop_table('metric_series')
    with op.batch_alter_table('metric_data', schema=None) as batch_op:
        batch_op.drop_index('ix_metric_data_at')
        batch_op.drop_index('ix_metric_data_series')

    op.drop_table('metric_data')
    with op.batch_alter_table('aws_invocations', schema=None) as batch_op:
        batch_op.drop_index('ix_aws_invocations_due')

    op.drop_table('aws_invocations')
    with op.batch_alter_table('alarms', schema=None) as batch_op:
        batch_op.drop_index('ix_alarms_state')

    op.drop_table('alarms')
    with op.batch_alter_table('alarm_history', schema=None) as batch_op:
        batch_op.drop_index('ix_alarm_history_alarm')

    op.drop_table('alarm_history')

    with op.batch_alter_table('uploads', schema=None) as batch_op:
        batch_op.drop_index('ix_uploads_bucket_key')

    op.drop_table('uploads')
    op.drop_table('upload_parts')
    with op.batch_alter_table('tunings', schema=None) as batch_op:
        batch_op.drop_index('uq_tunings_api_kind_name')
        batch_op.drop_index('ix_tunings_status')
        batch_op.drop_index('ix_tunings_api_kind_created')

    op.drop_table('tunings')
    with op.batch_alter_table('trials', schema=None) as batch_op:
        batch_op.drop_index('ix_trials_job')

    op.drop_table('trials')
    op.drop_table('tags')
    with op.batch_alter_table('runs', schema=None) as batch_op:
        batch_op.drop_index('ix_runs_status')
        batch_op.drop_index('ix_runs_root')
        batch_op.drop_index('ix_runs_enclosing')
        batch_op.drop_index('ix_runs_api_kind_parent_created')

    op.drop_table('runs')
    with op.batch_alter_table('run_steps', schema=None) as batch_op:
        batch_op.drop_index('ix_run_steps_job')
        batch_op.drop_index('ix_run_steps_cache')

    op.drop_table('run_steps')
    with op.batch_alter_table('objects', schema=None) as batch_op:
        batch_op.drop_index('ix_objects_sequence')
        batch_op.drop_index('ix_objects_listing')

    op.drop_table('objects')
    with op.batch_alter_table('model_versions', schema=None) as batch_op:
        batch_op.drop_index('ix_model_versions_created')

    op.drop_table('model_versions')
    op.drop_table('loops')
    with op.batch_alter_table('loop_cycles', schema=None) as batch_op:
        batch_op.drop_index('ix_loop_cycles_due')
        batch_op.drop_index('ix_loop_cycles_created')

    op.drop_table('loop_cycles')
    with op.batch_alter_table('model_groups', schema=None) as batch_op:
        batch_op.drop_index('ix_model_groups_created')

    op.drop_table('model_groups')
    with op.batch_alter_table('jobs', schema=None) as batch_op:
        batch_op.drop_index('uq_jobs_api_kind_name')
        batch_op.drop_index('ix_jobs_run')
        batch_op.drop_index('ix_jobs_phase')
        batch_op.drop_index('ix_jobs_api_kind_created')

    op.drop_table('jobs')
    with op.batch_alter_table('events', schema=None) as batch_op:
        batch_op.drop_index('ix_events_delivered')

    op.drop_table('events')
    with op.batch_alter_table('documents', schema=None) as batch_op:
        batch_op.drop_index('ix_documents_created')

    op.drop_table('doomed_blobs')
    op.drop_table('documents')
    op.drop_table('buckets')
    op.drop_table('aws_journal')
    with op.batch_alter_table('approvals', schema=None) as batch_op:
        batch_op.drop_index('ix_approvals_version')

    op.drop_table('approvals')
