"""Rows as parquet while they come: row groups whose borders depend on nothing but how many rows there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from arxivcli import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROW_GROUP: Final = 16_384
"""Rows of a group; the last one has fewer."""


def write(streams: Iterable[bytes], out: BinaryIO) -> None:
    """A row group for every ROW_GROUP rows, written when they are there: what is held is not more than that.

    Where its borders are depends on the number of rows alone.

    Args:
        streams: Arrow streams of one schema.
        out: written to from its beginning to its end; it may be a pipe.

    Raises:
        StorageError: the disk is full, ...
    """
    sink = _Forward(out)
    writer: pq.ParquetWriter | None = None
    try:
        for group in _grouped(streams):
            with storage.storage_errors("the output"):
                writer = writer or pq.ParquetWriter(sink, group.schema, compression="zstd")
                writer.write_table(group, row_group_size=ROW_GROUP)
                out.flush()
    except BaseException:
        sink.closed = True  # the writer's end would follow what is no whole file
        raise
    finally:
        if writer:
            with storage.storage_errors("the output"):
                writer.close()
                out.flush()


def _grouped(streams: Iterable[bytes]) -> Iterator[pa.Table]:
    """All rows, ROW_GROUP at once."""
    waiting: list[pa.RecordBatch] = []
    for content in streams:
        with pa.ipc.open_stream(content) as stream:
            waiting += stream
        while sum(batch.num_rows for batch in waiting) >= ROW_GROUP:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, ROW_GROUP).combine_chunks()
            waiting = table.slice(ROW_GROUP).to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


class _Forward:
    """A file that is only written to, from beginning to end: all that parquet needs, and a pipe can."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._written = 0
        self.closed = False

    def write(self, content: bytes) -> int:
        if not self.closed:
            self._out.write(content)
        self._written += len(content)
        return len(content)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        if not self.closed:
            self._out.flush()

    def close(self) -> None:
        """Leaves the file to whoever opened it."""
