"""The double's snapshot download against what is known of Kaggle's and its storage's."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from asking import Reply, ask
from double import Catalogue, Double, faults, spoils
from double.checksums import crc32c
from double.snapshot import MEMBER, basic, bearer, json_line
from test_double import GARDENS

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parent / "fixtures" / "fetch"


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(Catalogue(120)) as served:
        yield served


def signed(double: Double, url: str | None = None) -> str:
    reply = ask(url or double.snapshot_url)
    assert (reply.status, reply.body) == (302, b"")
    return reply.headers["Location"]


def fetched(double: Double, url: str | None = None, method: str = "GET", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(signed(double, url), method, named)


def test_a_line_is_that_of_the_description() -> None:
    line = (FIXTURES / "snapshot_line.json").read_bytes()
    assert json_line(GARDENS) == line
    assert len(json.loads(line)) == 14


def test_the_zip_has_one_file_of_lines_and_headers_that_tell_of_it(double: Double) -> None:
    reply = fetched(double)
    assert reply.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
        assert (archive.namelist(), archive.testzip()) == ([MEMBER], None)
        lines = archive.read(MEMBER).splitlines(keepends=True)
    papers = [double.catalogue.paper(paper) for paper in double.catalogue.ids]
    assert lines == [json_line(paper) for paper in papers]
    assert set(map(len, map(json.loads, lines))) == {14}
    crc, md5 = reply.headers["X-Goog-Hash"].split(",")
    assert md5 == f"md5={base64.b64encode(hashlib.md5(reply.body, usedforsecurity=False).digest()).decode()}"
    assert crc == f"crc32c={base64.b64encode(crc32c([reply.body]).to_bytes(4, 'big')).decode()}"
    assert int(reply.headers["Content-Length"]) == int(reply.headers["x-goog-stored-content-length"]) == len(reply.body)
    assert reply.headers["Accept-Ranges"] == "bytes"


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c([b"123456789"]) == 0xE3069283
    assert crc32c([bytes(32)]) == 0x8A9136AA
    assert crc32c([b"12", b"3456", b"789"]) == 0xE3069283


def test_the_bytes_are_the_same_each_time() -> None:
    found = []
    for _ in range(2):
        with Double(Catalogue(60)) as double:
            found.append((fetched(double).body, fetched(double, double.single_file_url).body))
    assert found[0] == found[1]


def test_the_single_file_is_plain_lines_or_a_zip(double: Double) -> None:
    plain = fetched(double, double.single_file_url)
    assert plain.body.count(b"\n") == 120
    assert plain.headers["Content-Type"] == "application/json"
    assert urlsplit(signed(double, double.single_file_url)).path.endswith(f"/{MEMBER}")
    double.snapshot.single_zipped = True
    assert urlsplit(signed(double, double.single_file_url)).path.endswith(f"/{MEMBER}.zip")
    zipped = fetched(double, double.single_file_url)
    assert zipped.body.startswith(b"PK\x03\x04")
    assert ask(f"{double.kaggle_url}/datasets/download/somebody/else").status == 404


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=100-", 100, -1),
        ("bytes=-7", -7, -1),
        ("bytes=5-99999999", 5, -1),
        ("bytes=3-3", 3, 3),
    ],
)
def test_a_part_of_the_file(double: Double, asked: str, first: int, last: int) -> None:
    whole = fetched(double)
    size = len(whole.body)
    start, end = first % size, last % size
    reply = fetched(double, Range=asked, If_Range=whole.headers["ETag"])
    assert (reply.status, reply.body) == (206, whole.body[start : end + 1])
    assert reply.headers["Content-Range"] == f"bytes {start}-{end}/{size}"
    for name in ("ETag", "x-goog-generation", "X-Goog-Hash"):
        assert reply.headers[name] == whole.headers[name]


def test_other_parts(double: Double) -> None:
    whole = fetched(double)
    size = len(whole.body)
    beyond = fetched(double, Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    for headers in ({"Range": "bytes=5-", "If_Range": '"another"'}, {"Range": "lines=5-"}, {"Range": "bytes=0-1,5-6"}):
        reply = fetched(double, **headers)
        assert (reply.status, reply.body) == (200, whole.body)
    head = fetched(double, method="HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(size))
    assert fetched(double, method="POST").status == 405


def test_a_new_version_is_another_file(double: Double) -> None:
    address = signed(double)
    before = ask(address)
    double.catalogue.touch(double.catalogue.ids[0], title="Changed")
    assert ask(address).body == before.body
    double.snapshot.publish()
    after = ask(address, headers={"Range": "bytes=10-", "If-Range": before.headers["ETag"]})
    assert after.status == 200
    assert after.body != before.body
    assert after.headers["ETag"] != before.headers["ETag"]
    assert after.headers["x-goog-generation"] != before.headers["x-goog-generation"]


def test_signed_addresses_expire(double: Double) -> None:
    address = signed(double)
    assert ask(address).status == 200
    double.clock.advance(days=4)
    expired = ask(address)
    assert (expired.status, expired.text.count("<Code>ExpiredToken</Code>")) == (400, 1)
    fresh = signed(double)
    assert ask(fresh).status == 200
    double.snapshot.revoke()
    double.snapshot.expired = 403
    assert ask(fresh).status == 403
    double.snapshot.uses = 2
    limited = signed(double)
    assert [ask(limited).status for _ in range(3)] == [200, 200, 403]


def test_other_addresses_are_refused(double: Double) -> None:
    address = signed(double)
    assert "SignatureDoesNotMatch" in ask(address[:-1] + "x").text
    assert "SignatureDoesNotMatch" in ask(address.replace("archive.zip", MEMBER)).text
    assert "AccessDenied" in ask(address.partition("?")[0]).text


def test_storage_is_another_host(double: Double) -> None:
    kaggle, storage = urlsplit(double.snapshot_url), urlsplit(signed(double))
    assert (kaggle.hostname, storage.hostname) == ("127.0.0.1", "localhost")
    assert kaggle.port != storage.port


def test_credentials_are_asked_for_and_written_down(double: Double) -> None:
    double.snapshot.needs = basic("mira", "0123")
    assert ask(double.snapshot_url).status == 401
    assert ask(double.snapshot_url, headers={"Authorization": bearer("KGAT_x")}).status == 403
    good = ask(double.snapshot_url, headers={"Authorization": "Basic bWlyYTowMTIz"})
    assert good.status == 302
    ask(good.headers["Location"], headers={"Authorization": "Basic bWlyYTowMTIz"})
    assert double.log.credentials() == [
        ("kaggle", "Bearer KGAT_x"), ("kaggle", "Basic bWlyYTowMTIz"), ("storage", "Basic bWlyYTowMTIz"),
    ]  # fmt: skip


def test_what_goes_wrong_with_downloads(double: Double) -> None:
    true = fetched(double)
    double.faults.add(faults.no_range(), site="storage")
    whole = fetched(double, Range="bytes=10-")
    assert (whole.status, whole.body, whole.headers["Accept-Ranges"]) == (200, true.body, None)
    double.faults.add(faults.headers(X_Goog_Hash="crc32c=AAAAAA==,md5=AAAAAAAAAAAAAAAAAAAAAA=="), site="storage")
    assert fetched(double).headers["X-Goog-Hash"] == "crc32c=AAAAAA==,md5=AAAAAAAAAAAAAAAAAAAAAA=="
    double.faults.add(faults.spoil(spoils.flipped(1_000)), site="storage")
    wrong = fetched(double)
    assert sum(one != other for one, other in zip(wrong.body, true.body, strict=True)) == 1
    double.faults.add(faults.spoil(lambda body: body[:-1]), site="storage")
    assert len(fetched(double).body) == len(true.body) - 1
    double.faults.add(faults.headers(ETag='"other"', x_goog_generation="7"), site="storage")
    changed = fetched(double, Range="bytes=10-")
    assert (changed.status, changed.headers["ETag"], changed.headers["x-goog-generation"]) == (206, '"other"', "7")
    double.catalogue.touch(double.catalogue.ids[5])
    double.faults.add(faults.before(double.snapshot.publish), site="storage")
    assert fetched(double, Range="bytes=10-", If_Range=true.headers["ETag"]).status == 200
    double.snapshot.flat = True
    double.snapshot.publish()
    with zipfile.ZipFile(io.BytesIO(fetched(double).body)) as archive:
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED
