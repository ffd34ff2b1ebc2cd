"""The values of a column of Parquet files, one at a time, for several threads that ask for rows about in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from counterfeit.data.picture import CONTENTS, MOST_BYTES, BadPicture
from counterfeit.data.walk import file_stamp
from counterfeit.errors import DataError, InputError

BUFFER = 1 << 20  # bytes of a column read at a time
PASSED_ROWS, PASSED_BYTES = 16, 1 << 26  # kept of rows before the one that was asked for: another thread may be late


class TableRows:
    """The content of the rows of one column.

    A file is read onward, a row at a time. Who asks for an earlier row than those kept has the file read again from
    the beginning of that row's group.
    """

    def __init__(self) -> None:
        self._lock, self._opened = threading.Lock(), ExitStack()
        self._path: Path | None = None
        self._next, self._size = 0, 0
        self._values: Iterator[Any] = iter(())
        self._passed: dict[int, Any] = {}

    @contextmanager
    def content(self, path: Path, row: int, image: str, leaf: str) -> Iterator[bytes | None]:
        """The value of a row, None for none; its memory is reserved while the block runs.

        Args:
            path: the file.
            row: number of the row in it.
            image: name of the column.
            leaf: what is read of it: "image.bytes", or the column itself.

        Raises BadPicture for more than MOST_BYTES, and DataError for a file that cannot be read.
        """
        with ExitStack() as reserved:
            yield self._reserved(path, row, image, leaf, reserved)

    def _reserved(self, path: Path, row: int, image: str, leaf: str, reserved: ExitStack) -> bytes | None:
        # Whoever waits for memory here holds the lock; those who have the memory need no lock to give it back.
        with self._lock:
            with reading(path):
                value = self._value(path, row, image, leaf)
            size = _length(value)
            if size > MOST_BYTES:
                raise BadPicture(f"it has more than {MOST_BYTES >> 20:,} MiB")
            reserved.enter_context(CONTENTS.taken(size))
            content: bytes | None = value.as_py()
            return content

    def close(self) -> None:
        """Close the file that is open."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._path, self._values = None, iter(())
        self._passed.clear()
        self._size = 0
        self._opened.close()

    def _value(self, path: Path, row: int, image: str, leaf: str) -> Any:
        if path == self._path and row in self._passed:
            value = self._passed.pop(row)
            self._size -= _length(value)
            return value
        if path != self._path or row < self._next:
            self._begin(path, row, image, leaf)
        while (value := next(self._values, None)) is not None:
            self._next += 1
            if self._next > row:
                return value
            self._keep(value)
        raise ValueError(f"it has no row {row:,}")

    def _begin(self, path: Path, row: int, image: str, leaf: str) -> None:
        """Open a file, at the group that holds a row."""
        self._close()
        file = self._opened.enter_context(opened(path))
        group, first = 0, 0
        while group < file.metadata.num_row_groups and first + file.metadata.row_group(group).num_rows <= row:
            first += file.metadata.row_group(group).num_rows
            group += 1
        groups = list(range(group, file.metadata.num_row_groups))
        self._path, self._next = path, first
        self._values = _values(file.iter_batches(1, row_groups=groups, columns=[leaf], use_threads=False), image, leaf)

    def _keep(self, value: Any) -> None:
        self._passed[self._next - 1] = value
        self._size += _length(value)
        while len(self._passed) > PASSED_ROWS or self._size > PASSED_BYTES:
            self._size -= _length(self._passed.pop(next(iter(self._passed))))


def _values(batches: Iterator[Any], image: str, leaf: str) -> Iterator[Any]:
    for batch in batches:
        values = batch.column(image)
        if leaf != image:
            (values,) = values.flatten()
        yield from values


def _length(value: Any) -> int:
    """Bytes of a value, which is not copied."""
    return value.as_buffer().size if value.is_valid else 0


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A Parquet file. Raises DataError for what cannot be read, also within the block."""
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(f"{path} needs pyarrow, which is missing: pip install 'counterfeit[parquet]'") from None
    file_stamp(path)
    with reading(path), pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
        yield file


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise DataError for what pyarrow raises within the block, which may be anything on a malformed file."""
    try:
        yield
    except (InputError, GeneratorExit):
        raise
    except Exception as error:
        fault = " ".join(str(error).split())[:150] or type(error).__name__
        raise DataError(f"{path} cannot be read as Parquet ({fault}); download or write it again") from error
