"""Find out what kind of data the user has named: a data set, a folder, an archive, an .npz file or an array."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from counterfeit.data.image_set import ImageSet
from counterfeit.data.named import DATASETS
from counterfeit.data.shards import PARQUET, expand, is_pattern
from counterfeit.errors import DataError, InputError
from counterfeit.system import paths
from counterfeit.system.console import say

RUN = "run.json"  # the file that identifies a run folder
OF_FILES = ("folder", "archive", "parquet")  # kinds of places with a file for each image
AT_PATHS = (*OF_FILES, "npz")  # kinds of places that are found by a path
PACKED = (".zip", ".tar", ".tar.gz", ".tgz")  # endings of archives
OTHERS = (".7z", ".rar", ".tar.bz2", ".tar.xz", ".tar.zst", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst")
BESIDE = ("log.jsonl", "checkpoint", "samples")  # at least one of these is beside it


@dataclass(frozen=True)
class Place:
    """Where images come from.

    Attributes:
        kind: "dataset", "folder", "archive", "parquet", "npz" or "array".
        name: name of the data set, or the path as typed, or "array".
        path: absolute path of a folder or file, or the pattern of several files; else None.
    """

    kind: str
    name: str
    path: Path | None = None

    @property
    def has_files(self) -> bool:
        """Whether its images are in files of their own, which are brought to one size."""
        return self.kind in OF_FILES


def label(data: str) -> str:
    """A short name of the data for file names: the data set's name, or the last part of the path.

    If a folder or file has the name of a data set, its kind is appended. The path need not exist.
    """
    if data in DATASETS or data == "array":
        return data
    path = paths.absolute(data)
    ending = next((end for end in (".npz", ".parquet", *PACKED) if path.name.lower().endswith(end)), "")
    kind = {"": "folder", ".npz": "npz", ".parquet": "parquet"}.get(ending, "archive")
    stem = path.name[: len(path.name) - len(ending)]
    last = re.sub(r"-*(?:[{}*?,]|\.\.)+-*", "-", stem).strip("-")  # a pattern of several shards is no file name
    return f"{last}-{kind}" if last in DATASETS or last in ("", "array") else last


def locate(source: Any) -> Place:
    """The place that a name, path or array refers to. A data set takes precedence over a folder with the same name.

    If a folder and a data set have the same name, a line on stderr says which was taken.

    Raises:
        DataError: the name or path does not exist, or is that of a run rather than of images.
    """
    if isinstance(source, ImageSet):
        return Place("array", source.name)
    if not isinstance(source, str | os.PathLike):
        return Place("array", "array")
    try:
        name = paths.typed(source)
    except InputError as error:
        raise DataError(str(error)) from None
    if isinstance(source, str) and source in DATASETS:
        if os.path.isdir(source):
            _say_once(f"{source}: the data set is taken; the folder of that name here is ./{source}", os.getcwd())
        return Place("dataset", source)
    path = paths.absolute(source)
    if name and is_pattern(path):
        expand(str(path))
        return Place("parquet" if path.suffix.lower() == PARQUET else "archive", name, path)
    if not (name and os.path.exists(path)):  # Path("") would be the current folder
        raise DataError(_nowhere(name, path))
    # The folder ./mnist5k is shown with "./", so that it is not mistaken for the data set.
    shown = str(Path(name)) if str(Path(name)) not in DATASETS else f"./{Path(name)}"
    if path.is_dir():
        refuse_run(path, shown)
        if path.name in DATASETS:
            _say_once(f"{shown}: the folder is taken; the data set of that name is {path.name}", os.getcwd())
        return Place("folder", shown, path)
    if path.suffix.lower() == ".npz":
        return Place("npz", shown, path)
    if path.name.lower().endswith(PACKED):
        return Place("archive", shown, path)
    if path.suffix.lower() == ".parquet":
        return Place("parquet", shown, path)
    if path.name.lower().endswith(OTHERS):
        raise DataError(f"{shown} is no archive that is read here: pack its images as .zip or .tar, or unpack it")
    raise DataError(
        f"{shown} is neither a folder of images, nor a .zip or .tar of one, nor an .npz or .parquet file; "
        "see `counterfeit list data`"
    )


def is_there(path: str) -> bool:
    """Whether there is a file or folder at a path, or files of a pattern."""
    try:
        return os.path.exists(path) or (is_pattern(path) and bool(expand(path)))
    except DataError:
        return False


def refuse_run(path: Path, shown: str) -> None:
    """Raise DataError if a folder is a run, or the sample grids of a run: neither is a set of images."""
    if _is_run(path):
        raise DataError(_no_images(shown, shown))
    if path.name == "report" and path.parent.name == "samples":
        path = path.parent
    if path.name == "samples" and _is_run(path.parent):
        raise DataError(
            f"{shown} contains the sample grids of the run {path.parent}: score the run itself, "
            f"counterfeit score {path.parent}"
        )


def refuse_run_below(folder: str, names: Collection[str], root: Path) -> None:
    """Raise DataError if `names`, of the files and folders in a folder below `root`, are those of a run.

    Names of folders may end with "/".
    """
    if RUN in names and any(name in names or f"{name}/" in names for name in BESIDE):
        raise DataError(_no_images(str(root), folder))


def _is_run(path: Path) -> bool:
    return (path / RUN).is_file() and any((path / name).exists() for name in BESIDE)


def _no_images(shown: str, run: str) -> str:
    holds = f"{shown} is a run" if run == shown else f"{shown} holds the run {run}"
    return (
        f"{holds}, and a run is no folder of images: counterfeit score {run} scores it, "
        f"counterfeit sample {run} --out DIR draws images from it"
    )


def _nowhere(name: str, path: Path) -> str:
    if path.name.lower().endswith((".npz", ".parquet", *PACKED)) or os.path.basename(name) != name:
        return f"there is no folder or file at {name}"
    return (
        f"no data set named {name!r}; {DATASETS.suggest(name)}; the path of a folder of images, of a .zip or .tar of "
        "one, or of an .npz file is possible too"
    )


@lru_cache(maxsize=100)
def _say_once(line: str, where: str) -> None:
    """Print a line once per current folder, since data is located many times in one command."""
    say(line)
