"""The S3 endpoint as s3fs (aiobotocore), pandas and minio-py see it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.s3_fixtures import ACCESS_KEY, REGION, SECRET_KEY, Endpoint, s3_endpoint

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with s3_endpoint(tmp_path_factory.mktemp("s3")) as running:
        running.store.create_bucket("data")
        yield running


class TestMinio:
    @pytest.fixture
    def client(self, endpoint: Endpoint) -> Iterator[Any]:
        import urllib3
        from minio import Minio

        pool = urllib3.PoolManager()
        host = endpoint.url.removeprefix("http://")
        yield Minio(host, ACCESS_KEY, SECRET_KEY, secure=False, region=REGION, http_client=pool)
        pool.clear()

    def test_objects(self, client: Any) -> None:
        client.make_bucket(bucket_name="minio")
        assert client.bucket_exists(bucket_name="minio")
        client.put_object(
            bucket_name="minio",
            object_name="a/ü b",
            data=io.BytesIO(b"hello"),
            length=5,
            content_type="text/plain",
            metadata={"x": "y"},
        )
        stat = client.stat_object(bucket_name="minio", object_name="a/ü b")
        assert (stat.size, stat.content_type) == (5, "text/plain")
        got = client.get_object(bucket_name="minio", object_name="a/ü b", offset=1, length=3)
        assert got.read() == b"ell"
        got.close()
        assert [item.object_name for item in client.list_objects(bucket_name="minio")] == ["a/"]
        names = [item.object_name for item in client.list_objects(bucket_name="minio", recursive=True)]
        assert names == ["a/ü b"]
        url = client.presigned_get_object(bucket_name="minio", object_name="a/ü b", expires=timedelta(minutes=1))
        assert httpx.get(url).content == b"hello"
        client.remove_object(bucket_name="minio", object_name="a/ü b")
        client.remove_bucket(bucket_name="minio")
        assert "minio" not in [bucket.name for bucket in client.list_buckets()]

    def test_multipart(self, client: Any, endpoint: Endpoint) -> None:
        data = b"0123456789abcdef" * (11 * MIB // 16)
        client.put_object(bucket_name="data", object_name="big", data=io.BytesIO(data), length=-1, part_size=5 * MIB)
        assert endpoint.store.get_bytes("data", "big") == data
        assert endpoint.store.head("data", "big").etag.endswith("-3")


class TestS3fs:
    @pytest.fixture
    def files(self, endpoint: Endpoint) -> Iterator[Any]:
        import s3fs

        options = {"endpoint_url": endpoint.url, "key": ACCESS_KEY, "secret": SECRET_KEY, "skip_instance_cache": True}
        made = s3fs.S3FileSystem(**options)
        yield made
        s3fs.S3FileSystem.close_session(made.loop, made.s3)

    def test_files_and_folders(self, files: Any, tmp_path: Path) -> None:
        files.pipe_file("data/fs/a.txt", b"hello")
        assert files.cat_file("data/fs/a.txt", start=1, end=3) == b"el"
        with files.open("data/fs/big", "wb", block_size=5 * MIB) as target:
            for _ in range(12):
                target.write(b"x" * MIB)
        with files.open("data/fs/big", "rb") as source:
            source.seek(6 * MIB)
            assert source.read(10) == b"x" * 10
        assert sorted(files.ls("data/fs")) == ["data/fs/a.txt", "data/fs/big"]
        assert files.info("data/fs/big")["size"] == 12 * MIB
        assert files.exists("data/fs/a.txt")
        assert not files.exists("data/fs/none")
        files.copy("data/fs/a.txt", "data/fs/sub/b.txt")
        assert files.find("data/fs") == ["data/fs/a.txt", "data/fs/big", "data/fs/sub/b.txt"]
        (tmp_path / "up").mkdir()
        (tmp_path / "up" / "c").write_bytes(b"c")
        files.put(str(tmp_path / "up"), "data/fs/up", recursive=True)
        files.get("data/fs/up", str(tmp_path / "down"), recursive=True)
        assert (tmp_path / "down" / "c").read_bytes() == b"c"
        with pytest.raises(FileNotFoundError):
            files.cat_file("data/fs/none")
        with pytest.raises(OSError, match="pre-conditions"):
            files.pipe_file("data/fs/a.txt", b"again", mode="create")
        files.rm("data/fs", recursive=True)
        assert files.find("data/fs") == []

    def test_pandas(self, endpoint: Endpoint, files: Any) -> None:
        import pandas as pd

        frame = pd.DataFrame({"a": range(1000), "b": [f"row {number}" for number in range(1000)]})
        for name, write, read in (
            ("t.csv", frame.to_csv, pd.read_csv),
            ("t.parquet", frame.to_parquet, pd.read_parquet),
        ):
            with files.open(f"data/pandas/{name}", "wb") as target:
                write(target, index=False)
            with files.open(f"data/pandas/{name}", "rb") as source:
                pd.testing.assert_frame_equal(read(source), frame, check_dtype=False)
