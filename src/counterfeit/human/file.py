"""The file of a new test: its tables, and the images that it holds from the beginning."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from counterfeit.errors import InputError
from counterfeit.human.images import digest, png

VERSION = 1
SCHEMA = """
CREATE TABLE test (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE images (
    source INTEGER, place INTEGER, label INTEGER, half INTEGER, sha256 TEXT NOT NULL, png BLOB NOT NULL,
    PRIMARY KEY (source, place)
);
CREATE TABLE raters (number INTEGER PRIMARY KEY, token TEXT UNIQUE NOT NULL, joined TEXT NOT NULL, about TEXT NOT NULL);
CREATE TABLE trials (
    rater INTEGER, position INTEGER, id TEXT UNIQUE NOT NULL, role TEXT NOT NULL, source INTEGER NOT NULL,
    place INTEGER NOT NULL, repeats INTEGER, PRIMARY KEY (rater, position)
);
CREATE TABLE judgements (
    rater INTEGER, position INTEGER, answer TEXT NOT NULL, seconds REAL NOT NULL, shown_ms REAL, time TEXT NOT NULL,
    PRIMARY KEY (rater, position)
);
"""


@dataclass(frozen=True)
class Pool:
    """The images of one source: uint8 (N, C, H, W), with their labels and halves, (N,) or None."""

    images: np.ndarray
    labels: np.ndarray | None = None
    halves: np.ndarray | None = None


def write(path: Path, facts: Mapping[str, Any], pools: Sequence[Pool]) -> None:
    """Write a test: all of it, or nothing. Raises InputError if there is a file."""
    if path.exists():
        raise InputError(f"{path} exists: give the test another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.unlink(missing_ok=True)
    with closing(sqlite3.connect(beside)) as db:
        db.executescript(SCHEMA)
        whole = {"version": VERSION, **facts}
        db.executemany("INSERT INTO test VALUES (?, ?)", [(name, json.dumps(value)) for name, value in whole.items()])
        db.executemany("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?)", _rows(pools))
        db.commit()
        db.execute("PRAGMA journal_mode = WAL")
    beside.replace(path)


def _rows(pools: Sequence[Pool]) -> Iterator[tuple[int, int, int | None, int | None, str, bytes]]:
    for source, pool in enumerate(pools):
        for place, image in enumerate(pool.images):
            label, half = (None if of is None else int(of[place]) for of in (pool.labels, pool.halves))
            yield source, place, label, half, digest(image), png(image)
