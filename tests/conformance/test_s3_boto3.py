"""The S3 endpoint as an unmodified boto3 sees it: bytes, listings, headers and error codes."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from mlparity.clock import SystemClock
from mlparity.testing import TestClock
from mlparity.wire.sigv4 import SignedRequest, chunk_signature, trailer_signature, verify
from tests.conformance.s3_fixtures import ACCESS_KEY, ACCOUNT, SECRET_KEY, Endpoint, boto3_client, s3_endpoint

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with s3_endpoint(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def s3(endpoint: Endpoint) -> Iterator[Any]:
    client = boto3_client(endpoint.url)
    yield client
    client.close()


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    name = f"b{hashlib.md5(request.node.nodeid.encode()).hexdigest()}"
    s3.create_bucket(Bucket=name)
    return name


def refused(code: str, status: int, operation: Any, **arguments: Any) -> Any:
    with pytest.raises(ClientError) as caught:
        operation(**arguments)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    return response


class TestBuckets:
    def test_life(self, s3: Any, bucket: str) -> None:
        assert bucket in [found["Name"] for found in s3.list_buckets()["Buckets"]]
        assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
        assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
        s3.create_bucket(Bucket=bucket)  # one's own, in us-east-1: fine
        s3.put_object(Bucket=bucket, Key="k", Body=b"")
        refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=bucket)
        s3.delete_object(Bucket=bucket, Key="k")
        s3.delete_bucket(Bucket=bucket)
        refused("404", 404, s3.head_bucket, Bucket=bucket)
        refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket=bucket)
        refused("NoSuchBucket", 404, s3.put_object, Bucket=bucket, Key="k", Body=b"x")
        refused("NoSuchBucket", 404, s3.put_object, Bucket=bucket, Key="k", Body=b"x" * MIB)
        refused("NoSuchBucket", 404, s3.delete_bucket, Bucket=bucket)

    def test_regions(self, s3: Any, bucket: str, endpoint: Endpoint) -> None:
        name = f"{bucket}-eu"
        european = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=european)
        assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
        there = boto3_client(endpoint.url, region_name="eu-west-1")
        refused("BucketAlreadyOwnedByYou", 409, there.create_bucket, Bucket=name, CreateBucketConfiguration=european)
        refused("IllegalLocationConstraintException", 400, there.create_bucket, Bucket=f"{bucket}-x")
        there.close()

    def test_bad_name(self, s3: Any) -> None:
        refused("InvalidBucketName", 400, s3.create_bucket, Bucket="Upper_Case")

    def test_expected_owner(self, s3: Any, bucket: str) -> None:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=ACCOUNT)
        refused("403", 403, s3.head_bucket, Bucket=bucket, ExpectedBucketOwner="000000000000")

    def test_tags(self, s3: Any, bucket: str) -> None:
        refused("NoSuchTagSet", 404, s3.get_bucket_tagging, Bucket=bucket)
        tags = [{"Key": "team", "Value": "ml & <ops>"}]
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
        assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
        s3.delete_bucket_tagging(Bucket=bucket)
        refused("NoSuchTagSet", 404, s3.get_bucket_tagging, Bucket=bucket)

    def test_policy(self, s3: Any, bucket: str) -> None:
        refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=bucket)
        policy = json.dumps({"Version": "2012-10-17", "Statement": []})
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
        assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
        refused("MalformedPolicy", 400, s3.put_bucket_policy, Bucket=bucket, Policy="no")
        s3.delete_bucket_policy(Bucket=bucket)
        refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=bucket)

    def test_stored_settings(self, s3: Any, bucket: str) -> None:
        refused("NoSuchCORSConfiguration", 404, s3.get_bucket_cors, Bucket=bucket)
        rules = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
        assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
        refused("NoSuchLifecycleConfiguration", 404, s3.get_bucket_lifecycle_configuration, Bucket=bucket)
        rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
        assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [rule]
        s3.delete_bucket_lifecycle(Bucket=bucket)
        refused("NoSuchLifecycleConfiguration", 404, s3.get_bucket_lifecycle_configuration, Bucket=bucket)

    def test_defaults(self, s3: Any, bucket: str) -> None:
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
        s3.delete_public_access_block(Bucket=bucket)
        refused("NoSuchPublicAccessBlockConfiguration", 404, s3.get_public_access_block, Bucket=bucket)
        owner = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
        assert [(g["Grantee"]["Type"], g["Permission"]) for g in grants] == [("CanonicalUser", "FULL_CONTROL")]
        assert "TopicConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
        assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
        refused("AccessControlListNotSupported", 400, s3.put_bucket_acl, Bucket=bucket, ACL="public-read")

    def test_what_is_not_there_says_so(self, s3: Any, bucket: str) -> None:
        answer = refused(
            "NotImplemented",
            501,
            s3.put_bucket_website,
            Bucket=bucket,
            WebsiteConfiguration={"IndexDocument": {"Suffix": "i"}},
        )
        assert "PutBucketWebsite" in answer["Error"]["Message"]
        s3.put_object(Bucket=bucket, Key="k", Body=b"v")
        answer = refused("NotImplemented", 501, s3.get_object_torrent, Bucket=bucket, Key="k")
        assert "GetObjectTorrent" in answer["Error"]["Message"]
        refused("NotImplemented", 501, s3.put_object, Bucket=bucket, Key="k", Body=b"v", StorageClass="DEEP_ARCHIVE")


class TestObjects:
    @pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3 * MIB + 1])
    @pytest.mark.parametrize("algorithm", [None, "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
    def test_round_trip(self, s3: Any, bucket: str, size: int, algorithm: str | None) -> None:
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        options = {} if algorithm is None else {"ChecksumAlgorithm": algorithm}
        put = s3.put_object(Bucket=bucket, Key="k", Body=data, **options)
        assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
        got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert got["Body"].read() == data
        assert (got["ContentLength"], got["ETag"]) == (size, put["ETag"])
        name = f"Checksum{algorithm or 'CRC32'}"
        assert got[name] == put[name]
        if algorithm == "SHA256":
            assert got[name] == base64.b64encode(hashlib.sha256(data).digest()).decode()

    @pytest.mark.parametrize(
        "key",
        [
            "plain",
            "a b",
            "a+b",
            "a%20b",
            "ünï/🚀",
            "//double//",
            "trailing/",
            "..",
            "a/../b",
            "q?x=1&y",
            "'()*!~$,;=:@",
        ],
    )
    def test_any_key(self, s3: Any, bucket: str, key: str) -> None:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
        assert [found["Key"] for found in s3.list_objects(Bucket=bucket)["Contents"]] == [key]
        s3.delete_object(Bucket=bucket, Key=key)
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0

    def test_headers_and_metadata(self, s3: Any, bucket: str) -> None:
        given = {
            "ContentType": "text/csv; charset=utf-8",
            "CacheControl": "no-store",
            "ContentDisposition": 'attachment; filename="f.csv"',
            "ContentEncoding": "gzip",
            "ContentLanguage": "en",
            "Metadata": {"owner": "me", "empty": ""},
            "StorageClass": "STANDARD_IA",
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": "alias/x",
        }
        s3.put_object(Bucket=bucket, Key="k", Body=b"v" * 100, Tagging="a=1&b=two%20words", **given)
        head = s3.head_object(Bucket=bucket, Key="k")
        assert {name: head[name] for name in given} == given
        got = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="x/y", ResponseCacheControl="max-age=1")
        assert (got["ContentType"], got["CacheControl"], got["TagCount"]) == ("x/y", "max-age=1", 2)
        got["Body"].close()
        assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD_IA"
        tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
        assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}]
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "c", "Value": ""}]})
        assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "c", "Value": ""}]
        s3.delete_object_tagging(Bucket=bucket, Key="k")
        assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
        refused("MetadataTooLarge", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2049})
        refused("KeyTooLongError", 400, s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"")

    def test_absent(self, s3: Any, bucket: str) -> None:
        answer = refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")
        assert answer["Error"]["Key"] == "k"
        refused("404", 404, s3.head_object, Bucket=bucket, Key="k")
        refused("NoSuchKey", 404, s3.get_object_tagging, Bucket=bucket, Key="k")
        refused("NoSuchVersion", 404, s3.get_object, Bucket=bucket, Key="k", VersionId="nope")
        assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204

    @pytest.mark.parametrize(
        ("wanted", "start", "end"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=90-", 90, 100),
            ("bytes=-7", 93, 100),
            ("bytes=95-900", 95, 100),
            ("bytes=-900", 0, 100),
        ],
    )
    def test_ranges(self, s3: Any, bucket: str, wanted: str, start: int, end: int) -> None:
        data = bytes(range(100))
        s3.put_object(Bucket=bucket, Key="k", Body=data)
        got = s3.get_object(Bucket=bucket, Key="k", Range=wanted)
        assert got["Body"].read() == data[start:end]
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentRange"] == f"bytes {start}-{end - 1}/100"

    def test_ranges_that_cannot_be(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"abc")
        s3.put_object(Bucket=bucket, Key="empty", Body=b"")
        for key, wanted in (("k", "bytes=3-"), ("k", "bytes=-0"), ("empty", "bytes=0-")):
            refused("InvalidRange", 416, s3.get_object, Bucket=bucket, Key=key, Range=wanted)
        for wanted in ("bytes=2-1", "lines=1-2", "bytes=0-0,2-2"):
            assert s3.get_object(Bucket=bucket, Key="k", Range=wanted)["Body"].read() == b"abc"

    def test_conditional_reads(self, s3: Any, bucket: str) -> None:
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"v")
        etag, other = put["ETag"], '"0"'
        at = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
        for good in (
            {"IfMatch": etag},
            {"IfNoneMatch": other},
            {"IfModifiedSince": at - timedelta(seconds=1)},
            {"IfUnmodifiedSince": at},
            {"IfMatch": etag, "IfUnmodifiedSince": at - timedelta(days=1)},
            {"IfNoneMatch": other, "IfModifiedSince": at},
        ):
            assert s3.get_object(Bucket=bucket, Key="k", **good)["Body"].read() == b"v"
        for same in ({"IfNoneMatch": etag}, {"IfModifiedSince": at}):
            refused("304", 304, s3.get_object, Bucket=bucket, Key="k", **same)
            refused("304", 304, s3.head_object, Bucket=bucket, Key="k", **same)
        for bad in ({"IfMatch": other}, {"IfUnmodifiedSince": at - timedelta(seconds=1)}):
            refused("PreconditionFailed", 412, s3.get_object, Bucket=bucket, Key="k", **bad)

    def test_conditional_writes(self, s3: Any, bucket: str) -> None:
        etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
        refused("PreconditionFailed", 412, s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
        refused("PreconditionFailed", 412, s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfMatch='"0"')
        refused("NoSuchKey", 404, s3.put_object, Bucket=bucket, Key="other", Body=b"2", IfMatch=etag)
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
        refused("PreconditionFailed", 412, s3.delete_object, Bucket=bucket, Key="k", IfMatch=etag)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"

    def test_wrong_digests(self, s3: Any, bucket: str) -> None:
        refused("InvalidDigest", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"v", ContentMD5="AAAA")
        wrong = base64.b64encode(hashlib.md5(b"w").digest()).decode()
        refused("BadDigest", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"v", ContentMD5=wrong)
        crc = base64.b64encode(zlib.crc32(b"w").to_bytes(4, "big")).decode()
        refused("BadDigest", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"v", ChecksumCRC32=crc)
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0

    def test_attributes(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
        found = s3.get_object_attributes(
            Bucket=bucket, Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"]
        )
        assert (found["ETag"], found["ObjectSize"], found["StorageClass"]) == (
            hashlib.md5(b"12345").hexdigest(),
            5,
            "STANDARD",
        )
        assert found["Checksum"]["ChecksumType"] == "FULL_OBJECT"

    def test_delete_objects(self, s3: Any, bucket: str) -> None:
        for number in range(5):
            s3.put_object(Bucket=bucket, Key=f"<{number}>&", Body=b"")
        keys = [{"Key": f"<{number}>&"} for number in range(4)]
        done = s3.delete_objects(Bucket=bucket, Delete={"Objects": [*keys, {"Key": "never"}]})
        assert [item["Key"] for item in done["Deleted"]] == [item["Key"] for item in keys] + ["never"]
        quiet = s3.delete_objects(
            Bucket=bucket, Delete={"Objects": [{"Key": "<4>&", "ETag": '"0"'}, {"Key": "x"}], "Quiet": True}
        )
        assert "Deleted" not in quiet
        assert [(item["Key"], item["Code"]) for item in quiet["Errors"]] == [("<4>&", "PreconditionFailed")]

    def test_copies(self, s3: Any, bucket: str) -> None:
        source = {"Bucket": bucket, "Key": "dir/ü +1"}
        put = s3.put_object(**source, Body=b"v", ContentType="a/b", Metadata={"m": "1"}, Tagging="t=1")
        copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)["CopyObjectResult"]
        assert (copied["ETag"], copied["ChecksumCRC32"]) == (put["ETag"], put["ChecksumCRC32"])
        head = s3.head_object(Bucket=bucket, Key="copy")
        assert (head["ContentType"], head["Metadata"], head["TagCount"]) == ("a/b", {"m": "1"}, 1)
        s3.copy_object(
            Bucket=bucket,
            Key="copy",
            CopySource=source,
            MetadataDirective="REPLACE",
            Metadata={"m": "2"},
            ChecksumAlgorithm="SHA256",
        )
        head = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
        assert (head["ContentType"], head["Metadata"]) == ("binary/octet-stream", {"m": "2"})
        assert head["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"v").digest()).decode()
        s3.delete_object(**source)
        assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"v"
        refused("InvalidRequest", 400, s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/copy")
        refused("NoSuchKey", 404, s3.copy_object, Bucket=bucket, Key="x", CopySource=source)
        for bad in ({"CopySourceIfMatch": '"0"'}, {"CopySourceIfNoneMatch": put["ETag"]}):
            refused(
                "PreconditionFailed", 412, s3.copy_object, Bucket=bucket, Key="x", CopySource=f"{bucket}/copy", **bad
            )


class TestListing:
    def test_pages_prefixes_and_markers(self, s3: Any, bucket: str) -> None:
        keys = [f"{folder}/{number:02}" for folder in ("a", "b", "c") for number in range(5)] + ["d", "e &<>"]
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=b"1")
        for version in ("list_objects_v2", "list_objects"):
            pages = s3.get_paginator(version).paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
            assert [item["Key"] for page in pages for item in page["Contents"]] == keys
            pages = list(
                s3.get_paginator(version).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
            )
            assert [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])] == ["a/", "b/", "c/"]
            assert [item["Key"] for page in pages for item in page.get("Contents", [])] == keys[-2:]
        page = s3.list_objects_v2(Bucket=bucket, Prefix="b/", StartAfter="b/02", MaxKeys=1, FetchOwner=True)
        assert ([item["Key"] for item in page["Contents"]], page["IsTruncated"]) == (["b/03"], True)
        assert len(page["Contents"][0]["Owner"]["ID"]) == 64
        assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0
        refused("InvalidArgument", 400, s3.list_objects_v2, Bucket=bucket, ContinuationToken="garbage")

    def test_versions(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"0")
        assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        one = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
        marker = s3.delete_object(Bucket=bucket, Key="k")
        assert marker["DeleteMarker"] is True
        answer = refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k")
        assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
        refused("MethodNotAllowed", 405, s3.get_object, Bucket=bucket, Key="k", VersionId=marker["VersionId"])
        assert s3.get_object(Bucket=bucket, Key="k", VersionId=one)["Body"].read() == b"1"
        assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"0"
        listed = s3.list_object_versions(Bucket=bucket)
        assert [(v["VersionId"], v["IsLatest"]) for v in listed["Versions"]] == [(one, False), ("null", False)]
        assert [(v["VersionId"], v["IsLatest"]) for v in listed["DeleteMarkers"]] == [(marker["VersionId"], True)]
        copied = s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": "null"})
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"0"
        assert copied["VersionId"] not in (one, "null")
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
        found = [item for page in pages for item in page.get("Versions", []) + page.get("DeleteMarkers", [])]
        assert len(found) == 4
        gone = s3.delete_objects(
            Bucket=bucket,
            Delete={"Objects": [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]},
        )["Deleted"]
        assert sorted(item["VersionId"] for item in gone) == sorted(item["VersionId"] for item in found)
        s3.delete_bucket(Bucket=bucket)


class TestMultipart:
    @pytest.mark.parametrize("algorithm", [None, "CRC32C", "CRC64NVME", "SHA256"])
    def test_managed_transfer(self, s3: Any, bucket: str, tmp_path: Path, algorithm: str | None) -> None:
        source = tmp_path / "big"
        source.write_bytes(bytes(range(256)) * (13 * MIB // 256) + b"tail")
        config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
        extra = {} if algorithm is None else {"ChecksumAlgorithm": algorithm}
        s3.upload_file(str(source), bucket, "big", Config=config, ExtraArgs={**extra, "ContentType": "x/y"})
        head = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
        assert (head["ContentLength"], head["ContentType"]) == (source.stat().st_size, "x/y")
        assert head["ETag"].endswith('-3"')
        assert head["ChecksumType"] == ("FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")
        target = tmp_path / "back"
        s3.download_file(bucket, "big", str(target), Config=config)
        assert target.read_bytes() == source.read_bytes()
        part = s3.get_object(Bucket=bucket, Key="big", PartNumber=3)
        assert part["Body"].read() == source.read_bytes()[10 * MIB :]
        assert part["PartsCount"] == 3
        refused("InvalidPartNumber", 416, s3.get_object, Bucket=bucket, Key="big", PartNumber=4)
        attributes = s3.get_object_attributes(Bucket=bucket, Key="big", ObjectAttributes=["ObjectParts"])
        assert [item["Size"] for item in attributes["ObjectParts"]["Parts"]] == [5 * MIB, 5 * MIB, 3 * MIB + 4]
        s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "again", Config=config)
        assert s3.get_object(Bucket=bucket, Key="again")["Body"].read() == source.read_bytes()
        s3.copy_object(Bucket=bucket, Key="single", CopySource=f"{bucket}/big")
        whole = s3.head_object(Bucket=bucket, Key="single")
        assert whole["ETag"] == f'"{hashlib.md5(source.read_bytes()).hexdigest()}"'

    def test_step_by_step(self, s3: Any, bucket: str) -> None:
        begun = s3.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"m": "1"})
        this = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
        assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [begun["UploadId"]]
        first = s3.upload_part(**this, PartNumber=1, Body=b"a" * 5 * MIB)["ETag"]
        second = s3.upload_part(**this, PartNumber=2, Body=b"b")["ETag"]
        listed = s3.list_parts(**this)
        assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [(1, 5 * MIB), (2, 1)]
        assert s3.list_parts(**this, MaxParts=1)["IsTruncated"] is True
        good = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]

        def complete(parts: list[dict[str, Any]], **more: Any) -> Any:
            return s3.complete_multipart_upload(**this, MultipartUpload={"Parts": parts}, **more)

        refused("InvalidPart", 400, complete, parts=[{"PartNumber": 1, "ETag": second}])
        refused("InvalidPartOrder", 400, complete, parts=good[::-1])
        s3.upload_part(**this, PartNumber=3, Body=b"c")
        third = s3.upload_part_copy(
            **this,
            PartNumber=3,
            CopySource={"Bucket": bucket, "Key": self.source(s3, bucket)},
            CopySourceRange="bytes=1-3",
        )["CopyPartResult"]["ETag"]
        refused("EntityTooSmall", 400, complete, parts=[*good, {"PartNumber": 3, "ETag": third}])
        s3.put_object(Bucket=bucket, Key="k", Body=b"old")
        refused("PreconditionFailed", 412, complete, parts=good, IfNoneMatch="*")
        done = complete([good[0], {"PartNumber": 3, "ETag": third}], MpuObjectSize=5 * MIB + 3)
        assert done["ETag"].endswith('-2"')
        got = s3.get_object(Bucket=bucket, Key="k")
        assert got["Body"].read() == b"a" * 5 * MIB + b"ell"
        assert got["Metadata"] == {"m": "1"}
        refused("NoSuchUpload", 404, complete, parts=good)
        refused("NoSuchUpload", 404, s3.upload_part, **this, PartNumber=1, Body=b"x")
        refused("NoSuchUpload", 404, s3.upload_part, **this, PartNumber=1, Body=b"x" * MIB)
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)

    @staticmethod
    def source(s3: Any, bucket: str) -> str:
        s3.put_object(Bucket=bucket, Key="source", Body=b"hello")
        return "source"

    def test_abort(self, s3: Any, bucket: str, endpoint: Endpoint) -> None:
        begun = s3.create_multipart_upload(Bucket=bucket, Key="k")
        this = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
        refused("InvalidArgument", 400, s3.upload_part, **this, PartNumber=10_001, Body=b"x")
        s3.upload_part(**this, PartNumber=1, Body=b"x")
        s3.abort_multipart_upload(**this)
        refused("NoSuchUpload", 404, s3.list_parts, **this)
        refused("NoSuchUpload", 404, s3.abort_multipart_upload, **this)


class TestSignatures:
    def test_refusals(self, endpoint: Endpoint, bucket: str) -> None:
        for code, options in (
            ("SignatureDoesNotMatch", {"aws_secret_access_key": "wrong"}),
            ("InvalidAccessKeyId", {"aws_access_key_id": "nobody"}),
        ):
            client = boto3_client(endpoint.url, **options)
            refused(code, 403, client.list_objects_v2, Bucket=bucket)
            refused(code, 403, client.put_object, Bucket=bucket, Key="k", Body=b"x" * MIB)
            client.close()
        answer = httpx.get(f"{endpoint.url}/{bucket}")
        assert answer.status_code == 403
        assert "<Code>AccessDenied</Code>" in answer.text
        assert f"<Resource>/{bucket}</Resource>" in answer.text
        assert answer.headers["x-amz-request-id"] in answer.text

    def test_presigned(self, endpoint: Endpoint, bucket: str) -> None:
        client = boto3_client(endpoint.url, config=Config(signature_version="s3v4"))
        place = {"Bucket": bucket, "Key": "dir/a b+ü"}
        url = client.generate_presigned_url("put_object", Params=place, ExpiresIn=60)
        assert httpx.put(url, content=b"signed").status_code == 200
        url = client.generate_presigned_url("get_object", Params={**place, "ResponseContentType": "a/b"}, ExpiresIn=60)
        got = httpx.get(url)
        assert (got.content, got.headers["content-type"]) == (b"signed", "a/b")
        assert httpx.get(url.replace("a%2Fb", "c%2Fd")).status_code == 403
        assert httpx.head(url).status_code == 403
        client.close()

    @pytest.mark.parametrize("size", [10, 3 * MIB])
    def test_unsigned_payload_and_signed_payload(self, endpoint: Endpoint, bucket: str, size: int) -> None:
        for signed in (True, False):
            config = Config(s3={"payload_signing_enabled": signed}, request_checksum_calculation="when_required")
            client = boto3_client(endpoint.url, config=config)
            data = bytes([signed]) * size
            client.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(data))
            got = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
            assert got["Body"].read() == data
            assert "ChecksumCRC64NVME" in got  # what S3 adds where the client sends no checksum
            client.close()


def test_time_comes_from_the_injected_clock(tmp_path: Path) -> None:
    clock = TestClock(datetime.now(UTC))
    with s3_endpoint(tmp_path, clock) as endpoint:
        client = boto3_client(endpoint.url, config=Config(signature_version="s3v4"))
        client.create_bucket(Bucket="data")
        client.put_object(Bucket="data", Key="k", Body=b"v")
        url = client.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "k"}, ExpiresIn=60)
        assert httpx.get(url).content == b"v"
        clock.advance(61)
        late = httpx.get(url)
        assert (late.status_code, "Request has expired" in late.text) == (403, True)
        assert client.list_objects_v2(Bucket="data")["KeyCount"] == 1
        clock.advance(3600)
        refused("RequestTimeTooSkewed", 403, client.put_object, Bucket="data", Key="k", Body=b"v")
        client.close()


def test_virtual_hosts(endpoint: Endpoint, s3: Any, bucket: str) -> None:
    """What the gateway's proxy mode hands on: the vendor's own host names."""
    s3.put_object(Bucket=bucket, Key="dir/k", Body=b"v")
    for host in (
        f"{bucket}.s3.amazonaws.com",
        f"{bucket}.s3.eu-west-1.amazonaws.com",
        f"{bucket}.s3-us-west-2.amazonaws.com",
    ):
        url = f"https://{host}/dir/k"
        signed = AWSRequest(method="GET", url=url, headers={"host": host})
        S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(signed)
        answer = httpx.get(f"{endpoint.url}/dir/k", headers=dict(signed.headers.items()))
        assert (answer.status_code, answer.content) == (200, b"v")


@pytest.mark.parametrize("trailer", [False, True])
def test_signed_chunks(endpoint: Endpoint, s3: Any, bucket: str, trailer: bool) -> None:
    chunks = [b"a" * 70_000, b"b" * 70_000, b"c"]
    payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
    size = sum(map(len, chunks))
    url = f"{endpoint.url}/{bucket}/k"
    headers = {
        "host": urlsplit(url).netloc,
        "x-amz-decoded-content-length": str(size),
        "content-encoding": "aws-chunked,gzip",
        **({"x-amz-trailer": "x-amz-checksum-crc32"} if trailer else {}),
    }
    signed = AWSRequest(method="PUT", url=url, headers=headers)
    signer = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1")
    signer.payload = lambda request: payload
    signer.add_auth(signed)
    verified = verify(
        SignedRequest("PUT", f"/{bucket}/k", "", [(name.lower(), value) for name, value in signed.headers.items()]),
        {ACCESS_KEY: SECRET_KEY},
        SystemClock(),
    )

    def body(chunks: list[bytes]) -> bytes:
        previous, out = verified.signature, b""
        for chunk in [*chunks, b""]:
            previous = chunk_signature(verified, previous, hashlib.sha256(chunk).hexdigest())
            out += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + (chunk + b"\r\n" if chunk else b"")
        if trailer:
            crc = base64.b64encode(zlib.crc32(b"".join(chunks)).to_bytes(4, "big")).decode()
            text = f"x-amz-checksum-crc32:{crc}\n"
            signature = trailer_signature(verified, previous, hashlib.sha256(text.encode()).hexdigest())
            out += f"x-amz-checksum-crc32:{crc}\r\nx-amz-trailer-signature:{signature}\r\n".encode()
        return out + b"\r\n"

    good = body(chunks)
    tampered = httpx.put(url, headers=dict(signed.headers.items()), content=good.replace(b"bbb", b"bBb", 1))
    assert (tampered.status_code, "SignatureDoesNotMatch" in tampered.text) == (403, True)
    short = httpx.put(url, headers=dict(signed.headers.items()), content=body(chunks[:2]))
    assert (short.status_code, "IncompleteBody" in short.text) == (400, True)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert httpx.put(url, headers=dict(signed.headers.items()), content=good).status_code == 200
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ContentEncoding"]) == (b"".join(chunks), "gzip")


def test_a_client_that_goes_away_leaves_nothing(endpoint: Endpoint, s3: Any, bucket: str) -> None:
    url = f"{endpoint.url}/{bucket}/k"
    signed = AWSRequest(
        method="PUT",
        url=url,
        headers={
            "host": urlsplit(url).netloc,
            "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
            "content-length": str(MIB * 4),
        },
    )
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(signed)
    head = f"PUT /{bucket}/k HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in signed.headers.items())
    incoming = endpoint.root / "objects" / "incoming"
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as connection:
        connection.sendall(head.encode() + b"\r\n" + b"x" * (2 * MIB))
        wait_until(lambda: any(incoming.iterdir()))
    wait_until(lambda: not any(incoming.iterdir()))
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not happen within 20 seconds"
        threading.Event().wait(0.01)


def test_documents_with_entities_are_refused(endpoint: Endpoint, s3: Any, bucket: str) -> None:
    url = f"{endpoint.url}/{bucket}?cors"
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><CORSConfiguration>&a;</CORSConfiguration>'
    signed = AWSRequest(method="PUT", url=url, data=bomb, headers={"host": urlsplit(url).netloc})
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(signed)
    answer = httpx.put(url, content=bomb, headers=dict(signed.headers.items()))
    assert (answer.status_code, "MalformedXML" in answer.text) == (400, True)


def test_writers_and_readers_of_one_key(s3: Any, bucket: str) -> None:
    payloads = [bytes([number]) * (100_000 + number) for number in range(6)]
    s3.put_object(Bucket=bucket, Key="k", Body=payloads[0])
    failures: list[BaseException] = []

    def work(payload: bytes) -> None:
        try:
            for _ in range(5):
                s3.put_object(Bucket=bucket, Key="k", Body=payload)
                assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() in payloads
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(payload,)) for payload in payloads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
