"""Files of tensors and tokenizers, which libraries write: what the disk says meanwhile, said as our errors."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from arxivcli import storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NUMBER = re.compile(r"\(os error (\d+)\)")
"""How libraries in Rust wrap an error of the disk into one of their own."""


@contextmanager
def written(where: Path) -> Iterator[None]:
    """Inside, safetensors and tokenizers may write; what the disk refuses becomes a StorageError that names `where`."""
    with storage.storage_errors(where):
        try:
            yield
        except Exception as error:
            number = _NUMBER.search(str(error))
            if isinstance(error, OSError) or number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
