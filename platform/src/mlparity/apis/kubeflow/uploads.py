"""Files that come as a form (multipart/form-data): the form, and the archives that a pipeline may be packed in."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from email.parser import BytesParser
from email.policy import HTTP

from mlparity.apis.kubeflow.errors import invalid

MAX_FILE = 32 << 20  # bytes, packed and unpacked
_PIPELINE = "pipeline.yaml"
_YAML = (".yaml", ".yml")


def form_file(content_type: str, body: bytes, field: str) -> tuple[str, bytes]:
    """The name and the bytes of the form's file. Raises ``KubeflowError`` where there is none."""
    if not content_type.lower().startswith("multipart/form-data"):
        raise invalid("Failed to read pipeline from file: request Content-Type isn't multipart/form-data")
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == field:
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                return part.get_filename() or "", payload
    raise invalid("Failed to read pipeline from file: http: no such file")


def unpack(filename: str, data: bytes) -> bytes:
    """The pipeline's own file out of what was uploaded. Raises ``KubeflowError``."""
    if len(data) > MAX_FILE:
        raise invalid(f"File size too large. Maximum supported size: {MAX_FILE}")
    if filename.endswith((*_YAML, ".json")):
        return data
    if data[:2] == b"PK":
        return _from_zip(data)
    if data[:2] == b"\x1f\x8b":
        return _from_tarball(data)
    raise invalid("Unexpected pipeline file format. Support .zip, .tar.gz, .json or YAML")


def _from_zip(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [item.filename for item in archive.infolist() if not item.is_dir()]
            chosen = _chosen(names, "zip")
            _require_size(archive.getinfo(chosen).file_size)
            return archive.read(chosen)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        raise invalid("Error extracting pipeline from the zip file. Not a valid zip file") from None


def _from_tarball(data: bytes) -> bytes:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            members = {member.name.removeprefix("./"): member for member in archive if member.isfile()}
            chosen = members[_chosen([*members], "tarball")]
            _require_size(chosen.size)
            file = archive.extractfile(chosen)
            return file.read() if file is not None else b""
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, OSError):
        raise invalid("Error extracting pipeline from the tarball file. Not a valid tarball file") from None


def _chosen(names: list[str], kind: str) -> str:
    """``pipeline.yaml``, or else the first file."""
    if not names:
        raise invalid(f"Error extracting pipeline from the {kind} file. Empty {kind} file")
    chosen = _PIPELINE if _PIPELINE in names else names[0]
    if not chosen.endswith(_YAML):
        raise invalid(
            f"Error extracting pipeline from the {kind} file. Expecting a pipeline.yaml file inside the {kind}. "
            f"Got: {chosen}"
        )
    return chosen


def _require_size(size: int) -> None:
    if size > MAX_FILE:
        raise invalid(f"File size too large. Maximum supported size: {MAX_FILE}")
