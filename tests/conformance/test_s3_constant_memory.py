"""An object is never in the server's memory as a whole, whichever way it comes and goes: measured at its peak."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlparity.testing.peak import forget_peak, peak
from mlparity.testing.stack import RunningStack

SIZE = 300 * 10**6
BOUND = 64 * 10**6  # the parts that one client sends at a time, and what the allocator keeps
CHUNK = 1 << 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="a process's peak is read from /proc"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every chunk begins with its number, so that none can stand for another; the rest is a hole, and costs no disk."""
    path = tmp_path_factory.mktemp("large") / "source"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for start in range(0, SIZE, CHUNK):
            file.seek(start)
            file.write(start.to_bytes(8, "big"))
    return path


def whole(s3: Any, bucket: str, source: Path) -> None:
    with source.open("rb") as body:
        s3.put_object(Bucket=bucket, Key="large", Body=body)


def parts(s3: Any, bucket: str, source: Path) -> None:
    s3.upload_file(str(source), bucket, "large")


@pytest.mark.parametrize("upload", [whole, parts])
def test_a_large_object_comes_and_goes_in_constant_memory(
    stack_without_tracking: RunningStack, source: Path, upload: Callable[[Any, str, Path], None]
) -> None:
    stack = stack_without_tracking
    s3, bucket = stack.client("s3"), stack.config.default_bucket
    server = next(child.pid for child in stack.record().children if child.name == "control-plane")
    s3.list_buckets()
    stack.client("iam").list_roles()  # what the first requests import, in the background too, is not the object's
    before = forget_peak(server)
    upload(s3, bucket, source)
    received = peak(server) - before
    body = s3.get_object(Bucket=bucket, Key="large")["Body"]
    with source.open("rb") as expected:
        assert all(piece == expected.read(len(piece)) for piece in body.iter_chunks(CHUNK))
        assert expected.tell() == SIZE
    s3.delete_object(Bucket=bucket, Key="large")
    assert received < BOUND
    assert peak(server) - before < BOUND
