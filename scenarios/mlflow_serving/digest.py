"""A model's digest: the same model has the same digest, wherever and whenever it was logged."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import yaml

_MODEL = "MLmodel"
# What MLflow writes about one logging of the model rather than about the model. The first is a file.
_REGISTERED = "registered_model_meta"
_OF_THE_LOGGING = frozenset(
    {"run_id", "model_id", "model_uuid", "utc_time_created", "artifact_path", "model_size_bytes", "prompts"}
)


def model_digest(folder: Path) -> str:
    """SHA-256 (64 hexadecimal digits) over the names and bytes of the model's files.

    Left out is what differs between two loggings of one model: ids and times in MLmodel, the version's own file.
    """
    whole = hashlib.sha256()
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        content = _without_logging(path) if name == _MODEL else path.read_bytes()
        whole.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()


def archive(folder: Path) -> bytes:
    """model.tar.gz as SageMaker unpacks it to /opt/ml/model: no times, no owners, so that equal files pack equally."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in _files(folder):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                tar.addfile(entry, content)
    return packed.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != _REGISTERED and "__pycache__" not in path.parts:
            yield path


def _without_logging(path: Path) -> bytes:
    document = yaml.safe_load(path.read_text("utf-8"))
    kept = {name: value for name, value in document.items() if name not in _OF_THE_LOGGING}
    return yaml.safe_dump(kept, sort_keys=True).encode()
