"""The snapshot under bad servers: whole and right, or not there, never a mix, and never fetched twice."""

from __future__ import annotations

import base64
import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest
from double import Catalogue, Double, faults, spoils
from double.exchange import Answer, Request, Respond, page
from loopback import Noted, client, quiet_environment, site
from snapshots import (
    CORRUPT,
    NOTE,
    PARTIAL,
    RECORD,
    ZIP,
    asked,
    begun,
    got,
    names,
    refused,
    stops,
    storage,
    unpacked,
    whole,
)

from arxivcli.errors import RemoteError
from arxivcli.sources.snapshot import Snapshot, download, standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_environment(monkeypatch, tmp_path_factory.mktemp("alone"))


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(Catalogue(300)) as served:
        yield served


# What comes


def test_the_snapshot_comes_whole(double: Double, tmp_path: Path) -> None:
    found, notes = got(double, tmp_path / "new" / "raw")
    stored = double.snapshot.stored()
    assert found.file == tmp_path / "new" / "raw" / ZIP
    assert found.file.read_bytes() == whole(double)
    assert (found.size, found.etag, found.generation) == (stored.size, stored.etag, str(stored.generation))
    assert (found.verified, found.already, notes) == (True, False, [])
    assert names(found.file.parent) == {ZIP, RECORD}
    assert asked(double, "accept-encoding") == ["identity"]
    assert standing(found.file.parent) == Snapshot(**{**vars(found), "already": True})
    assert [json.loads(line)["id"] for line in unpacked(found.file).splitlines()] == double.catalogue.ids


def test_the_same_snapshot_is_not_fetched_twice(double: Double, tmp_path: Path) -> None:
    first, _ = got(double, tmp_path)
    inode = first.file.stat().st_ino
    double.snapshot.publish()  # the same bytes under another number
    again, notes = got(double, tmp_path)
    assert again.already
    assert first.file.stat().st_ino == inode
    assert notes == []
    assert names(tmp_path) == {ZIP, RECORD}


def test_a_damaged_snapshot_is_fetched_anew(double: Double, tmp_path: Path) -> None:
    first, _ = got(double, tmp_path)
    with first.file.open("r+b") as file:
        file.seek(4_000)
        file.write(b"\0\0\0\0")
    again, notes = got(double, tmp_path)
    assert not again.already
    assert again.file.read_bytes() == whole(double)
    assert notes == [f"{first.file} is damaged; starting anew"]
    assert names(tmp_path) == {ZIP, RECORD}


def test_waiting_for_a_server_that_is_not_there_is_shown(tmp_path: Path) -> None:
    class Shown(Noted):
        began = False

        def begin(self, what: str, total: int | None = None, unit: str = "papers") -> None:  # noqa: ARG002
            self.began = True

        def waiting(self, seconds: float, why: str) -> None:  # noqa: ARG002
            assert self.began
            self.notes.append(why)

    shown = Shown()
    with client("http://127.0.0.1:9/", noted=shown, pace=0.6) as web, pytest.raises(RemoteError, match="the network"):
        download(web, tmp_path, shown)
    assert "cannot connect" in shown.notes[0]


def test_a_newer_snapshot_takes_the_place_of_the_old_one(double: Double, tmp_path: Path) -> None:
    first, _ = got(double, tmp_path)
    old = first.file.read_bytes()
    double.catalogue.add(100)
    double.snapshot.publish()
    begun(double, tmp_path)
    assert first.file.read_bytes() == old
    assert standing(tmp_path) is not None
    second, _ = got(double, tmp_path)
    assert second.file.read_bytes() == whole(double) != old
    assert not second.already
    assert names(tmp_path) == {ZIP, RECORD}
    assert asked(double)[-1] is not None


@pytest.mark.parametrize("damage", ["cut", "gone", "no record", "odd record"])
def test_what_was_changed_here_is_fetched_again(double: Double, tmp_path: Path, damage: str) -> None:
    first, _ = got(double, tmp_path)
    if damage == "cut":
        os.truncate(first.file, 1_000)
    elif damage == "gone":
        first.file.unlink()
    elif damage == "no record":
        (tmp_path / RECORD).unlink()
    else:
        (tmp_path / RECORD).write_text('["file"]')
    assert standing(tmp_path) is None
    assert not got(double, tmp_path)[0].already
    assert first.file.read_bytes() == whole(double)


def test_a_file_of_lines_and_a_packed_one_are_taken_too(double: Double, tmp_path: Path) -> None:
    """And each takes the place of the other, as both hold the same papers."""
    first, _ = got(double, tmp_path)
    second, _ = got(double, tmp_path, double.single_file_url)
    assert second.file.name == "arxiv-metadata-oai-snapshot.json"
    lines = second.file.read_bytes()
    assert names(tmp_path) == {second.file.name, RECORD}
    packed = gzip.compress(lines)
    with (
        site(lambda _: page(200, "application/gzip", packed, ETag='"1"')) as other,
        client(f"http://127.0.0.1:{other.port}/") as web,
    ):
        third = download(web, tmp_path, Noted())
    assert third.file.name == "arxiv-metadata-oai-snapshot.json.gz"
    assert names(tmp_path) == {third.file.name, RECORD}
    assert unpacked(third.file) == lines
    assert first.size != third.size


# Parts


def test_a_download_that_breaks_off_goes_on_where_it_stopped(double: Double, tmp_path: Path) -> None:
    double.faults.add(stops(10_000), site="storage", number=(1, 2, 3))
    found, notes = got(double, tmp_path)
    assert found.file.read_bytes() == whole(double)
    assert asked(double) == [None, "bytes=10000-", "bytes=20000-", "bytes=30000-"]
    assert set(asked(double, "if-range")[1:]) == {found.etag}
    assert sum(entry.sent for entry in double.log.of("storage")) == found.size
    assert notes == []


@pytest.mark.parametrize("ending", [faults.short(missing=5_000), faults.silent()], ids=["short", "silent"])
def test_other_ends_are_gone_on_from_too(double: Double, tmp_path: Path, ending: faults.Action) -> None:
    double.faults.add(ending, site="storage", number=2)
    begun(double, tmp_path, 9_000)
    found, _ = got(double, tmp_path, timeout=0.2)
    assert found.file.read_bytes() == whole(double)


def test_as_long_as_bytes_come_there_is_no_limit_to_tries(double: Double, tmp_path: Path) -> None:
    double.faults.add(stops(5_000), site="storage", times=None)
    found, _ = got(double, tmp_path, max_wait=0.2)
    assert found.file.read_bytes() == whole(double)
    assert len(double.log.of("storage")) > 10


def test_without_a_byte_there_is(double: Double, tmp_path: Path) -> None:
    double.faults.add(stops(0), site="storage", times=None)
    assert "gave up" in str(refused(double, tmp_path, max_wait=0.1))
    assert names(tmp_path) <= {PARTIAL, NOTE}


def test_a_server_without_parts_begins_anew_and_has_a_limit(double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.no_range(), site="storage", times=None)
    begun(double, tmp_path)
    found, notes = got(double, tmp_path)
    assert found.file.read_bytes() == whole(double)
    assert notes == ["the server does not send parts; starting anew"]

    double.catalogue.add(1)
    double.snapshot.publish()
    double.faults.add(stops(9_000), site="storage", times=None)
    assert "gave up" in str(refused(double, tmp_path, max_wait=0.1))


def test_a_server_that_has_no_such_part_begins_anew(double: Double, tmp_path: Path) -> None:
    begun(double, tmp_path)
    double.faults.add(faults.status(416, Content_Range="bytes */7"), site="storage")
    found, notes = got(double, tmp_path)
    assert found.file.read_bytes() == whole(double)
    assert notes == ["the server has no more bytes, though some are missing; starting anew"]
    assert asked(double) == ["bytes=9000-", None]


def test_two_versions_are_never_mixed(double: Double, tmp_path: Path) -> None:
    begun(double, tmp_path)
    double.catalogue.add(100)
    double.snapshot.publish()
    found, notes = got(double, tmp_path)
    assert found.file.read_bytes() == whole(double)
    assert notes == ["there is another snapshot at the server now; starting anew"]


def _another_part(request: Request, respond: Respond) -> Answer:
    """A part that begins a byte too late."""
    answer = respond(request)
    start, _, rest = (answer.header("Content-Range") or "").removeprefix("bytes ").partition("-")
    changed = answer.with_headers(Content_Range=f"bytes {int(start) + 1}-{rest}")
    return changed.with_body(lambda body: body[1:])


@pytest.mark.parametrize(
    "action",
    [
        faults.headers(ETag='"x"', X_Goog_Hash=None, x_goog_generation="9"),
        faults.headers(X_Goog_Hash="md5=" + base64.b64encode(bytes(16)).decode()),
        faults.headers(ETag=None, X_Goog_Hash=None, x_goog_generation=None),
        faults.headers(Content_Range="bytes 9000-9999/10000"),
        faults.headers(Content_Range="bytes 9000-*/*"),
        _another_part,
    ],
    ids=["another tag", "another checksum", "no name", "another size", "no size", "another part"],
)
def test_a_part_of_something_else_is_not_taken(double: Double, tmp_path: Path, action: faults.Action) -> None:
    """Also from a server that does not know If-Range."""
    begun(double, tmp_path)
    double.faults.add(action, site="storage")
    found, notes = got(double, tmp_path)
    assert found.file.read_bytes() == whole(double)
    assert asked(double) == ["bytes=9000-", None]
    assert notes == ["the server sends a part of something else; starting anew"]


def test_another_address_begins_anew(double: Double, tmp_path: Path) -> None:
    begun(double, tmp_path)
    found, notes = got(double, tmp_path, double.single_file_url)
    assert found.file.read_bytes() == double.snapshot.stored("arxiv-metadata-oai-snapshot.json").path.read_bytes()
    assert notes == ["the part that is there came from another address; starting anew"]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"offset": 9000}', '{"offset": "x", "url": 1, "size": 2}'])
def test_a_damaged_note_is_no_note(double: Double, tmp_path: Path, note: str) -> None:
    begun(double, tmp_path)
    (tmp_path / NOTE).write_text(note)
    assert got(double, tmp_path)[0].file.read_bytes() == whole(double)
    assert asked(double) == [None]


# Checks


def test_wrong_bytes_are_kept_apart_and_fetched_again(double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.spoil(spoils.flipped(5_000)), site="storage")
    found, _ = got(double, tmp_path)
    assert found.file.read_bytes() == whole(double)
    assert names(tmp_path) == {ZIP, RECORD}


def test_wrong_bytes_again_and_again_are_an_error(double: Double, tmp_path: Path) -> None:
    old, _ = got(double, tmp_path)
    before = old.file.read_bytes()
    double.catalogue.add(10)
    double.snapshot.publish()
    double.log.clear()
    double.faults.add(faults.spoil(spoils.flipped(5_000)), site="storage", times=None)
    error = refused(double, tmp_path)
    assert "does not have the checksum that the server names" in error.what
    assert str(tmp_path / CORRUPT) in error.what
    assert len(double.log.of("storage")) == 3
    assert names(tmp_path) == {ZIP, RECORD, CORRUPT}
    assert (tmp_path / CORRUPT).stat().st_size == double.snapshot.stored().size
    assert old.file.read_bytes() == before


def test_wrong_bytes_before_the_break_are_found_after_it(double: Double, tmp_path: Path) -> None:
    """What is on the disk is what is checked."""
    begun(double, tmp_path)
    with (tmp_path / PARTIAL).open("r+b") as file:
        file.seek(4_000)
        file.write(b"\0\0\0\0")
    assert got(double, tmp_path)[0].file.read_bytes() == whole(double)
    assert asked(double) == ["bytes=9000-", None]


def test_more_bytes_than_there_are(double: Double, tmp_path: Path) -> None:
    begun(double, tmp_path)
    double.faults.add(faults.spoil(lambda body: body + b"more"), site="storage")
    assert got(double, tmp_path)[0].file.read_bytes() == whole(double)
    assert asked(double) == ["bytes=9000-", None]


def test_without_a_checksum_the_size_counts(double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.headers(X_Goog_Hash=None, ETag='"v1"'), site="storage", times=None)
    double.faults.add(stops(10_000), site="storage")
    found, _ = got(double, tmp_path)
    assert not found.verified
    assert found.file.read_bytes() == whole(double)
    assert got(double, tmp_path)[0].already


def test_without_a_checksum_only_bytes_that_are_surely_there_count(double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.headers(X_Goog_Hash=None, ETag='"v1"'), site="storage", times=None)
    begun(double, tmp_path)
    with (tmp_path / PARTIAL).open("ab") as file:
        file.write(bytes(500))  # as after a power cut
    assert got(double, tmp_path)[0].file.read_bytes() == whole(double)
    assert asked(double) == ["bytes=9000-"]


def test_without_any_name_there_are_no_parts(double: Double, tmp_path: Path) -> None:
    double.faults.add(
        faults.headers(X_Goog_Hash=None, ETag='W/"v1"', x_goog_generation=None), site="storage", times=None
    )
    begun(double, tmp_path)
    assert got(double, tmp_path)[0].file.read_bytes() == whole(double)
    assert asked(double) == [None]


@pytest.mark.parametrize(
    ("action", "says", "tries"),
    [
        (faults.outage(), "sends no snapshot but something else (text/html", 3),
        (faults.status(200, ""), "sends no snapshot but something else (text/html", 3),
        (faults.status(200, "<Error>", kind="application/xml"), "(application/xml)", 3),
        (faults.headers(Content_Encoding="gzip"), "an encoding that nobody asked for", 3),
        (faults.chunked(), "does not say how large the file is", 1),
        (faults.status(404), "says 404 Not Found", 1),
    ],
    ids=["outage", "empty", "error", "packed", "without a size", "gone"],
)
def test_what_is_no_snapshot_is_not_kept(
    double: Double, tmp_path: Path, action: faults.Action, says: str, tries: int
) -> None:
    double.faults.add(action, site="storage", times=None)
    assert says in refused(double, tmp_path).what
    assert len(double.log.of("storage")) == tries
    assert names(tmp_path) == set()


def test_an_outage_in_between_loses_nothing(double: Double, tmp_path: Path) -> None:
    begun(double, tmp_path)
    double.faults.add(faults.outage(), site="storage", number=(1, 2))
    found, notes = got(double, tmp_path)
    assert found.file.read_bytes() == whole(double)
    assert asked(double) == ["bytes=9000-"] * 3
    assert notes == []


@pytest.mark.parametrize("head", [b"PK\x03\x04" + bytes(3_000), b"\x1f\x8b" + bytes(3_000)], ids=["zip", "gzip"])
def test_what_only_begins_like_a_snapshot_is_none(double: Double, tmp_path: Path, head: bytes) -> None:
    with site(lambda _: page(200, "application/zip", head)) as other:
        error = refused(double, tmp_path, f"http://127.0.0.1:{other.port}/")
    assert "the file is no snapshot" in error.what
    assert names(tmp_path) == {CORRUPT}


# Links and credentials


@pytest.mark.parametrize("status", [400, 403])
def test_a_link_that_has_run_out_is_asked_for_again(double: Double, tmp_path: Path, status: int) -> None:
    begun(double, tmp_path)
    double.snapshot.expired = status
    double.faults.add(faults.before(double.snapshot.revoke), site="storage", number=(1, 2))
    found, _ = got(double, tmp_path)
    assert found.file.read_bytes() == whole(double)
    assert [entry.status for entry in double.log.of("storage")] == [status, status, 206]
    assert len({entry.target for entry in double.log.of("storage")}) == 3
    assert len(double.log.of("kaggle")) == 3


def test_links_that_never_work_are_an_error(double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.before(double.snapshot.revoke), site="storage", times=None)
    assert "the link to the file may have run out, 3 times" in refused(double, tmp_path).what


def test_a_refusal_of_kaggle_is_final(double: Double, tmp_path: Path) -> None:
    double.faults.add(faults.status(403), site="kaggle", times=None)
    error = refused(double, tmp_path)
    assert "it refuses to serve us" in error.what
    assert "with a browser" in error.hint
    assert len(double.log) == 1


def test_the_storage_must_be_a_known_place(double: Double, tmp_path: Path) -> None:
    with client(double.snapshot_url) as web, pytest.raises(RemoteError) as caught:
        download(web, tmp_path, Noted())
    assert f"redirects to http://{storage(double)}, where we do not go" in caught.value.what
    assert "X-Goog" not in str(caught.value)
    assert double.log.of("storage") == []


def test_credentials_are_kaggles_alone(double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_secret")
    double.snapshot.needs = "Bearer KGAT_secret"
    assert "says 401" in refused(double, tmp_path / "mirror").what
    assert double.log.credentials() == []
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", double.origin("kaggle"))
    double.faults.add(stops(9_000), site="storage")
    got(double, tmp_path / "kaggle")
    assert double.log.credentials() == [("kaggle", "Bearer KGAT_secret")] * 2
    assert b"secret" not in b"".join(path.read_bytes() for path in (tmp_path / "kaggle").iterdir())


def test_credentials_that_nobody_knows_are_left_out(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "old")
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", double.origin("kaggle"))
    double.faults.add(faults.status(401), where=lambda request: "authorization" in request.headers, times=None)
    found, notes = got(double, tmp_path)
    assert found.file.read_bytes() == whole(double)
    assert [note for note in notes if "does not know your Kaggle credentials; going on without them" in note] == notes
    assert len(notes) == 1
