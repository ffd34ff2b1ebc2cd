"""Files that hold a data set together, as shards: which belong to it, and to which of its splits."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from counterfeit.data.picture import EXTENSIONS
from counterfeit.data.splits import OTHER_SPLITS
from counterfeit.errors import DataError
from counterfeit.system.console import say

PARQUET = ".parquet"
ENDINGS = (PARQUET, ".tar")
RANGE, CHOICE = re.compile(r"\{(\d+)\.\.(\d+)\}"), re.compile(r"\{([^{},]*(?:,[^{},]*)+)\}")
MOST = 100_000  # shards


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a path stands for several shards, such as `s-{000..009}.tar` or `train-*.parquet`, and for no file."""
    text = os.fspath(path)
    special = "*" in text or "?" in text or RANGE.search(text) or CHOICE.search(text)
    return bool(special) and text.lower().endswith(ENDINGS) and not os.path.exists(text)


def expand(pattern: str) -> list[Path]:
    """The files that a pattern stands for: braces as in a shell, each of which must exist, then `*` and `?`, sorted.

    Raises DataError if there is none, or one is missing.
    """
    names = [pattern]
    while braces := next(filter(None, map(_first, names)), None):
        text, choices = braces.group(), _choices(braces)
        if len(names) * len(choices) > MOST:
            raise DataError(f"{pattern} stands for more than {MOST:,} files")
        names = [name.replace(text, choice, 1) for name in names for choice in choices]
    found: list[Path] = []
    for name in names:
        there = sorted(glob.glob(name)) if "*" in name or "?" in name else [name] if os.path.exists(name) else []
        if not there:
            raise DataError(f"there is no {name}" + (f", which {pattern} stands for" if name != pattern else ""))
        found += map(Path, there)
    return list(dict.fromkeys(found))


def _first(name: str) -> re.Match[str] | None:
    """The first braces in a name: those of a shell that vary most slowly."""
    return min(filter(None, (RANGE.search(name), CHOICE.search(name))), key=re.Match.start, default=None)


def _choices(braces: re.Match[str]) -> list[str]:
    """What braces stand for: `000` to `009`, with as many digits as the first has, or the words between commas."""
    if braces.re is CHOICE:
        return braces[1].split(",")
    first, last = int(braces[1]), int(braces[2])
    if last - first >= MOST:
        raise DataError(f"{braces.group()} stands for more than {MOST:,} files")
    return [f"{number:0{len(braces[1])}d}" for number in range(first, last + 1)]


def shards_in(root: Path) -> list[Path]:
    """The shards in a folder, sorted; [] if it also has images or folders, or has no shards."""
    found = []
    try:
        with os.scandir(root) as there:
            for each in there:
                ending = os.path.splitext(each.name)[1].lower()
                if each.name[0] == ".":
                    continue
                if ending in EXTENSIONS or each.is_dir():  # early: there may be a million of them
                    return []
                if ending in ENDINGS:
                    found.append(Path(each.path))
    except OSError:
        return []  # the code that reads the images reports the fault
    kinds = sorted({path.suffix.lower() for path in found})
    if len(kinds) > 1:
        raise DataError(f"{root} holds shards of two kinds, {' and '.join(kinds)}: keep one of them there")
    return sorted(found)


def by_split(paths: Sequence[Path], shown: str) -> dict[str, list[Path]]:
    """Shards by split: `train` and `test` if their names have these words, as in `train-00000-of-00002`; else `train`.

    Without a test split, `validation` takes its place; otherwise it is left out. A line says so. Raises DataError if
    some shards have the word of a split and others have none.
    """
    found: dict[str, list[Path]] = {}
    for path in paths:
        words = re.split("[^a-z]+", path.name.lower())
        word = next((word for word in words if word in {"train", "test", *OTHER_SPLITS}), "")
        found.setdefault("validation" if word in OTHER_SPLITS else word, []).append(path)
    if len(found) == 1:
        return {"train": next(iter(found.values()))}
    if "" in found or "train" not in found:
        raise DataError(f"{shown}: which shards are of which split? {', '.join(path.name for path in paths[:4])}, …")
    other = found.pop("validation", [])
    if other and "test" not in found:
        say(f"{shown}: its split validation is taken as the test split")
        found["test"] = other
    elif other:
        say(f"{shown}: its split validation is not used: {len(other):,} files")
    return {split: found[split] for split in ("train", "test")}
