"""What the XML API says of an object in headers.

https://cloud.google.com/storage/docs/xml-api/reference-headers
"""

from __future__ import annotations

from mlparity.storage.base import ObjectInfo
from mlparity.storage.gcs.media import media_headers

_META = "x-goog-meta-"


def object_etag(info: ObjectInfo) -> str:
    """The MD5, or for an object of several parts what stands for it; without quotes."""
    return info.etag


def object_headers(info: ObjectInfo) -> dict[str, str]:
    """The headers of an answer about an object."""
    metadata = {_META + name.lower(): value for name, value in info.user_metadata.items() if _fits(name, value)}
    return {**media_headers(info), **metadata, "etag": f'"{object_etag(info)}"'}


def _fits(name: str, value: str) -> bool:
    """Whether a pair can travel as a header; others the JSON API shows."""
    return name.isascii() and name.replace("-", "").replace("_", "").isalnum() and value.isprintable()
