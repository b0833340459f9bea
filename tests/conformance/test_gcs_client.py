"""The unmodified google-cloud-storage client against the endpoint."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import requests  # type: ignore[import-untyped]
from google.api_core.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed
from google.cloud.storage import transfer_manager
from google.oauth2.service_account import Credentials

from mlparity.storage.gcs import Operation, uploads
from mlparity.storage.gcs.operations import JSON_OPERATIONS, UPLOAD_OPERATIONS
from tests.conformance.gcs_fixtures import PROJECT_NUMBER, SIGNER, GcsEndpoint, gcs_endpoint, storage_client
from tests.conformance.s3_fixtures import boto3_client

QUARTER = 256 * 1024


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsEndpoint]:
    with gcs_endpoint(tmp_path_factory.mktemp("gcs")) as running:
        yield running


@pytest.fixture(scope="module")
def client(endpoint: GcsEndpoint) -> Any:
    return storage_client(endpoint.url)


@pytest.fixture
def bucket(client: Any, request: pytest.FixtureRequest) -> Any:
    name = f"t-{hashlib.md5(request.node.name.encode()).hexdigest()[:12]}"
    return client.create_bucket(name)


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def signer(info: dict[str, str]) -> Any:
    return Credentials.from_service_account_info(info)  # type: ignore[no-untyped-call]


def crc(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


class TestBuckets:
    def test_a_bucket_is_made_found_changed_and_deleted(self, client: Any) -> None:
        made = client.bucket("life-of-a-bucket")
        made.labels = {"team": "a"}
        made.versioning_enabled = True
        made.storage_class = "NEARLINE"
        made.add_lifecycle_delete_rule(age=3)
        made.create(location="europe-west4")
        got = client.get_bucket("life-of-a-bucket")
        assert (got.location, got.location_type, got.storage_class) == ("EUROPE-WEST4", "region", "NEARLINE")
        assert str(got.project_number) == PROJECT_NUMBER
        assert got.metageneration == 1
        assert got.versioning_enabled
        assert list(got.lifecycle_rules) == list(made.lifecycle_rules)
        got.labels = {"team": "b"}
        got.patch(if_metageneration_match=1)
        assert client.get_bucket("life-of-a-bucket").labels == {"team": "b"}
        with pytest.raises(PreconditionFailed):
            got.patch(if_metageneration_match=1)
        assert got.blob("o").storage_class is None
        blob = got.blob("o")
        blob.upload_from_string(b"x")
        assert blob.storage_class == "NEARLINE"
        with pytest.raises(Conflict, match="not empty"):
            got.delete()
        got.delete(force=True)
        assert client.lookup_bucket("life-of-a-bucket") is None
        with pytest.raises(NotFound, match="The specified bucket does not exist"):
            got.reload()

    def test_what_gcs_refuses_is_refused(self, client: Any, bucket: Any) -> None:
        with pytest.raises(Conflict, match="you already own it"):
            client.create_bucket(bucket.name)
        with pytest.raises(BadRequest, match="Invalid bucket name"):
            client.create_bucket("goog-bucket")
        with pytest.raises(BadRequest, match="bucket's name"):
            client.create_bucket("Capital")
        with pytest.raises(Exception, match="lockRetentionPolicy"):
            client._post_resource(f"/b/{bucket.name}/lockRetentionPolicy", {})
        with pytest.raises(BadRequest, match="uniform bucket-level access"):
            bucket.acl.reload()
        with pytest.raises(Exception, match="notifications"):
            list(bucket.list_notifications())
        bucket.retention_period = 60
        with pytest.raises(Exception, match="retentionPolicy"):
            bucket.patch()

    def test_lists_page_and_select(self, client: Any) -> None:
        for number in range(5):
            client.create_bucket(f"page-{number}")
        found = client.list_buckets(prefix="page-", page_size=2, fields="items(name),nextPageToken")
        pages = [[each.name for each in page] for page in found.pages]
        assert pages == [["page-0", "page-1"], ["page-2", "page-3"], ["page-4"]]

    def test_policies_are_kept(self, bucket: Any) -> None:
        policy = bucket.get_iam_policy()
        policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"user:a@example.com"}})
        stale = bucket.get_iam_policy()
        bucket.set_iam_policy(policy)
        assert bucket.get_iam_policy()["roles/storage.objectViewer"] == {"user:a@example.com"}
        with pytest.raises(PreconditionFailed):
            bucket.set_iam_policy(stale)
        assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]


class TestUploads:
    def test_small_and_resumable_uploads_have_the_right_hashes(self, bucket: Any) -> None:
        for size in (0, 1, QUARTER, 3 * QUARTER, 3 * QUARTER + 7):
            data = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
            blob = bucket.blob(f"small/{size}")
            blob.upload_from_string(data, content_type="text/x-test")
            again = bucket.blob(f"resumable/{size}", chunk_size=QUARTER)
            again.metadata = {"Key": "Vält"}
            again.upload_from_file(io.BytesIO(data), checksum="crc32c", content_type="text/x-test")
            for each in (blob, again):
                got = bucket.get_blob(each.name)
                assert (got.size, got.md5_hash, got.crc32c) == (size, md5(data), crc(data))
                assert got.content_type == "text/x-test"
                assert got.download_as_bytes() == data
            assert bucket.get_blob(again.name).metadata == {"Key": "Vält"}

    def test_a_file_of_unknown_length_is_written_and_read(self, bucket: Any) -> None:
        blob = bucket.blob("written")
        with blob.open("wb", chunk_size=QUARTER) as file:
            for number in range(100):
                file.write(number.to_bytes(4, "big") * 2000)
        with blob.open("rb", chunk_size=QUARTER) as file:
            file.seek(8000 * 99)
            assert file.read() == (99).to_bytes(4, "big") * 2000
        again = bucket.blob("written", chunk_size=QUARTER)
        with pytest.raises(PreconditionFailed):  # not by open(): a writer that failed tries again when it is collected
            again.upload_from_file(io.BytesIO(b"x"), if_generation_match=0)
        with blob.open("wt", if_generation_match=blob.generation) as text:
            text.write("wörter")
        assert bucket.blob("written").download_as_text() == "wörter"

    def test_a_wrong_hash_is_refused_and_leaves_nothing(self, endpoint: GcsEndpoint, bucket: Any) -> None:
        blob = bucket.blob("wrong")
        blob.md5_hash = md5(b"something else")
        with pytest.raises(BadRequest, match="doesn't match calculated MD5 hash"):
            blob.upload_from_string(b"data")
        address = bucket.blob("wrong").create_resumable_upload_session()
        answer = requests.put(address, b"data", headers={"x-goog-hash": f"crc32c={crc(b'other')}"}, timeout=10)
        assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")
        assert list(bucket.list_blobs()) == []

    def test_a_session_tells_how_far_it_is_and_is_cancelled(self, bucket: Any) -> None:
        address = bucket.blob("parts").create_resumable_upload_session(content_type="a/b", size=3 * QUARTER)

        def put(data: bytes, span: str) -> requests.Response:
            return requests.put(address, data, headers={"content-range": f"bytes {span}"}, timeout=10)

        assert "range" not in put(b"", "*/*").headers
        first = put(b"a" * (QUARTER + 100), f"0-{QUARTER + 99}/{3 * QUARTER}")
        assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{QUARTER - 1}")  # whole granules are kept
        assert put(b"b" * QUARTER, f"{2 * QUARTER}-{3 * QUARTER - 1}/{3 * QUARTER}").status_code == 503  # a gap
        assert put(b"b" * 10, f"{QUARTER}-{QUARTER + 9}/*").status_code == 400  # too little
        assert put(b"b" * QUARTER, f"{QUARTER}-{2 * QUARTER - 1}/{4 * QUARTER}").status_code == 400  # another length
        overlapping = put(b"a" * QUARTER + b"b" * QUARTER, f"0-{2 * QUARTER - 1}/{3 * QUARTER}")
        assert overlapping.headers["range"] == f"bytes=0-{2 * QUARTER - 1}"
        assert put(b"c" * QUARTER, f"{2 * QUARTER}-{3 * QUARTER - 1}/{3 * QUARTER}").json()["size"] == str(3 * QUARTER)
        assert bucket.blob("parts").download_as_bytes() == b"a" * QUARTER + b"b" * QUARTER + b"c" * QUARTER
        assert put(b"", "*/*").json()["name"] == "parts"  # the answer can be asked for again
        other = bucket.blob("never").create_resumable_upload_session()
        assert requests.delete(other, timeout=10).status_code == 499
        assert requests.put(other, b"x", timeout=10).status_code == 404
        assert bucket.get_blob("never") is None

    def test_many_at_once(self, bucket: Any, tmp_path: Path) -> None:
        names = [f"f{number}" for number in range(8)]
        for name in names:
            (tmp_path / name).write_bytes(name.encode() * 1000)
        done = transfer_manager.upload_many_from_filenames(
            bucket, names, source_directory=str(tmp_path), worker_type="thread", raise_exception=True
        )
        assert done == [None] * 8
        large = tmp_path / "large"
        large.write_bytes(b"".join(bytes([number]) * (1024 * 1024) for number in range(11)))
        whole = large.read_bytes()
        transfer_manager.upload_chunks_concurrently(
            str(large), bucket.blob("large"), chunk_size=5 * 1024 * 1024, worker_type="thread", max_workers=3
        )
        blob = bucket.get_blob("large")
        assert (blob.size, blob.crc32c, blob.md5_hash) == (len(whole), crc(whole), None)
        transfer_manager.download_chunks_concurrently(
            blob, str(tmp_path / "back"), chunk_size=3 * 1024 * 1024, worker_type="thread", max_workers=3
        )
        assert (tmp_path / "back").read_bytes() == whole


class TestObjects:
    def test_ranges_and_conditions(self, bucket: Any) -> None:
        blob = bucket.blob("a/b c?&%ü.txt")
        blob.upload_from_string(b"0123456789")
        assert blob.download_as_bytes(start=2, end=4) == b"234"
        assert blob.download_as_bytes(start=8) == b"89"
        assert bucket.blob(blob.name).download_as_bytes() == b"0123456789"
        with pytest.raises(Exception, match=r"416|not satisfiable"):
            blob.download_as_bytes(start=10, checksum=None)
        with pytest.raises(PreconditionFailed):
            blob.upload_from_string(b"x", if_generation_match=0)
        with pytest.raises(PreconditionFailed):
            blob.reload(if_metageneration_match=7)
        with pytest.raises(PreconditionFailed):
            bucket.blob("nothing").upload_from_string(b"x", if_generation_not_match=0)
        with pytest.raises(NotFound, match=f"No such object: {bucket.name}/nothing"):
            bucket.blob("nothing").delete()
        with pytest.raises(NotFound):
            bucket.blob("nothing").download_as_bytes()
        before = blob.generation
        blob.upload_from_string(b"new", if_generation_match=before)
        assert blob.generation > before
        with pytest.raises(NotFound):
            bucket.blob(blob.name, generation=before).download_as_bytes()

    def test_metadata_are_changed_apart_from_the_bytes(self, bucket: Any) -> None:
        blob = bucket.blob("meta")
        blob.metadata = {"a": "1", "b": "2"}
        blob.cache_control = "no-store"
        blob.upload_from_string("x")
        generation, etag = blob.generation, blob.etag
        blob.metadata = {"a": None, "c": "3"}
        blob.content_language = "de"
        blob.patch(if_metageneration_match=1)
        got = bucket.get_blob("meta")
        assert (got.generation, got.metageneration) == (generation, 2)
        assert got.etag != etag
        assert got.metadata == {"b": "2", "c": "3"}
        assert (got.cache_control, got.content_language) == ("no-store", "de")
        got.update()
        assert got.metageneration == 3
        got.temporary_hold = True
        with pytest.raises(Exception, match="temporaryHold"):
            got.patch()

    def test_generations_live_on_in_a_versioned_bucket(self, bucket: Any) -> None:
        bucket.versioning_enabled = True
        bucket.patch()
        blob = bucket.blob("v")
        generations = []
        for text in ("one", "two", "three"):
            blob.upload_from_string(text)
            generations.append(blob.generation)
        listed = list(bucket.list_blobs(versions=True))
        assert [each.generation for each in listed] == generations == sorted(generations)
        assert [each.time_deleted is None for each in listed] == [False, False, True]
        assert bucket.blob("v", generation=generations[0]).download_as_bytes() == b"one"
        bucket.delete_blob("v", generation=generations[2])  # the live one, for good
        assert bucket.get_blob("v") is None
        assert [each.generation for each in bucket.list_blobs(versions=True)] == generations[:2]
        bucket.copy_blob(bucket.blob("v"), bucket, "v", source_generation=generations[1])
        assert bucket.get_blob("v").download_as_bytes() == b"two"
        bucket.get_blob("v").delete()
        assert list(bucket.list_blobs()) == []
        for each in bucket.list_blobs(versions=True):
            bucket.delete_blob(each.name, generation=each.generation)
        bucket.delete()

    def test_compose_copy_and_rewrite(self, client: Any, bucket: Any) -> None:
        parts = []
        for number in range(3):
            part = bucket.blob(f"part-{number}")
            part.upload_from_string(f"{number}" * 100_000, content_type="text/a")
            parts.append(part)
        whole = bucket.blob("whole")
        whole.compose(parts, if_generation_match=0)
        expected = b"".join(f"{number}".encode() * 100_000 for number in range(3))
        assert whole.download_as_bytes() == expected
        assert (whole.component_count, whole.md5_hash, whole.crc32c) == (3, None, crc(expected))
        with pytest.raises(PreconditionFailed):
            whole.compose(parts, if_source_generation_match=[1, None, None])
        with pytest.raises(BadRequest, match="exceeds the maximum"):
            whole.compose(parts * 11)
        with pytest.raises(NotFound, match="absent"):
            whole.compose([bucket.blob("absent")])
        other = client.create_bucket(f"{bucket.name}-copy")
        twice = bucket.blob("twice")
        twice.compose([whole, parts[0]])
        assert twice.component_count == 4
        absent = bucket.blob("absent")
        for copies in (
            lambda: other.blob("made").rewrite(absent),
            lambda: bucket.copy_blob(absent, other, "made"),
            lambda: bucket.move_blob(absent, "made"),
        ):
            with pytest.raises(NotFound, match=f"No such object: {bucket.name}/absent"):  # not the one to be made
                copies()
        copied = bucket.copy_blob(twice, other, "copied")
        assert (copied.crc32c, copied.component_count) == (twice.crc32c, 4)
        renamed = bucket.rename_blob(parts[0], "renamed")
        assert renamed.content_type == "text/a"
        assert bucket.get_blob("part-0") is None
        assert bucket.move_blob(renamed, "moved", if_source_generation_match=renamed.generation).name == "moved"
        assert bucket.get_blob("renamed") is None
        renamed = bucket.rename_blob(bucket.blob("moved"), "renamed")
        renamed.update_storage_class("COLDLINE")
        assert bucket.get_blob("renamed").storage_class == "COLDLINE"
        assert bucket.get_blob("renamed").download_as_bytes() == b"0" * 100_000

    def test_lists(self, endpoint: GcsEndpoint, bucket: Any) -> None:
        names = ["a.txt", "d/", "d/1.csv", "d/2.txt", "d/e/3.csv", "z.csv"]
        for name in names:
            endpoint.store.put_bytes(bucket.name, name, name.encode())

        def listed(**options: Any) -> tuple[list[str], list[str]]:
            found = bucket.list_blobs(**options)
            return [blob.name for blob in found], sorted(found.prefixes)

        assert listed() == (names, [])
        assert listed(page_size=1) == (names, [])
        assert listed(delimiter="/") == (["a.txt", "z.csv"], ["d/"])
        assert listed(delimiter="/", include_trailing_delimiter=True) == (["a.txt", "d/", "z.csv"], ["d/"])
        assert listed(delimiter="/", prefix="d/") == (["d/", "d/1.csv", "d/2.txt"], ["d/e/"])
        assert listed(start_offset="d/1.csv", end_offset="d/e/3.csv") == (["d/1.csv", "d/2.txt"], [])
        assert listed(match_glob="**.csv") == (["d/1.csv", "d/e/3.csv", "z.csv"], [])
        assert listed(match_glob="*.{csv,txt}") == (["a.txt", "z.csv"], [])
        assert listed(match_glob="d/[!1]*", page_size=1) == (["d/2.txt"], [])
        assert listed(match_glob="**/?.csv", prefix="d/") == (["d/1.csv", "d/e/3.csv"], [])
        assert listed(max_results=2) == (names[:2], [])
        partial = next(iter(bucket.list_blobs(fields="items(name,size),nextPageToken", max_results=1)))
        assert (partial.size, partial.etag) == (5, None)
        with pytest.raises(BadRequest, match="Soft delete"):
            list(bucket.list_blobs(soft_deleted=True))

    def test_gzip_travels_unpacked_to_those_who_do_not_take_it(self, endpoint: GcsEndpoint, bucket: Any) -> None:
        import gzip

        blob = bucket.blob("packed")
        blob.content_encoding = "gzip"
        blob.upload_from_string(gzip.compress(b"text " * 100_000))
        assert blob.download_as_bytes() == b"text " * 100_000
        assert gzip.decompress(blob.download_as_bytes(raw_download=True)) == b"text " * 100_000
        address = f"{endpoint.url}/{bucket.name}/packed"
        plain = requests.get(address, headers={"accept-encoding": "identity"}, timeout=10)
        assert (plain.content, "content-encoding" in plain.headers) == (b"text " * 100_000, False)


def test_every_method_tells_what_is_missing_or_malformed(endpoint: GcsEndpoint, bucket: Any) -> None:
    def said(operation: Operation, home: str, **options: Any) -> tuple[int, str]:
        names = {"bucket": home, "sourceBucket": home, "object": "absent", "sourceObject": "absent"}
        path = operation.template.format(**names, project="p")
        prefix = "/upload/storage/v1/" if operation in UPLOAD_OPERATIONS else "/storage/v1/"
        kind = next((item.partition("=")[2] for item in operation.query if item.startswith("uploadType=")), "")
        parameters = {"name": "absent", "uploadType": kind, "upload_id": "none", "permissions": "p"}
        if "upload_id" not in operation.query:
            del parameters["upload_id"]
        options = {"headers": {"content-type": "multipart/related; boundary=b"}, **options}
        address = endpoint.url + prefix + path
        answer = requests.request(operation.method, address, params=parameters, timeout=10, **options)
        error = answer.json()["error"]
        assert (error["code"], error["errors"][0]["message"]) == (answer.status_code, error["message"])
        return answer.status_code, error["message"]

    compose = json.dumps({"sourceObjects": [{"name": "absent"}]})
    in_bucket = [each for each in (*JSON_OPERATIONS, *UPLOAD_OPERATIONS) if "ucket}" in each.template]
    for operation in in_bucket:
        if operation.handler is uploads.refuse_kind:
            assert said(operation, bucket.name)[0] == 400
            continue
        body = compose if operation.name == "objects.compose" else "{}"
        expected = "The requested upload was not found." if "upload_id" in operation.query else "bucket does not exist"
        status, message = said(operation, "no-such-bucket", data=body)
        assert (operation.name, status, expected in message) == (operation.name, 404, True)
        if "bject}" in operation.template:
            status, message = said(operation, bucket.name, data=body)
            assert (operation.name, status, message) == (operation.name, 404, f"No such object: {bucket.name}/absent")
        if operation.method in ("PATCH", "PUT") and operation in JSON_OPERATIONS:
            bucket.blob("absent").upload_from_string("x")
            assert said(operation, bucket.name, data="[not json") == (400, "Parse Error")
            bucket.blob("absent").delete()
    for query in ("?maxResults=0", "?maxResults=x", "?pageToken=%21", "?fields=(", "/absent?ifGenerationMatch=x"):
        address = f"{endpoint.url}/storage/v1/b/{bucket.name}/o{query}"
        assert (query, requests.get(address, timeout=10).status_code) == (query, 400 if "absent" not in query else 404)
    bucket.blob("absent").upload_from_string("x")
    assert requests.get(address, timeout=10).status_code == 400
    half = '{"metadata": {"k": "\\ud800"}}'  # no character, so no header could carry it
    assert requests.patch(address.partition("?")[0], half, timeout=10).status_code == 400
    copying = {"x-goog-copy-source": f"/{bucket.name}/gone"}  # the XML API
    answer = requests.put(f"{endpoint.url}/{bucket.name}/made", headers=copying, timeout=10)
    assert (answer.status_code, f"<Message>No such object: {bucket.name}/gone" in answer.text) == (404, True)


def test_batches(client: Any, bucket: Any) -> None:
    for number in range(3):
        bucket.blob(str(number)).upload_from_string("x")
    with client.batch():
        bucket.delete_blob("0")
        blob = bucket.blob("1")
        blob.metadata = {"in": "a batch"}
        blob.patch()
    assert [each.name for each in bucket.list_blobs()] == ["1", "2"]
    assert bucket.get_blob("1").metadata == {"in": "a batch"}
    with pytest.raises(NotFound), client.batch():
        _ = [bucket.delete_blob(name) for name in ("absent", "2")]
    assert bucket.get_blob("2") is None


def test_signed_urls(endpoint: GcsEndpoint, bucket: Any) -> None:
    info = {"client_email": SIGNER, "private_key": endpoint.private_key, "token_uri": "http://localhost/token"}
    credentials = signer(info)
    blob = bucket.blob("signed/ü x.bin")

    def url(method: str, **options: Any) -> str:
        signed = {"version": "v4", "expiration": timedelta(minutes=5), "credentials": credentials, "method": method}
        address: str = blob.generate_signed_url(api_access_endpoint=endpoint.url, **{**signed, **options})
        return address

    put = requests.put(url("PUT", content_type="a/b"), b"data", headers={"content-type": "a/b"}, timeout=10)
    assert (put.status_code, put.headers["etag"]) == (200, f'"{hashlib.md5(b"data").hexdigest()}"')
    got = requests.get(url("GET", response_disposition="attachment"), headers={"range": "bytes=1-2"}, timeout=10)
    assert (got.status_code, got.content, got.headers["content-disposition"]) == (206, b"at", "attachment")
    assert got.headers["x-goog-hash"] == f"crc32c={crc(b'data')},md5={md5(b'data')}"
    assert requests.get(url("GET", version="v2"), timeout=10).content == b"data"
    refused = requests.get(url("PUT"), timeout=10)
    assert (refused.status_code, "SignatureDoesNotMatch" in refused.text) == (403, True)
    expired = requests.get(url("GET", expiration=timedelta(seconds=-5), version="v2"), timeout=10)
    assert (expired.status_code, "ExpiredToken" in expired.text) == (400, True)
    info["client_email"] = "stranger@example.com"
    stranger = url("GET", credentials=signer(info))
    assert "public key of stranger@example.com is not known" in requests.get(stranger, timeout=10).text
    started = requests.post(url("RESUMABLE"), headers={"x-goog-resumable": "start"}, timeout=10)
    assert started.status_code == 201
    assert requests.put(started.headers["location"], b"resumed", timeout=10).status_code == 200
    assert blob.download_as_bytes() == b"resumed"


def test_both_protocols_show_the_same_objects(endpoint: GcsEndpoint, bucket: Any) -> None:
    s3 = boto3_client(endpoint.s3_url)
    s3.put_object(Bucket=bucket.name, Key="from-s3", Body=b"abc", ContentType="text/s3", Metadata={"k": "v"})
    blob = bucket.get_blob("from-s3")
    assert (blob.md5_hash, blob.crc32c, blob.content_type) == (md5(b"abc"), crc(b"abc"), "text/s3")
    assert blob.metadata == {"k": "v"}
    mine = bucket.blob("from-gcs")
    mine.metadata = {"plain": "1", "not a header\n": "2"}
    mine.storage_class = "COLDLINE"
    mine.upload_from_string(b"def", content_type="text/gcs")
    head = s3.head_object(Bucket=bucket.name, Key="from-gcs", ChecksumMode="ENABLED")
    assert (head["ETag"], head["ChecksumCRC32C"]) == (f'"{hashlib.md5(b"def").hexdigest()}"', crc(b"def"))
    assert (head["Metadata"], head["MissingMeta"], head["ContentType"]) == ({"plain": "1"}, 1, "text/gcs")
    assert "x-goog-storage-class" not in head["ResponseMetadata"]["HTTPHeaders"]
    part = b"p" * (5 * 1024 * 1024)
    begun = s3.create_multipart_upload(Bucket=bucket.name, Key="parts")["UploadId"]
    tags = [
        s3.upload_part(Bucket=bucket.name, Key="parts", UploadId=begun, PartNumber=number, Body=data)["ETag"]
        for number, data in ((1, part), (2, b"end"))
    ]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(Bucket=bucket.name, Key="parts", UploadId=begun, MultipartUpload={"Parts": parts})
    blob = bucket.get_blob("parts")
    assert (blob.md5_hash, blob.crc32c) == (None, crc(part + b"end"))
    assert blob.download_as_bytes() == part + b"end"  # the client checks the hash
    assert json.loads(json.dumps(blob.metadata)) is None
