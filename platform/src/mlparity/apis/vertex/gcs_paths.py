"""Cloud Storage as folders of a job: ``/gcs/BUCKET/...``, which Vertex mounts with Cloud Storage FUSE.

Here a job finds there what it names, as gs://BUCKET/PATH or /gcs/BUCKET/PATH (or a bucket's bare name: all of it),
placed before it starts; files that it makes or changes in any bucket are stored while it runs and when it ends.
Names are looked for in its command, arguments, environment, output directory and Python packages.
What it does not name is not there: opening it fails with ENOENT. Deleting a file deletes no object.
https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator

from mlparity.engine.jobs import JobInput, JobOutput

ROOT = "/gcs"
_SCHEME = "gs://"
_NAMED = re.compile(r"(?:gs://|/gcs/)([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(/[^\s'\"`,;|&<>()\[\]{}$\\]*)?")
_WILDCARD = re.compile(r"[*?]")
_Place = tuple[str, str]  # bucket, and a path in it without slashes around it; "": all of it


def mounted(texts: Iterable[str], buckets: Collection[str]) -> tuple[list[JobInput], list[JobOutput]]:
    """What a job finds below /gcs and what is stored of it.

    ``texts`` are single words and whole programs; ``buckets`` are those that exist.
    """
    places = _outermost({place for text in texts for place in _named(text, buckets)})
    inputs = [
        JobInput(f"gcs-{number}", _uri(bucket, path), _inside(bucket, path), kind="tree", required=False)
        for number, (bucket, path) in enumerate(places)
    ]
    outputs = [
        JobOutput(
            f"gcs-{bucket}", _inside(bucket, ""), _uri(bucket, ""), on_failure=True, continuous=True, changes_only=True
        )
        for bucket in sorted(buckets)
    ]
    return inputs, outputs


def _named(text: str, buckets: Collection[str]) -> Iterator[_Place]:
    for match in _NAMED.finditer(text):
        if match[1] in buckets:
            yield match[1], _folder_of(match[2] or "")
    word = text.rpartition("=")[2]  # of "--bucket=name"
    if word in buckets:
        yield word, ""


def _folder_of(path: str) -> str:
    """The path up to its first wildcard, without slashes around it."""
    wildcard = _WILDCARD.search(path)
    kept = path[: path.rfind("/", 0, wildcard.start())] if wildcard else path
    return posixpath.normpath(kept).strip("/") if kept.strip("/") else ""


def _outermost(places: set[_Place]) -> list[_Place]:
    kept: list[_Place] = []
    for bucket, path in sorted(places):
        if not any(bucket == other and (not above or f"{path}/".startswith(f"{above}/")) for other, above in kept):
            kept.append((bucket, path))
    return kept


def _uri(bucket: str, path: str) -> str:
    return f"{_SCHEME}{bucket}/{path}" if path else f"{_SCHEME}{bucket}"


def _inside(bucket: str, path: str) -> str:
    return f"{ROOT}/{bucket}/{path}" if path else f"{ROOT}/{bucket}"
