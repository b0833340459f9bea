"""The small languages of Cloud Storage: multipart bodies, field selections, globs, paths, checksums."""

from __future__ import annotations

from typing import Any

import pytest

from mlparity.storage import crc32c
from mlparity.storage.gcs import ABSENT, OPERATIONS, serves
from mlparity.storage.gcs.errors import GcsError
from mlparity.storage.gcs.fields import select
from mlparity.storage.gcs.match_glob import compile_glob, literal_prefix
from mlparity.storage.gcs.message import GcsRequest
from mlparity.storage.gcs.operations import resolve
from mlparity.storage.gcs.receive import read_piece
from mlparity.storage.gcs.related import RelatedParser, boundary_of

CRLF = (
    b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: a/b\r\n\r\n"
    b"data\r\n--not the end\r\n\r\n--b--"
)
LF = b"--b\nContent-Type: application/json\n\n{}\n--b\nContent-Type: a/b\n\ndata\r\n--not the end\r\n\n--b--"
EMPTY = b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: a/b\r\n\r\n\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [(CRLF, b"data\r\n--not the end\r\n"), (LF, b"data\r\n--not the end\r\n"), (EMPTY, b"")],
)
def test_a_multipart_body_may_be_cut_anywhere(body: bytes, expected: bytes) -> None:
    for size in (1, 2, 3, 7, len(body)):
        data = bytearray()
        parser = RelatedParser(boundary_of('multipart/related; boundary="b"'), data.extend)
        for start in range(0, len(body), size):
            parser.feed(body[start : start + size])
        parser.finish()
        assert (bytes(data), parser.resource, parser.media_type) == (expected, b"{}", "a/b")


def test_a_multipart_body_without_an_end_is_refused() -> None:
    for end in range(len(CRLF) - 3):
        parser = RelatedParser(b"b", lambda data: None)
        parser.feed(CRLF[:end])
        with pytest.raises(GcsError, match="Malformed multipart body"):
            parser.finish()
    with pytest.raises(GcsError, match="boundary"):
        boundary_of("multipart/related")


RESOURCE: dict[str, Any] = {"kind": "k", "items": [{"name": "a", "acl": {"x": 1, "y": 2}}, {"name": "b"}]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("kind", {"kind": "k"}),
        ("items(name)", {"items": [{"name": "a"}, {"name": "b"}]}),
        ("items/name,kind", {"kind": "k", "items": [{"name": "a"}, {"name": "b"}]}),
        ("items(acl/x, name)", {"items": [{"name": "a", "acl": {"x": 1}}, {"name": "b"}]}),
        ("items/*/y", {"items": [{"name": "a", "acl": {"y": 2}}, {"name": "b"}]}),
        ("*", RESOURCE),
        ("absent", {}),
    ],
)
def test_fields_are_selected(fields: str, expected: dict[str, Any]) -> None:
    assert select(RESOURCE, fields) == expected


@pytest.mark.parametrize("fields", ["items(", "a,,b", "(a)", "a)b", "a b;c", ","])
def test_what_is_no_selection_is_refused(fields: str) -> None:
    with pytest.raises(GcsError, match="Invalid field selection"):
        select(RESOURCE, fields)


@pytest.mark.parametrize(
    ("glob", "names", "others"),
    [
        ("*.txt", ["a.txt", ".txt"], ["d/a.txt", "atxt"]),
        ("**.txt", ["a.txt", "d/e/a.txt"], ["a.txt.gz"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "ab"]),
        ("?[a-c][!x]", ["1bz"], ["1bx", "1b/", "/bz", "1dz"]),
        ("{a,b{c,d}}.*", ["a.x", "bc.x", "bd."], ["b.x", "ac.x"]),
        ("a,b}", ["a,b}"], ["a"]),
        (r"\*.(x)+", ["*.(x)+"], ["a.(x)+", "*.x"]),
    ],
)
def test_globs(glob: str, names: list[str], others: list[str]) -> None:
    pattern = compile_glob(glob)
    assert [name for name in names if not pattern.fullmatch(name)] == []
    assert [name for name in others if pattern.fullmatch(name)] == []
    assert all(name.startswith(literal_prefix(glob)) for name in names)


def test_which_paths_are_cloud_storages() -> None:
    yes = ("/storage/v1/b", "/upload/storage/v1/b/x/o", "/batch/storage/v1", "/bucket/object", "/my.bucket_1/a/b")
    no = ("/", "/v1/projects/p", "/v1beta1/projects/p", "/v2/x", "/bucket", "/_admin/x", "/Bucket/x", "/ab/x")
    assert [path for path in yes if not serves(path)] == []
    assert [path for path in no if serves(path)] == []
    assert serves("/v1/anything", "bucket.storage.googleapis.com")
    assert serves("/", "storage.googleapis.com:443")


def request(method: str, path: str, **headers: str) -> GcsRequest:
    return GcsRequest(method, path, "", {}, {name.replace("_", "-"): value for name, value in headers.items()}, "")


def test_what_is_absent_names_itself() -> None:
    for absent in ABSENT:
        path = "/storage/v1/" + absent.template.replace("{", "").replace("}", "")
        with pytest.raises(GcsError) as refused:
            resolve(request(absent.method, path))
        assert absent.name in refused.value.message or (absent.acl and "uniform" in refused.value.message)
    assert not {absent.name for absent in ABSENT} & {operation.name for operation in OPERATIONS}
    with pytest.raises(GcsError, match="Method Not Allowed"):
        resolve(request("PATCH", "/storage/v1/b"))
    with pytest.raises(GcsError, match="Not Found"):
        resolve(request("GET", "/storage/v1/nothing"))


def test_content_ranges() -> None:
    piece = read_piece(request("PUT", "/", content_range="bytes 0-9/10", content_length="10"))
    assert (piece.start, piece.size, piece.total, piece.is_last) == (0, 10, 10, True)
    assert not read_piece(request("PUT", "/", content_range="bytes 0-9/*")).is_last
    assert read_piece(request("PUT", "/", content_range="bytes */*")).asks
    assert read_piece(request("PUT", "/", content_length="3")).is_last
    for text in ("bytes 5-3/10", "bytes 0-9/5", "bytes x", "items 0-1/2"):
        with pytest.raises(GcsError, match="Content-Range"):
            read_piece(request("PUT", "/", content_range=text))
    with pytest.raises(GcsError, match="Content-Length"):
        read_piece(request("PUT", "/"))


def test_checksums_combine() -> None:
    whole = b"".join(bytes([number]) * number for number in range(200))
    for cut in (0, 1, 77, len(whole)):
        first, second = crc32c.extend(0, whole[:cut]), crc32c.extend(0, whole[cut:])
        assert crc32c.combine(first, second, len(whole) - cut) == crc32c.extend(0, whole)
    assert crc32c.combine(None, 1, 1) is None
    assert crc32c.extend(0, b"123456789") == 0xE3069283  # RFC 3720's check value
    assert crc32c.decode(crc32c.encode(0xE3069283)) == 0xE3069283
    assert crc32c.decode("not base64") is None
