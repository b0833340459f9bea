"""Buckets, object versions, and multipart uploads. The bytes are files; these rows say which."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from mlparity.state.schema.base import Json, UtcDateTime, metadata

# Keys sort by their UTF-8 bytes, as S3 lists them; SQLite does so by itself.
Key = Text().with_variant(Text(collation="C"), "postgresql")

buckets = Table(
    "buckets",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("region", String(32), nullable=False),
    # "" (never enabled), "Enabled" or "Suspended"
    Column("versioning", String(16), nullable=False, default=""),
    # sub-resource documents stored and read back: {"tagging": ..., "policy": ..., "lifecycle": ...}
    Column("settings", Json, nullable=False, default=dict),
)

objects = Table(
    "objects",
    metadata,
    Column("bucket", String(63), primary_key=True),
    Column("key", Key, primary_key=True),
    Column("version_id", String(64), primary_key=True),  # "null" where the bucket is not versioned
    # Order of writing over the whole store: the newest version of a key has the highest. Microseconds of the clock
    # where that is enough to grow, so that a number is not used again after its row went.
    Column("sequence", BigInteger, nullable=False),
    Column("is_latest", Boolean, nullable=False),
    Column("is_delete_marker", Boolean, nullable=False, default=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(64), nullable=False),
    # [[blob id, size], ...] in order: a multipart object keeps its parts as they were uploaded.
    Column("blobs", Json, nullable=False),
    Column("headers", Json, nullable=False),  # content-type, cache-control, ... as the client sent them
    Column("user_metadata", Json, nullable=False),
    Column("checksums", Json, nullable=False),  # {"CRC32": base64, ..., "type": "FULL_OBJECT" | "COMPOSITE"}
    Column("tags", Json, nullable=False),
    Column("crc32c", BigInteger),  # of all the bytes; none where it was not computed
    Column("metageneration", BigInteger, nullable=False, default=1),  # how often its metadata were written
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime),  # none: its metadata are as they were created
    # What a listing walks: the newest versions that are not delete markers, in key order.
    Index("ix_objects_listing", "bucket", "is_latest", "is_delete_marker", "key"),
    Index("ix_objects_sequence", "sequence"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", String(64), primary_key=True),
    Column("bucket", String(63), nullable=False),
    Column("key", Key, nullable=False),
    Column("headers", Json, nullable=False),
    Column("user_metadata", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("checksum", Json, nullable=False),  # {"algorithm": "CRC32", "type": "COMPOSITE"} or {}
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_uploads_bucket_key", "bucket", "key"),
)

upload_parts = Table(
    "upload_parts",
    metadata,
    Column("upload_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("blob", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", String(64), nullable=False),
    Column("checksums", Json, nullable=False),
    Column("crc32c", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
)

# Uploads whose bytes come in order, piece by piece, at an address of their own: what Google calls resumable.
upload_sessions = Table(
    "upload_sessions",
    metadata,
    Column("session_id", String(64), primary_key=True),
    Column("bucket", String(63), nullable=False),
    Column("key", Key, nullable=False),
    Column("request", Json, nullable=False),  # what the protocol needs at the end
    Column("size", BigInteger, nullable=False, default=0),  # bytes that have come
    Column("crc32c", BigInteger),  # of these bytes
    Column("version_id", String(64), nullable=False, default=""),  # the version that it became; "" while under way
    Column("sequence", BigInteger),  # and its sequence
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_upload_sessions_created", "created_at"),
)

session_chunks = Table(
    "session_chunks",
    metadata,
    Column("session_id", String(64), primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("blob", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
)

# Blobs that no row names any more: written by the transaction that dropped the last row, removed some time after
# the file is gone. What a crash leaves here is collected at the next start.
doomed_blobs = Table("doomed_blobs", metadata, Column("blob", String(64), primary_key=True))
