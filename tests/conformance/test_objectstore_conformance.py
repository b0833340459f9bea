"""What every implementation of the bucket store must do, seen through the ``BucketStore`` seam."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mlparity.errors import (
    BucketExistsError,
    BucketNotEmptyError,
    InvalidBucketNameError,
    InvalidPartError,
    InvalidPartOrderError,
    NoSuchBucketError,
    NoSuchObjectError,
    NoSuchUploadError,
    PartTooSmallError,
    PreconditionFailedError,
)
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.storage.bucketstore import BucketStore, Condition, Properties, Staged
from mlparity.storage.filestore import FileObjectStore
from mlparity.testing import TestClock

MIB = 1024 * 1024
NONE = Condition()
Factory = Callable[[Path, ExitStack], BucketStore]


def file_store(root: Path, stack: ExitStack) -> BucketStore:
    database = Database.open(root / "state.db")
    stack.callback(database.close)
    return FileObjectStore(database, root / "objects", TestClock(), SystemIds(), "us-east-1")


IMPLEMENTATIONS: dict[str, Factory] = {"files": file_store}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BucketStore]:
    with ExitStack() as stack:
        made = IMPLEMENTATIONS[request.param](tmp_path, stack)
        made.create_bucket("data")
        yield made


def stage(store: BucketStore, data: bytes) -> Staged:
    writer = store.stage()
    writer.write(data)
    return writer.finish()


def upload(store: BucketStore, key: str, *parts: bytes) -> str:
    begun = store.uploads.create("data", key, Properties(), {})
    tags = [
        (number, store.uploads.put_part(begun, number, stage(store, part), {}).etag)
        for number, part in enumerate(parts, 1)
    ]
    return store.uploads.complete(begun, tags, {}, NONE).etag


class TestBuckets:
    def test_made_once(self, store: BucketStore) -> None:
        with pytest.raises(BucketExistsError):
            store.create_bucket("data")
        store.ensure_bucket("data")
        store.ensure_bucket("more")
        assert [bucket.name for bucket in store.buckets.list()] == ["data", "more"]
        assert store.buckets.get("more").region == "us-east-1"
        assert store.buckets.create("far", "eu-west-1").region == "eu-west-1"

    @pytest.mark.parametrize(
        "name",
        ["", "ab", "a" * 64, "Upper", "under_score", "-a-b", "ab-", "a..b", "192.168.0.1", "xn--abc", "a/b", "../etc"],
    )
    def test_bad_names(self, store: BucketStore, name: str) -> None:
        with pytest.raises(InvalidBucketNameError):
            store.create_bucket(name)

    def test_deleted_only_when_empty(self, store: BucketStore) -> None:
        store.put_bytes("data", "a", b"1")
        with pytest.raises(BucketNotEmptyError):
            store.buckets.delete("data")
        store.delete("data", "a")
        store.uploads.create("data", "half", Properties(), {})
        store.buckets.delete("data")
        with pytest.raises(NoSuchBucketError):
            store.buckets.get("data")
        with pytest.raises(NoSuchBucketError):
            store.buckets.delete("data")

    def test_settings(self, store: BucketStore) -> None:
        store.buckets.put_setting("data", "policy", "{}")
        store.buckets.put_setting("data", "cors", "<x/>")
        store.buckets.put_setting("data", "policy", None)
        assert store.buckets.get("data").settings == {"cors": "<x/>"}
        with pytest.raises(NoSuchBucketError):
            store.buckets.put_setting("nowhere", "cors", "x")


class TestObjects:
    @pytest.mark.parametrize("data", [b"", b"x", b"hello" * 1000, b"\0" * (3 * MIB + 7)])
    def test_bytes_come_back(self, store: BucketStore, data: bytes) -> None:
        put = store.put_bytes("data", "k", data, content_type="text/csv")
        assert put.etag == hashlib.md5(data).hexdigest()
        assert store.get_bytes("data", "k") == data
        head = store.head("data", "k")
        assert (head.size, head.etag, head.version_id, head.headers) == (
            len(data),
            put.etag,
            "null",
            {"content-type": "text/csv"},
        )

    @pytest.mark.parametrize(
        "key", ["../../etc/passwd", "/abs", "a//b/", "ünï/🚀", "a b+c%20", "x" * 1024, "\x01", "."]
    )
    def test_any_key(self, store: BucketStore, key: str, tmp_path: Path) -> None:
        store.put_bytes("data", key, b"v")
        assert store.get_bytes("data", key) == b"v"
        assert [info.key for info in store.iterate("data")] == [key]
        store.delete("data", key)
        with pytest.raises(NoSuchObjectError):
            store.head("data", key)

    def test_files_in_and_out(self, store: BucketStore, tmp_path: Path) -> None:
        source = tmp_path / "in.bin"
        source.write_bytes(b"abc" * MIB)
        store.put_file("data", "f", source)
        target = tmp_path / "deep" / "er" / "out.bin"
        store.download("data", "f", target)
        assert target.read_bytes() == source.read_bytes()
        assert [path.name for path in target.parent.iterdir()] == ["out.bin"]

    def test_what_is_not_there(self, store: BucketStore) -> None:
        with pytest.raises(NoSuchObjectError):
            store.head("data", "k")
        with pytest.raises(NoSuchObjectError):
            store.open("data", "k")
        with pytest.raises(NoSuchBucketError):
            store.head("nowhere", "k")
        with pytest.raises(NoSuchBucketError):
            store.put_bytes("nowhere", "k", b"")
        with pytest.raises(NoSuchBucketError):
            store.list("nowhere")
        with pytest.raises(NoSuchBucketError):
            store.delete("nowhere", "k")
        store.delete("data", "k")

    def test_seeking(self, store: BucketStore) -> None:
        store.put_bytes("data", "k", bytes(range(256)))
        with store.open("data", "k") as stream:
            stream.seek(-6, 2)
            assert stream.read() == bytes(range(250, 256))
            stream.seek(3)
            assert stream.read(4) == bytes([3, 4, 5, 6])
            stream.seek(1000)
            assert stream.read() == b""

    @pytest.mark.parametrize("end", ["overwritten", "deleted"])
    def test_open_stream_is_stable(self, store: BucketStore, end: str) -> None:
        upload(store, "k", b"a" * (5 * MIB), b"b" * 10)
        with store.open("data", "k") as stream:
            assert stream.read(3) == b"aaa"
            if end == "overwritten":
                store.put_bytes("data", "k", b"new")
            else:
                store.delete("data", "k")
            stream.seek(5 * MIB)
            assert stream.read() == b"b" * 10

    def test_conditions(self, store: BucketStore) -> None:
        def put(condition: Condition) -> str:
            return store.put_staged("data", "k", stage(store, b"v"), Properties(), condition).etag

        with pytest.raises(NoSuchObjectError):
            put(Condition(if_match="*"))
        etag = put(Condition(if_none_match="*"))
        with pytest.raises(PreconditionFailedError):
            put(Condition(if_none_match="*"))
        with pytest.raises(PreconditionFailedError):
            put(Condition(if_match="0" * 32))
        assert put(Condition(if_match=etag)) == etag
        with pytest.raises(PreconditionFailedError):
            store.delete_many("data", [("k", None)], Condition(if_match="0" * 32))
        store.delete_many("data", [("k", None)], Condition(if_match=etag))
        put(Condition(if_none_match="*"))

    def test_properties_and_tags(self, store: BucketStore) -> None:
        given = Properties(
            {"content-type": "a/b"}, {"who": "me"}, {"CRC32": "AAAAAA==", "type": "FULL_OBJECT"}, {"t": "1"}
        )
        store.put_staged("data", "k", stage(store, b"v"), given, NONE)
        head = store.head("data", "k")
        assert (head.headers, head.user_metadata, head.checksums, head.tags) == (
            given.headers,
            given.user_metadata,
            given.checksums,
            given.tags,
        )
        store.set_tags("data", "k", None, {"t": "2", "u": "3"})
        assert store.head("data", "k").tags == {"t": "2", "u": "3"}

    def test_copy(self, store: BucketStore) -> None:
        data = b"a" * (5 * MIB) + b"tail"
        assert upload(store, "source", data[: 5 * MIB], data[5 * MIB :]).endswith("-2")
        seen: list[bytes] = []
        staged = store.stage_copy("data", "source", observe=seen.append)
        copied = store.put_staged("data", "copy", staged, Properties(), NONE)
        assert b"".join(seen) == data
        assert copied.etag == hashlib.md5(data).hexdigest()
        store.delete("data", "source")
        assert store.get_bytes("data", "copy") == data

    def test_writers_of_one_key_end_with_one_whole_object(self, store: BucketStore) -> None:
        payloads = [bytes([number]) * (200_000 + number) for number in range(8)]
        failures: list[BaseException] = []

        def work(payload: bytes) -> None:
            try:
                for _ in range(5):
                    store.put_bytes("data", "k", payload)
                    assert store.get_bytes("data", "k") in payloads
            except BaseException as error:  # noqa: BLE001 - reported by the main thread
                failures.append(error)

        threads = [threading.Thread(target=work, args=(payload,)) for payload in payloads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert store.get_bytes("data", "k") in payloads
        assert len(list(store.iterate("data"))) == 1

    def test_only_one_of_many_creates(self, store: BucketStore) -> None:
        outcomes: list[str] = []

        def work(number: int) -> None:
            try:
                store.put_staged("data", "k", stage(store, bytes([number])), Properties(), Condition(if_none_match="*"))
                outcomes.append("made")
            except PreconditionFailedError:
                outcomes.append("refused")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["made"] + ["refused"] * 7


class TestVersions:
    def test_enabled(self, store: BucketStore) -> None:
        store.put_bytes("data", "k", b"0")
        store.buckets.set_versioning("data", "Enabled")
        one = store.put_bytes("data", "k", b"1")
        two = store.put_bytes("data", "k", b"2")
        assert len({one.version_id, two.version_id, "null"}) == 3
        assert store.get_bytes("data", "k") == b"2"
        for version, expected in ((one.version_id, b"1"), ("null", b"0")):
            with store.open("data", "k", version) as stream:
                assert stream.read() == expected
        marker = store.delete("data", "k")
        assert marker.is_delete_marker
        with pytest.raises(NoSuchObjectError):
            store.head("data", "k")
        assert store.lookup("data", "k").is_delete_marker
        assert list(store.iterate("data")) == []
        page = store.list_versions("data", prefix="", delimiter="", key_marker="", version_id_marker="", limit=10)
        assert [(v.version_id, v.is_latest, v.is_delete_marker) for v in page.versions] == [
            (marker.version_id, True, True),
            (two.version_id, False, False),
            (one.version_id, False, False),
            ("null", False, False),
        ]
        assert store.delete("data", "k", marker.version_id).is_delete_marker
        assert store.get_bytes("data", "k") == b"2"
        store.delete("data", "k", two.version_id)
        assert store.get_bytes("data", "k") == b"1"
        with pytest.raises(NoSuchObjectError):
            store.head("data", "k", two.version_id)

    def test_suspended(self, store: BucketStore) -> None:
        store.buckets.set_versioning("data", "Enabled")
        kept = store.put_bytes("data", "k", b"kept")
        store.buckets.set_versioning("data", "Suspended")
        assert store.put_bytes("data", "k", b"a").version_id == "null"
        assert store.put_bytes("data", "k", b"b").version_id == "null"
        assert store.delete("data", "k").version_id == "null"
        page = store.list_versions("data", prefix="", delimiter="", key_marker="", version_id_marker="", limit=10)
        assert [(v.version_id, v.is_delete_marker) for v in page.versions] == [("null", True), (kept.version_id, False)]
        store.delete("data", "k", "null")
        assert store.get_bytes("data", "k") == b"kept"

    def test_paging(self, store: BucketStore) -> None:
        store.buckets.set_versioning("data", "Enabled")
        expected = []
        for key in ("a", "b", "d/1", "d/2", "e"):
            made = [store.put_bytes("data", key, str(number).encode()).version_id for number in range(3)]
            expected += [(key, version) for version in reversed(made)]
        for limit in (1, 2, 3, 4, 7, 100):
            found: list[tuple[str, str]] = []
            key, version = "", ""
            while True:
                page = store.list_versions(
                    "data", prefix="", delimiter="", key_marker=key, version_id_marker=version, limit=limit
                )
                found += [(v.key, v.version_id) for v in page.versions]
                if page.next_key is None:
                    break
                key, version = page.next_key, page.next_version_id or ""
            assert found == expected
        page = store.list_versions("data", prefix="", delimiter="/", key_marker="b", version_id_marker="", limit=2)
        assert (page.prefixes, [v.key for v in page.versions], page.next_key) == (["d/"], ["e"], "e")


class TestListing:
    KEYS = ("a", "a/", "a/1", "a/2/x", "a/2/y", "a0", "b", "b/1", "c/1", "c/2", "ünï", "Z", "🚀/1", "\uffff")

    def fill(self, store: BucketStore) -> None:
        for key in self.KEYS:
            store.put_bytes("data", key, key.encode())

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
    @pytest.mark.parametrize("delimiter", ["", "/", "2/", "n"])
    @pytest.mark.parametrize("prefix", ["", "a", "a/", "a/2/", "nothing", "🚀"])
    def test_pages_equal_a_plain_computation(self, store: BucketStore, prefix: str, delimiter: str, limit: int) -> None:
        self.fill(store)
        expected: list[str] = []
        for key in sorted((k for k in self.KEYS if k.startswith(prefix)), key=lambda k: k.encode()):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            entry = f"P {key[: end + len(delimiter)]}" if end >= 0 else f"K {key}"
            if entry not in expected:
                expected.append(entry)
        found: list[str] = []
        start: str | None = ""
        while start is not None:
            page = store.list("data", prefix, delimiter=delimiter, start_after=start, limit=limit)
            entries = [f"K {info.key}" for info in page.objects] + [f"P {prefix}" for prefix in page.prefixes]
            assert len(entries) <= limit
            found += sorted(entries, key=lambda entry: entry[2:].encode())
            start = page.next_key
        assert found == expected

    def test_listing_says_what_there_is(self, store: BucketStore) -> None:
        put = store.put_bytes("data", "k", b"value", content_type="a/b")
        (listed,) = store.list("data").objects
        assert listed == put
        assert store.list("data", limit=0).objects == ()

    def test_delete_many(self, store: BucketStore) -> None:
        self.fill(store)
        gone = store.delete_many("data", [(key, None) for key in self.KEYS] + [("never", None)], NONE)
        assert [deleted.key for deleted in gone] == [*self.KEYS, "never"]
        assert list(store.iterate("data")) == []


class TestUploads:
    def test_parts_become_one_object(self, store: BucketStore) -> None:
        parts = [b"a" * (5 * MIB), b"b" * (5 * MIB + 1), b"c"]
        etag = upload(store, "k", *parts)
        digests = b"".join(hashlib.md5(part).digest() for part in parts)
        assert etag == hashlib.md5(digests).hexdigest() + "-3"
        assert store.get_bytes("data", "k") == b"".join(parts)
        assert store.head("data", "k").part_sizes == tuple(len(part) for part in parts)
        with store.open("data", "k") as stream:
            stream.seek(5 * MIB - 2)
            assert stream.read(4) == b"aabb"

    def test_last_upload_of_a_part_counts_and_unnamed_parts_go(self, store: BucketStore) -> None:
        begun = store.uploads.create("data", "k", Properties(user_metadata={"a": "b"}), {})
        store.uploads.put_part(begun, 7, stage(store, b"old"), {})
        seven = store.uploads.put_part(begun, 7, stage(store, b"new"), {"CRC32": "x"})
        store.uploads.put_part(begun, 9, stage(store, b"unused"), {})
        assert [(part.number, part.size) for part in store.uploads.parts(begun)] == [(7, 3), (9, 6)]
        done = store.uploads.complete(begun, [(7, seven.etag)], {"CRC32": "y"}, NONE)
        assert (done.user_metadata, done.checksums) == ({"a": "b"}, {"CRC32": "y"})
        assert store.get_bytes("data", "k") == b"new"
        with pytest.raises(NoSuchUploadError):
            store.uploads.get("data", "k", begun.upload_id)

    def test_refusals_leave_the_upload_as_it_was(self, store: BucketStore) -> None:
        begun = store.uploads.create("data", "k", Properties(), {})
        one = store.uploads.put_part(begun, 1, stage(store, b"small"), {}).etag
        two = store.uploads.put_part(begun, 2, stage(store, b"small too"), {}).etag
        for parts, error in (
            ([], InvalidPartError),
            ([(1, two)], InvalidPartError),
            ([(3, one)], InvalidPartError),
            ([(2, two), (1, one)], InvalidPartOrderError),
            ([(1, one), (2, two)], PartTooSmallError),
        ):
            with pytest.raises(error):
                store.uploads.complete(begun, parts, {}, NONE)
        store.put_bytes("data", "k", b"there")
        with pytest.raises(PreconditionFailedError):
            store.uploads.complete(begun, [(1, one)], {}, Condition(if_none_match="*"))
        assert len(store.uploads.parts(begun)) == 2
        store.uploads.abort(begun)
        with pytest.raises(NoSuchUploadError):
            store.uploads.put_part(begun, 1, stage(store, b"late"), {})
        with pytest.raises(NoSuchUploadError):
            store.uploads.abort(begun)

    def test_paging(self, store: BucketStore) -> None:
        made = sorted(
            (key, store.uploads.create("data", key, Properties(), {}).upload_id)
            for key in ("a", "a", "b", "d/1", "d/2", "e", "e", "e")
        )
        for limit in (1, 2, 3, 100):
            found: list[tuple[str, str]] = []
            key, upload_id = "", ""
            while True:
                page = store.uploads.list(
                    "data", prefix="", delimiter="", key_marker=key, upload_id_marker=upload_id, limit=limit
                )
                found += [(item.key, item.upload_id) for item in page.uploads]
                if page.next_key is None:
                    break
                key, upload_id = page.next_key, page.next_upload_id or ""
            assert found == made
        folded = store.uploads.list("data", prefix="", delimiter="/", key_marker="b", upload_id_marker="", limit=100)
        assert (folded.prefixes, [item.key for item in folded.uploads]) == (["d/"], ["e", "e", "e"])
