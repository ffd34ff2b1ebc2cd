"""Image files by name, wherever they are: in a folder, in an archive, or in the rows of a table."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from counterfeit.data.picture import content_of
from counterfeit.data.walk import Glance, glance, walk


class Entry(NamedTuple):
    """An image file.

    Attributes:
        name: its path in the tree, with "/" as separator.
        label: its class, if that is stored beside it; None if its class is the first folder of its path.
        at: where the tree has its content.
    """

    name: str
    label: str | None = None
    at: Any = None

    @property
    def folder(self) -> str:
        """The first folder of the path; "" for none."""
        return self.name.rpartition("/")[0].partition("/")[0]


class Tree(ABC):
    """Image files in the order of their names. Converted to text, it is what the user typed.

    Attributes:
        shown: path of the whole, as the user typed it.
        name: name of this part of it, for messages: "train" for the folder of that split.
    """

    def __init__(self, shown: str, name: str) -> None:
        self.shown, self.name = shown, name

    def __str__(self) -> str:
        return self.shown

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of classes that are known before the files are read; () if they follow from the files."""
        return ()

    @abstractmethod
    def glance(self, settings: str) -> Glance:
        """What is known without reading the files. Raises DataError if there are none, or they cannot be read."""

    @abstractmethod
    def count(self) -> int:
        """The number of image files, asked for after `glance`."""

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield all image files in the order of their names."""

    @abstractmethod
    def content(self, entry: Entry) -> AbstractContextManager[bytes]:
        """Read a file; its memory is reserved while the block runs. Called by several threads. Raises BadPicture."""

    @abstractmethod
    def path(self, entry: Entry) -> str:
        """Where a file is, for messages."""

    def close(self) -> None:
        """Close what was opened to read the files."""
        return


class Folder(Tree):
    """The image files below a folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root), root.name)
        self.root, self._files = root, 0

    def glance(self, settings: str) -> Glance:
        found = glance(self.root, settings)
        self._files = found.files
        return found

    def count(self) -> int:
        return self._files

    def entries(self) -> Iterator[Entry]:
        return (Entry(each.name) for each in walk(self.root))

    def content(self, entry: Entry) -> AbstractContextManager[bytes]:
        return content_of(os.path.join(self.root, entry.name))  # a Path would intern the names of all files

    def path(self, entry: Entry) -> str:
        return str(self.root / entry.name)
