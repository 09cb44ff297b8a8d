"""Kaggle's download address and the storage behind it: one zip with one file of JSON lines, by signed addresses."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from .checksums import goog_hash
from .exchange import Answer, Part, Request, page
from .records import day, mail_date
from .words import utf8

if TYPE_CHECKING:
    from collections.abc import Callable

    from .catalogue import Catalogue
    from .papers import Paper

DATASET = "Cornell-University/arxiv"
MEMBER = "arxiv-metadata-oai-snapshot.json"
ARCHIVE = "archive.zip"
_DOWNLOAD = f"/api/v1/datasets/download/{DATASET}"
_BUCKET = "/kaggle-data-sets/612177/bundle"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Stored:
    """A file in the storage, with what its headers say."""

    path: Path
    size: int
    goog_hash: str
    etag: str
    generation: int

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of every answer about it."""
        kind = "application/zip" if self.path.suffix == ".zip" else "application/json"
        return (
            ("Content-Type", kind),
            ("ETag", self.etag),
            ("x-goog-generation", str(self.generation)),
            ("x-goog-stored-content-length", str(self.size)),
            ("X-Goog-Hash", self.goog_hash),
            ("Accept-Ranges", "bytes"),
        )


class SnapshotServer:
    """Kaggle and its storage, two servers.

    The files are made from the catalogue when they are first asked for, and stay as they are until `publish`.
    """

    def __init__(self, catalogue: Catalogue, storage: Callable[[], str]) -> None:
        self.catalogue = catalogue
        self.folder = Path()
        """Where the files are made."""
        self.version = 296
        """The dataset's version number."""
        self.lifetime = 259_200
        """Seconds that a signed address is good for, by the double's clock."""
        self.uses: int | None = None
        """How many requests a signed address is good for."""
        self.expired = 400
        """The storage's status for an address that has expired: 400 or 403."""
        self.needs: str | None = None
        """The Authorization header that Kaggle asks for; see `basic` and `bearer`."""
        self.single_zipped = False
        """Whether the single file, too, arrives as a zip, under a name that ends in `.zip`."""
        self.flat = False
        """Whether members of a zip are stored, not deflated."""
        self._storage = storage
        self._files: dict[tuple[int, str], Stored] = {}
        self._signed: dict[str, list[float]] = {}
        self._lock = threading.RLock()

    def publish(self) -> None:
        """A new version of the dataset, of the catalogue as it is now: another generation at the same address."""
        self.version += 1

    def revoke(self) -> None:
        """Every address signed so far has expired."""
        with self._lock:
            for state in self._signed.values():
                state[:] = [0, 0]

    def kaggle(self, request: Request) -> Answer:
        """The API: 302 to a signed address on the storage server."""
        if request.path not in {_DOWNLOAD, f"{_DOWNLOAD}/{MEMBER}"}:
            return _json(404, "Not found")
        if request.method not in {"GET", "HEAD"}:
            return _json(405, "Method not allowed")
        if self.needs is not None and request.headers.get("authorization") != self.needs:
            if "authorization" in request.headers:
                return _json(403, "Permission 'datasets.get' was denied")
            return _json(401, "Unauthenticated")
        name = ARCHIVE
        if request.path != _DOWNLOAD:
            name = f"{MEMBER}.zip" if self.single_zipped else MEMBER
        where = f"{self._storage()}{self.signed(f'{_BUCKET}/{name}')}"
        return Answer(302, (("Location", where), ("Content-Type", "text/html; charset=utf-8")))

    def storage(self, request: Request) -> Answer:
        """The files: GET and HEAD of signed addresses, whole or in ranges."""
        if request.method not in {"GET", "HEAD"}:
            return _refused(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        signature = request.params.get("X-Goog-Signature")
        if signature is None:
            return _refused(403, "AccessDenied", "Access denied.")
        with self._lock:
            state = self._signed.get(signature)
            if state is None or signature != _signature(request.path, request.params.get("X-Goog-Date", "")):
                return _refused(403, "SignatureDoesNotMatch", "Access denied.")
            if state[0] < self.catalogue.clock.now().timestamp() or state[1] < 1:
                return _refused(self.expired, "ExpiredToken", "Invalid argument.")
            state[1] -= 1
        return _served(request, self.stored(request.path.rpartition("/")[2]))

    def signed(self, path: str) -> str:
        """Path and query of an address that works until it expires."""
        now = self.catalogue.clock.now()
        date = f"{now:%Y%m%dT%H%M%SZ}.{len(self._signed)}"
        signature = _signature(path, date)
        with self._lock:
            uses = float("inf") if self.uses is None else self.uses
            self._signed[signature] = [now.timestamp() + self.lifetime, uses]
        params = {
            "X-Goog-Algorithm": "GOOG4-RSA-SHA256",
            "X-Goog-Credential": f"invented@example.iam.gserviceaccount.com/{now:%Y%m%d}/auto/storage/goog4_request",
            "X-Goog-Date": date,
            "X-Goog-Expires": str(self.lifetime),
            "X-Goog-SignedHeaders": "host",
            "X-Goog-Signature": signature,
        }
        return f"{path}?{urlencode(params)}"

    def stored(self, name: str = ARCHIVE) -> Stored:
        """The current version's file of this name, made if need be: `archive.zip`, or the JSON lines by their name."""
        with self._lock:
            if (self.version, name) not in self._files:
                self._files[self.version, name] = self._made(name)
            return self._files[self.version, name]

    def _made(self, name: str) -> Stored:
        path = self.folder / f"{self.version}-{name}"
        if name == MEMBER:
            self._write_lines(path)
        else:
            lines = self.folder / f"{self.version}-lines"
            self._write_lines(lines)
            _write_zip(path, lines, zipfile.ZIP_STORED if self.flat else zipfile.ZIP_DEFLATED)
            lines.unlink()
        size = path.stat().st_size
        hashed, md5 = goog_hash(Part(path, 0, size).pieces())
        return Stored(path, size, hashed, f'"{md5}"', 1_700_000_000_000_000 + self.version)

    def _write_lines(self, path: Path) -> None:
        with path.open("wb") as file:
            for paper in self.catalogue.ids:
                file.write(json_line(self.catalogue.paper(paper)))


def _write_zip(path: Path, lines: Path, kind: int) -> None:
    """One member with fixed dates and rights: the same bytes each time."""
    member = zipfile.ZipInfo(MEMBER, (2026, 7, 25, 0, 0, 0))
    member.compress_type, member.external_attr, member.create_system = kind, 0o644 << 16, 3
    with (
        zipfile.ZipFile(path, "w", compresslevel=1) as archive,
        archive.open(member, "w", force_zip64=True) as file,
    ):
        for piece in Part(lines, 0, lines.stat().st_size).pieces():
            file.write(piece)


def basic(user: str, key: str) -> str:
    """The Authorization header of a user name and a key."""
    return f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"


def bearer(token: str) -> str:
    """The Authorization header of a token."""
    return f"Bearer {token}"


def json_line(paper: Paper) -> bytes:
    """A paper as the snapshot has it: fourteen keys, raw TeX, authors once more in parts and in UTF-8."""
    fields = {
        "id": paper.id,
        "submitter": paper.submitter,
        "authors": paper.authors,
        "title": paper.title,
        "comments": paper.comments,
        "journal-ref": paper.journal_ref,
        "doi": paper.doi,
        "report-no": paper.report_no,
        "categories": paper.categories,
        "license": paper.license,
        "abstract": paper.abstract,
        "versions": [
            {"version": f"v{version.number}", "created": mail_date(version.created, padded=False)}
            for version in paper.versions
        ],
        "update_date": day(paper.modtime),
        "authors_parsed": [[utf8(person.keyname), utf8(person.forenames), person.suffix] for person in paper.people],
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _served(request: Request, stored: Stored) -> Answer:
    """The whole file, or the part asked for: 206, 416, or 200 where If-Range names another one."""
    whole = Answer(200, stored.headers, Part(stored.path, 0, stored.size))
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or not any(asked.groups()) or request.headers.get("if-range", stored.etag) != stored.etag:
        return whole
    first, last = asked.groups()
    start = int(first) if first else max(0, stored.size - int(last))
    end = min(int(last), stored.size - 1) if first and last else stored.size - 1
    if start >= stored.size or end < start:
        answer = _refused(416, "InvalidRange", "The requested range cannot be satisfied.")
        return answer.with_headers(Content_Range=f"bytes */{stored.size}")
    headers = (*stored.headers, ("Content-Range", f"bytes {start}-{end}/{stored.size}"))
    return Answer(206, headers, Part(stored.path, start, end - start + 1))


def _signature(path: str, date: str) -> str:
    return hashlib.sha256(f"{path} {date}".encode()).hexdigest()


def _json(code: int, says: str) -> Answer:
    return page(code, "application/json", json.dumps({"code": code, "message": says}))


def _refused(code: int, name: str, says: str) -> Answer:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{name}</Code><Message>{says}</Message></Error>"
    return page(code, "application/xml; charset=UTF-8", body)
