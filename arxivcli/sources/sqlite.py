"""Papers from SQLite: one table or view with a column of titles, read row by row and never written to."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from arxivcli.errors import InputError, unknown
from arxivcli.sources import fields
from arxivcli.sources.readings import PaperRows, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from arxivcli.sources.fields import Columns
    from arxivcli.sources.streams import Stream

_CHUNK = 1 << 20
_TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"


def read_sqlite(stream: Stream, columns: Columns, batch_size: int) -> Iterator[Reading]:
    """Readings of a database: the table named in `columns`, else the only one with titles, by rowid where it has one.

    What comes packed or through a pipe is copied to a temporary file first. Raises InputError for a damaged database
    or one that leaves open which table is meant, UsageError for a table that is not there.
    """
    with tempfile.NamedTemporaryFile(suffix=".sqlite") as copy:
        path = Path(getattr(stream.searchable, "name", ""))
        if stream.searchable is None or not path.is_file():
            while some := stream.read(_CHUNK):
                copy.write(some)
            copy.flush()
            path = Path(copy.name)
        try:
            with closing(_opened(path)) as database:
                yield from _rows(database, stream.name, columns, batch_size)
        except sqlite3.Error as error:
            raise InputError(f"{stream.name} cannot be read as SQLite: {error}", "get the file again") from error


def _opened(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; where not even the files beside it can be made, one that asks for no locks."""
    place = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        database = sqlite3.connect(place, uri=True)
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        database = sqlite3.connect(f"{place}&immutable=1", uri=True)
    database.text_factory = _text
    return database


def _text(raw: bytes) -> str | bytes:
    """Text, or the bytes of what is no UTF-8, which no title is."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _rows(database: sqlite3.Connection, source: str, columns: Columns, batch_size: int) -> Iterator[Reading]:
    table, names = _table(database, source, columns)
    wanted = fields.resolve(names, columns).names
    gathered = PaperRows(source, "sqlite", columns)
    query = f"SELECT {', '.join(map(_quoted, wanted))} FROM {_quoted(table)}{_order(database, table)}"  # noqa: S608
    for number, row in enumerate(database.execute(query), 1):
        gathered.add(dict(zip(wanted, row, strict=True)), number)
        if len(gathered) >= batch_size:
            yield gathered.take()
    if len(gathered):
        yield gathered.take()


def _table(database: sqlite3.Connection, source: str, columns: Columns) -> tuple[str, list[str]]:
    """The table or view that is meant, and its columns."""
    tables = {str(name): _columns(database, name) for (name,) in database.execute(_TABLES)}
    if columns.table is not None:
        if columns.table not in tables:
            raise unknown(f"table in {source} called", columns.table, tables, "" if tables else "it has no tables")
        fields.require_columns(tables[columns.table], columns)
        if fields.resolve(tables[columns.table], columns).title is None:
            there = ", ".join(tables[columns.table])
            raise InputError(f"{columns.table} in {source} has no column of titles; columns found: {there}",
                             "name it with --title-column")  # fmt: skip
        return columns.table, tables[columns.table]
    fitting = [name for name, names in tables.items() if fields.resolve(names, columns).title is not None]
    if not fitting:
        found = ", ".join(tables) or "none"
        raise InputError(f"{source} has no table with titles; tables found: {found}", "name it with --title-column")
    if len(fitting) > 1:
        raise InputError(f"{source} has several tables with titles: {', '.join(fitting)}", "choose one with --table")
    fields.require_columns(tables[fitting[0]], columns)
    return fitting[0], tables[fitting[0]]


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table; none for a view over what is no longer there."""
    try:
        return [str(name) for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    except sqlite3.OperationalError:
        return []


def _order(database: sqlite3.Connection, table: str) -> str:
    """By rowid, where there is one: views and tables WITHOUT ROWID come in their own order."""
    try:
        database.execute(f"SELECT rowid FROM {_quoted(table)} LIMIT 0")  # noqa: S608  quoted
    except sqlite3.OperationalError:
        return ""
    kind = database.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return " ORDER BY rowid" if kind == ("table",) else ""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
