"""Records of any kind gathered column by column into Arrow papers, each in its place, also those that are no papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from arxivcli import taxonomy
from arxivcli.papers import PAPERS
from arxivcli.sources import fields
from arxivcli.sources.fields import Columns, Fields, NotAPaperError

EMPTY_LINE = "empty line"
"""Why an empty line is no paper: it keeps its place, so that answers line up with lines, but nobody did wrong."""

_MANY_SHAPES = 1_000


@dataclass(frozen=True)
class Reading:
    """n records of one source in its order, also those that are no papers: a failed row is empty and has a reason."""

    papers: pa.RecordBatch
    """PAPERS, n rows, texts as they came."""
    errors: pa.StringArray
    """Null where fine, else a short stable reason (`not JSON`, `not UTF-8`, `no title`, EMPTY_LINE, ...)."""
    lines: pa.Int64Array
    """Line in the file counted from 1; the number of the record for JSON lists and parquet."""
    revised: pa.Int64Array
    """Seconds since 1970 of the newest change, 0 unknown: of two records with one id the larger wins."""
    source: str
    """Name for messages."""
    format: str
    """One of `files.FORMATS`."""
    header: tuple[str, ...] | None = None
    """Names of the columns of a CSV or TSV file as they stand."""
    rows: tuple[tuple[str, ...], ...] | None = None
    """The n original rows of a CSV or TSV file; a row that is not UTF-8 has replacement characters."""
    delimiter: str | None = None
    """What stands between the cells of a CSV or TSV file."""
    line_end: str = "\n"
    """What ends the lines of a CSV or TSV file."""
    headed: bool = True
    """Whether the names in `header` stand in the file; else they are numbers."""
    blocks: tuple[bytes, ...] | None = None
    """The n entries of a BibTeX file as they stand, each with what is between it and the next."""
    rest: bytes = b""
    """What stands behind the last entry of a BibTeX file, when that was given away before it was known."""


class PaperRows:
    """Gathers records one by one; `take` hands out what was gathered as one Reading."""

    def __init__(
        self,
        source: str,
        format: str,  # noqa: A002
        columns: Columns,
        header: tuple[str, ...] | None = None,
        delimiter: str | None = None,
        line_end: str = "\n",
        must_have_columns: bool = False,
        headed: bool = True,
    ) -> None:
        self._unchecked = must_have_columns
        self._delimiter = delimiter
        self._line_end = line_end
        self._source = source
        self._format = format
        self._columns = columns
        self._header = header
        self._headed = headed
        self._shapes: dict[tuple[str, ...], Fields] = {}
        self._start()

    def _start(self) -> None:
        self._identifiers: list[str] = []
        self._titles: list[str] = []
        self._abstracts: list[str] = []
        self._categories: list[str] = []
        self._created: list[int | None] = []
        self._revised: list[int] = []
        self._errors: list[str | None] = []
        self._lines: list[int] = []
        self._rows: list[tuple[str, ...]] = []
        self._blocks: list[bytes] = []
        self._rest = b""

    def __len__(self) -> int:
        return len(self._lines)

    def add_json(self, line: bytes | None, number: int) -> None:
        """One JSON text; None when it was too long to keep."""
        if line is None:
            return self.fail("line too long", number)
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            return self.fail(_why_not_json(line), number)
        return self.add(record, number, line)

    def add_title(self, line: bytes | None, number: int) -> None:
        """One line of text that is a title; None when it was too long to keep."""
        if line is None:
            return self.fail("line too long", number)
        try:
            title = line.decode()
        except UnicodeDecodeError:
            return self.fail("not UTF-8", number)
        return self.add({"title": title.removesuffix("\r")}, number) if title.strip() else self.fail(EMPTY_LINE, number)

    def add(self, record: Any, number: int, line: bytes = b"") -> None:
        """One record, whatever it is; the `line` is its JSON text if it has one."""
        if type(record) is not dict:
            return self.fail("not an object", number)
        shape = tuple(record)
        names = self._shapes.get(shape) or self._resolve(shape)
        title = record.get(names.title)
        abstract = record.get(names.abstract)
        try:
            if type(title) is not str:
                title = fields.text(title, "title")
            if type(abstract) is not str:
                abstract = fields.text(abstract, "abstract")
            if (not title or title.isspace()) and (not abstract or abstract.isspace()):
                return self.fail("no title", number)
            identifier = record.get(names.id)
            if type(identifier) is float and line:
                identifier = fields.written_identifier(identifier, line, names.id or "")
            identifier = fields.identifier(identifier)
            # For texts alone no key means these: looking for nothing would take half as long as all the rest.
            categories, created, revised = "", None, 0
            if not self._columns.texts_only:
                categories = fields.categories(record.get(names.categories), record.get(names.primary))
                created, revised = fields.dates(record, names)
        except NotAPaperError as error:
            return self.fail(str(error), number)
        self._titles.append(title)
        self._abstracts.append(abstract)
        self._identifiers.append(identifier)
        self._categories.append(categories)
        self._created.append(created)
        self._revised.append(revised)
        self._errors.append(None)
        self._lines.append(number)
        return None

    def _resolve(self, shape: tuple[str, ...]) -> Fields:
        if self._unchecked:
            fields.require_columns(shape, self._columns)
            self._unchecked = False
        if len(self._shapes) >= _MANY_SHAPES:
            self._shapes.clear()
        return self._shapes.setdefault(shape, fields.resolve(shape, self._columns))

    def fail(self, reason: str, number: int, identifier: str = "") -> None:
        """One record that is no paper keeps its place, and the id it may have."""
        self._titles.append("")
        self._abstracts.append("")
        self._identifiers.append(identifier)
        self._categories.append("")
        self._created.append(None)
        self._revised.append(0)
        self._errors.append(reason)
        self._lines.append(number)

    def keep_row(self, cells: tuple[str, ...]) -> None:
        """The original cells of the record that was just added."""
        self._rows.append(cells)

    def keep_block(self, block: bytes) -> None:
        """The original text of the BibTeX entry that was just added."""
        self._blocks.append(block)

    def keep_rest(self, text: bytes) -> None:
        """What stands behind the last entry, which was taken already."""
        self._rest = text

    def take(self) -> Reading:
        """Everything gathered since the last time."""
        categories = pa.array(self._categories, pa.string()).dictionary_encode()
        known = [taxonomy.fold_ids(ids) for ids in categories.dictionary.to_pylist()]
        columns = [
            pa.array(self._identifiers, pa.string()),
            pa.array(self._titles, pa.string()),
            pa.array(self._abstracts, pa.string()),
            pa.array(known, pa.list_(pa.string())).take(categories.indices),
            pa.array(self._created, pa.int32()).cast(pa.date32()),
        ]
        reading = Reading(
            papers=pa.RecordBatch.from_arrays(columns, schema=PAPERS),
            errors=pa.array(self._errors, pa.string()),
            lines=pa.array(self._lines, pa.int64()),
            revised=pa.array(self._revised, pa.int64()),
            source=self._source,
            format=self._format,
            header=self._header,
            rows=tuple(self._rows) if self._header is not None else None,
            delimiter=self._delimiter,
            line_end=self._line_end,
            headed=self._headed,
            blocks=tuple(self._blocks) if self._format == "bib" else None,
            rest=self._rest,
        )
        self._start()
        return reading


def _why_not_json(line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return "not JSON" if line.strip() else EMPTY_LINE
