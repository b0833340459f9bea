"""The unmodified gcsfs against the endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.gcs_fixtures import PROJECT, gcs_endpoint

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from gcsfs.core import GCSFileSystem  # without the part that asks a gRPC API for the kind of each bucket

    with gcs_endpoint(tmp_path_factory.mktemp("gcs")) as endpoint:
        made = GCSFileSystem(project=PROJECT, token="anon", endpoint_url=endpoint.url, skip_instance_cache=True)
        made.mkdir("lake")
        yield made


def test_trees(files: Any, tmp_path: Path) -> None:
    for name in ("a/x.csv", "a/b/y.csv", "z ü.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    files.put(f"{tmp_path}/in/", "lake/tree/", recursive=True)
    assert files.find("lake/tree") == ["lake/tree/a/b/y.csv", "lake/tree/a/x.csv", "lake/tree/z ü.txt"]
    assert sorted(files.ls("lake/tree")) == ["lake/tree/a", "lake/tree/z ü.txt"]
    assert files.info("lake/tree/a")["type"] == "directory"
    assert files.info("lake/tree/z ü.txt")["size"] == len("z ü.txt".encode())
    assert files.glob("lake/tree/**/*.csv") == ["lake/tree/a/b/y.csv", "lake/tree/a/x.csv"]
    assert files.cat(files.find("lake/tree/a")) == {
        "lake/tree/a/b/y.csv": b"a/b/y.csv",
        "lake/tree/a/x.csv": b"a/x.csv",
    }
    files.mv("lake/tree/a/x.csv", "lake/tree/moved.csv")
    files.cp("lake/tree/moved.csv", "lake/tree/copied.csv")
    assert not files.exists("lake/tree/a/x.csv")
    assert files.cat_ranges(["lake/tree/copied.csv"] * 2, [0, 2], [1, 5]) == [b"a", b"x.c"]
    files.get("lake/tree", str(tmp_path / "out"), recursive=True)
    assert (tmp_path / "out" / "a" / "b" / "y.csv").read_text() == "a/b/y.csv"
    files.rm("lake/tree", recursive=True)
    assert files.find("lake/tree") == []


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # gcsfs's own way
def test_chunked_writes_and_reads(files: Any) -> None:
    data = b"".join(bytes([number]) * 100_000 for number in range(100))
    with files.open("lake/large", "wb", block_size=5 * MEGABYTE, consistency="md5") as file:
        for start in range(0, len(data), 700_000):
            file.write(data[start : start + 700_000])
    with files.open("lake/large", "rb", block_size=MEGABYTE) as file:
        file.seek(3 * MEGABYTE)
        assert file.read(10) == data[3 * MEGABYTE : 3 * MEGABYTE + 10]
        file.seek(-5, 2)
        assert file.read() == data[-5:]
    files.merge("lake/twice", ["lake/large", "lake/large"])
    assert files.cat_file("lake/twice", start=len(data), end=len(data) + 10) == data[:10]
    files.setxattrs("lake/large", content_type="a/b", owner="me")
    assert files.getxattr("lake/large", "owner") == "me"
    with pytest.raises(FileExistsError), files.open("lake/large", "xb") as file:
        file.write(b"no")
    half = files.open("lake/never", "wb", block_size=5 * MEGABYTE)
    half.write(b"x" * 6 * MEGABYTE)
    half.discard()
    assert not files.exists("lake/never")
