"""Object URIs: s3://, gs:// and minio:// name the same buckets of one store."""

from __future__ import annotations

from collections.abc import Collection

from mlparity.errors import InvalidRequestError

SCHEMES = ("s3", "gs", "minio")


def parse_uri(uri: str, schemes: Collection[str] = SCHEMES) -> tuple[str, str]:
    """``SCHEME://bucket/key`` as (bucket, key). Raises ``InvalidRequestError`` for anything else."""
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in schemes or not separator or not bucket:
        allowed = " or ".join(f"{name}://bucket/key" for name in schemes)
        raise InvalidRequestError(f"{uri} is not an object URI", f"it must be {allowed}")
    return bucket, key
