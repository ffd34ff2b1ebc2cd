"""A test in one SQLite file: its design, its images, who sees which, and every judgement from the moment it is made.

Each judgement is a transaction of its own, with the system before the rater gets the next image: a killed server loses
none that was answered. A store may be used from any thread, and by several processes.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from counterfeit.errors import InputError
from counterfeit.human.design import Design, order
from counterfeit.human.file import VERSION, Pool, write
from counterfeit.human.lines import Answer, Judgement

LINES = """
SELECT j.rater, j.position, t.role, t.source, t.repeats, i.half, i.label, i.sha256, j.answer, j.seconds, j.shown_ms,
    j.time, (SELECT COUNT(*) FROM trials WHERE rater = j.rater)
FROM judgements j JOIN trials t USING (rater, position) JOIN images i USING (source, place)
WHERE ?1 IS NULL OR j.rater = ?1 ORDER BY j.rater, j.position
"""
WAIT = 10.0  # seconds for another's transaction


@dataclass(frozen=True)
class Next:
    """The image that a rater judges next: an id that says nothing of it, how many are done, and of how many."""

    id: str
    done: int
    of: int


class Store:
    """One test; close it in the end. Raises InputError where there is none at the path, or it is of another version."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"there is no human test at {path}: check the path")
        self._lock = threading.RLock()
        # One connection for all threads: the last one that closes would copy the log into the file each time.
        place = f"{self.path.absolute().as_uri()}?mode=rw"
        self._db = sqlite3.connect(place, WAIT, isolation_level=None, check_same_thread=False, uri=True)
        try:
            # A write waits for the system, not for the disk: 40 raters at once would. Only a power failure can lose the
            # last answers, and never damages the file.
            self._db.execute("PRAGMA synchronous = NORMAL")
            facts = self.facts()
            if facts.get("version") != VERSION:
                raise InputError(f"{path} is a human test of another version of counterfeit")
            self.id: str = facts["id"]
            self.models: list[str] = facts["models"]
            self.design = msgspec.convert(facts["design"], Design)
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.DatabaseError | LookupError | TypeError | json.JSONDecodeError):
                raise InputError(f"{path} cannot be read as a human test ({error})") from None
            raise

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def create(
        cls,
        path: str | Path,
        design: Design,
        models: Sequence[str],
        pools: Sequence[Pool],
        receipt: Mapping[str, Any],
        places: Mapping[str, str] | None = None,
    ) -> Store:
        """A new test: pools of every model's images, the real ones and the noise. Raises InputError if it is there.

        Args:
            receipt: what is known of the models and the real images before anyone has judged.
            places: where the runs are, by model.
        """
        facts = {
            "id": secrets.token_hex(6),
            "created": _now(),
            "models": list(models),
            "design": msgspec.to_builtins(design),
            "pools": [len(pool.images) for pool in pools],
            "receipt": dict(receipt),
            "places": dict(places or {}),
        }
        write(Path(path), facts, pools)
        return cls(path)

    def facts(self) -> dict[str, Any]:
        with self._open() as db:
            return {name: json.loads(value) for name, value in db.execute("SELECT name, value FROM test")}

    def join(self, about: Mapping[str, Any] | None = None) -> str:
        """A new rater, with an order of their own; returns the secret by which the rater is known from then on."""
        token, pools = secrets.token_urlsafe(18), self.facts()["pools"]
        with self._writing() as db:
            number = db.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM raters").fetchone()[0]
            db.execute("INSERT INTO raters VALUES (?, ?, ?, ?)", (number, token, _now(), json.dumps(about or {})))
            db.executemany(
                "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (number, i, secrets.token_urlsafe(12), one.role, one.source, one.place, one.repeats)
                    for i, one in enumerate(order(self.design, number, pools))
                ],
            )
        return token

    def next(self, token: str) -> Next | None:
        """What the rater judges next; None if all is done. Raises InputError for an unknown rater."""
        with self._open() as db:
            return _next(db, _rater(db, token))

    def image(self, token: str, trial: str) -> bytes:
        """The PNG of the image that this rater is to judge now. Raises InputError for any other."""
        with self._open() as db:
            now = _next(db, _rater(db, token))
            if now is None or now.id != trial:
                raise InputError("this is not the image to judge now: reload the page")
            query = "SELECT png FROM trials JOIN images USING (source, place) WHERE id = ?"
            return bytes(db.execute(query, (trial,)).fetchone()[0])

    def answer(
        self, token: str, trial: str, answer: Answer, seconds: float, shown_ms: float | None = None
    ) -> Next | None:
        """Keep a judgement; what is judged next. The first answer to an image stands: another tab cannot change it.

        Raises InputError: an unknown rater or image, one that is not to be judged yet, or a value out of range.
        """
        if answer not in ("real", "fake") or not 0 <= seconds <= 1e6 or not 0 <= (shown_ms or 0) <= 1e6:
            raise InputError("an answer is real or fake, with the seconds that it took")
        with self._writing() as db:
            rater = _rater(db, token)
            now = _next(db, rater)
            query = "SELECT position FROM trials WHERE id = ? AND rater = ?"
            found = db.execute(query, (trial, rater)).fetchone()
            if found is None:
                raise InputError("this image is not one of yours: reload the page")
            if now is None or now.id != trial:
                query = "SELECT 1 FROM judgements WHERE rater = ? AND position = ?"
                if db.execute(query, (rater, found[0])).fetchone() is None:
                    raise InputError("this is not the image to judge now: reload the page")
                return now
            row = rater, found[0], answer, seconds, shown_ms, _now()
            db.execute("INSERT INTO judgements VALUES (?, ?, ?, ?, ?, ?)", row)
            return _next(db, rater)

    def describe(self, token: str, about: Mapping[str, Any]) -> None:
        """Keep what the rater's browser says of itself: its name, the size and scale of its screen."""
        with self._writing() as db:
            rater = _rater(db, token)
            db.execute("UPDATE raters SET about = ? WHERE number = ?", (json.dumps(about), rater))

    def judgements(self) -> list[Judgement]:
        """All judgements, by rater and position; from then on they are in the file itself, not in its log alone."""
        with self._open() as db, suppress(sqlite3.Error):  # it waits for nobody, and a full disk loses nothing
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return self._judgements(None)

    def own(self, token: str) -> list[Judgement]:
        """The judgements of one rater. Raises InputError for an unknown rater."""
        with self._open() as db:
            rater = _rater(db, token)
        return self._judgements(rater)

    def _judgements(self, of_rater: int | None) -> list[Judgement]:
        with self._open() as db:
            rows = db.execute(LINES, (of_rater,)).fetchall()
        found = []
        for rater, position, role, source, repeats, half, label, sha256, answer, seconds, shown_ms, time, of in rows:
            found.append(
                Judgement(
                    **{"test": self.id, "rater": rater, "position": position, "of": of, "role": role},
                    model=self.models[source] if source < len(self.models) else None,
                    real=source == self.design.real,
                    **{"half": half, "label": label, "image": sha256, "repeats": repeats},
                    **{"answer": answer, "seconds": seconds, "shown_ms": shown_ms, "time": time},
                )
            )
        return found

    def raters(self) -> list[dict[str, Any]]:
        """Number, when they joined, and browser and screen of all raters; not the secrets by which they are known."""
        with self._open() as db:
            rows = db.execute("SELECT number, joined, about FROM raters ORDER BY number").fetchall()
        return [{"number": number, "joined": joined, **json.loads(about)} for number, joined, about in rows]

    def progress(self) -> list[tuple[int, int, int]]:
        """(number of the rater, judged, of how many) for all who have joined."""
        with self._open() as db:
            return db.execute(
                "SELECT r.number, (SELECT COUNT(*) FROM judgements WHERE rater = r.number), "
                "(SELECT COUNT(*) FROM trials WHERE rater = r.number) FROM raters r ORDER BY r.number"
            ).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: at its end all of it is written, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _rater(db: sqlite3.Connection, token: str) -> int:
    found = db.execute("SELECT number FROM raters WHERE token = ?", (token,)).fetchone()
    if found is None:
        raise InputError("nobody has joined this test with that link: join it again")
    return int(found[0])


def _next(db: sqlite3.Connection, rater: int) -> Next | None:
    """The first image that the rater has not judged; answers come in order."""
    query = "SELECT (SELECT COUNT(*) FROM judgements WHERE rater = ?1), COUNT(*) FROM trials WHERE rater = ?1"
    done, of = db.execute(query, (rater,)).fetchone()
    found = db.execute("SELECT id FROM trials WHERE rater = ? AND position = ?", (rater, done)).fetchone()
    return None if found is None else Next(found[0], done, of)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
