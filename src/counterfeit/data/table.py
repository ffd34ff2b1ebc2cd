"""Images in the rows of Parquet files, as Hugging Face stores them: encoded files in a column, labels in another.

A column of images is a struct with the field `bytes`, which holds the content of an image file. Its other field,
`path`, is not opened: a file of a stranger could name any file of this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from counterfeit.data.arrays import MOST_CLASSES
from counterfeit.data.class_names import one_line
from counterfeit.data.npz import AT_EASE, MOST_TIMES
from counterfeit.data.picture import BadPicture
from counterfeit.data.rows_of import COLUMNS, LABELS
from counterfeit.data.table_rows import TableRows, opened
from counterfeit.data.tree import Entry, Tree
from counterfeit.data.walk import Glance, file_stamp
from counterfeit.errors import DataError
from counterfeit.system.console import say
from counterfeit.system.memory import check_room
from counterfeit.system.words import first_few

ROWS = 1024  # labels read at a time


class Columns(NamedTuple):
    """The columns that are read.

    Attributes:
        image: name of the column of images.
        leaf: what is read of it: the field `bytes`, or the column itself.
        label: name of the column of labels, or None.
        names: names of the classes in the order of the labels' numbers, or ().
    """

    image: str
    leaf: str
    label: str | None
    names: tuple[str, ...]


class Table(Tree):
    """The images in Parquet files, row by row, in the order in which they stand there."""

    def __init__(self, paths: Sequence[Path], shown: str, name: str) -> None:
        super().__init__(shown, name)
        self._paths, self._rows = list(paths), TableRows()

    def glance(self, settings: str) -> Glance:
        stamps = [file_stamp(path) for path in self._paths]
        digest = hashlib.sha256(f"{settings}\0parquet\0{stamps}".encode()).hexdigest()
        return Glance(digest, 0, max(each[4] for each in stamps))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes as Hugging Face's `ClassLabel` has them; () if there are none."""
        return self._columns.names

    def count(self) -> int:
        n = 0
        for path in self._paths:
            with opened(path) as file:
                n += file.metadata.num_rows
        if not n:
            raise DataError(f"{self} has no rows")
        return n

    def entries(self) -> Iterator[Entry]:
        number = 0
        for path in self._paths:
            for row, label in enumerate(_labels(path, self._columns)):
                yield Entry(f"{number:09d}", self._group(label, path, row), (path, row))
                number += 1

    @contextmanager
    def content(self, entry: Entry) -> Iterator[bytes]:
        path, row = entry.at
        with self._rows.content(path, row, self._columns.image, self._columns.leaf) as content:
            if content is None:
                raise BadPicture("it has no bytes of an image; paths to files elsewhere are not followed")
            yield content

    def path(self, entry: Entry) -> str:
        path, row = entry.at
        return f"{path}, row {row:,}"

    def close(self) -> None:
        self._rows.close()

    @cached_property
    def _columns(self) -> Columns:
        with opened(self._paths[0]) as file:
            found = columns_of(file.schema_arrow, str(self._paths[0]))
            others = [field for field in file.schema_arrow if field.name in LABELS]
        if not found.label and others:
            say(f"{self}: no classes, because the column {others[0].name} is {others[0].type}, not whole numbers")
        return found

    def _group(self, label: Any, path: Path, row: int) -> str:
        """The name of a row's class; "" without labels."""
        names = self._columns.names
        if self._columns.label is None:
            return ""
        if names and isinstance(label, int) and 0 <= label < len(names):
            return names[label]
        if not names and isinstance(label, int) and 0 <= label < MOST_CLASSES:
            return str(label)
        wanted = f"a number of one of its {len(names):,} classes" if names else f"0 to {MOST_CLASSES - 1:,}"
        raise DataError(f"{path}, row {row:,}: its {self._columns.label} is {label}; it must be {wanted}")


def columns_of(schema: Any, where: str) -> Columns:
    """Find the columns of images and of labels in the schema of a file. Raises DataError if there are no images."""
    features = _features(schema)
    kinds = {field.name: _leaf(field) for field in schema}
    marked = [name for name in kinds if features.get(name, {}).get("_type") == "Image" and kinds[name]]
    structs = [name for name, leaf in kinds.items() if leaf and leaf != name]
    usual = [name for name in COLUMNS if kinds.get(name)]
    found = marked or structs or usual
    if len(found) > 1:
        found = [name for name in COLUMNS if name in found] or found
    if not found or (len(found) > 1 and found[0] not in COLUMNS):
        there = first_few([f"{field.name} {field.type}" for field in schema], 5) or "nothing"
        many = f"several columns of images, {first_few(found)}; rename the one to use to" if found else "no column"
        raise DataError(f"{where} has {many} {COLUMNS[0]!r} of encoded images (a struct with bytes); it has {there}")
    label = next((name for name in LABELS if name in kinds and _is_number(schema.field(name))), None)
    names = features.get(label, {}).get("names") if label else None
    return Columns(found[0], kinds[found[0]] or "", label, _class_names(names, where) if names else ())


def _features(schema: Any) -> dict[str, Any]:
    """What Hugging Face's `datasets` says of the columns, by name; {} of a file of another origin."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: kind for name, kind in found.items() if isinstance(kind, dict)}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _leaf(field: Any) -> str | None:
    """What is read of a column of images: the field with the bytes, or the column itself; None if it holds none."""
    import pyarrow as pa

    def is_binary(kind: Any) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    if pa.types.is_struct(field.type):
        index = field.type.get_field_index("bytes")
        return f"{field.name}.bytes" if index >= 0 and is_binary(field.type.field(index).type) else None
    return field.name if is_binary(field.type) else None


def _is_number(field: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(field.type))


def _class_names(names: Any, where: str) -> tuple[str, ...]:
    good = isinstance(names, list) and all(isinstance(name, str) and one_line(name) for name in names)
    if not good or len(set(names)) != len(names) or len(names) > MOST_CLASSES:
        raise DataError(f"{where}: its classes must be up to {MOST_CLASSES:,} names in one line, all different")
    return tuple(names)


def _labels(path: Path, columns: Columns) -> Iterator[Any]:
    """Yield the label of each row, None for none."""
    with opened(path) as file:
        if columns_of(file.schema_arrow, str(path)) != columns:
            raise DataError(f"{path} has other columns or classes than the first file beside it")
        _check_size(file, path, columns.leaf)
        if columns.label is None:
            yield from repeat(None, file.metadata.num_rows)
        else:
            for batch in file.iter_batches(ROWS, columns=[columns.label], use_threads=False):
                yield from batch.column(columns.label).to_pylist()


def _check_size(file: Any, path: Path, leaf: str) -> None:
    """Raise DataError for images that are declared to be far more than what they take in the file, or than the memory.

    A page of a column is unpacked as a whole, and may be all of a group of rows.
    """
    for i in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(i)
        for column in (group.column(k) for k in range(group.num_columns)):
            packed, size = min(column.total_compressed_size, os.path.getsize(path)), column.total_uncompressed_size
            if column.path_in_schema == leaf and size > max(AT_EASE, MOST_TIMES * packed):
                raise DataError(f"{path} unpacks from {packed:,} bytes to {size:,}, and is not read")
            if column.path_in_schema == leaf:
                what = f"{path}: a group of {group.num_rows:,} rows"
                check_room(2 * size, what, "write it again with a smaller row_group_size")
