"""A test's file: what raters get, that no answer is lost, and that nothing tells a rater what an image is."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterfeit.errors import InputError
from counterfeit.human import images
from counterfeit.human.design import Design
from counterfeit.human.file import Pool
from counterfeit.human.lines import as_line, parsed
from counterfeit.human.statistics import results
from counterfeit.human.store import Next, Store

DESIGN = Design(models=2, fakes=5, raters=3)


def made(path: Path, design: Design = DESIGN, channels: int = 1) -> Store:
    """A test of images that show in every pixel what they are: source, then place."""
    pools = []
    for source in range(design.models + 2):
        shown = np.full((60, channels, 8, 8), 40 * source, np.uint8)
        shown += np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1) % 40
        pools.append(Pool(shown, np.arange(60) % 10, np.arange(60) % 2 if source == design.real else None))
    return Store.create(path, design, [f"runs/m{i}" for i in range(design.models)], pools, {"models": {}, "real": {}})


def answered(store: Store, token: str, most: int = 10_000) -> int:
    """Answer so many images, each with what it is; the number of answers."""
    done = 0
    while done < most and (now := store.next(token)) is not None:
        pixel = np.asarray(Image.open(io.BytesIO(store.image(token, now.id))))[0, 0]
        store.answer(token, now.id, "real" if int(np.max(pixel)) // 40 == store.design.real else "fake", 0.5)
        done += 1
    return done


def test_raters_get_the_images_of_their_order_once(tmp_path: Path) -> None:
    store = made(tmp_path / "test.sqlite")
    token = store.join({"browser": "x"})
    assert answered(store, token) == DESIGN.shown
    found = store.judgements()
    assert [one.position for one in found] == list(range(DESIGN.shown))
    assert Counter(one.role for one in found) == {"judged": 20, "noise": 8}
    assert Counter(one.model for one in found if one.role == "judged") == {"runs/m0": 5, "runs/m1": 5, None: 10}
    assert not any(one.wrong for one in found)  # what is stored as real is what was shown as real
    assert {one.half for one in found if one.real} == {0, 1} and {one.half for one in found if not one.real} == {None}
    assert store.next(token) is None
    assert store.raters() == [{"number": 1, "joined": store.raters()[0]["joined"], "browser": "x"}]


@pytest.mark.parametrize("channels", [1, 3])
def test_real_and_generated_images_take_one_way_to_png(tmp_path: Path, channels: int) -> None:
    """Equal pixels are equal bytes, whatever they are of, and nothing but pixels is in the file."""
    image = np.random.default_rng(0).integers(0, 256, (channels, 8, 8), np.uint8)
    pools = [Pool(np.stack([image] * 60)) for _ in range(3)]
    store = Store.create(tmp_path / "t.sqlite", Design(models=1, fakes=5), ["m"], [*pools], {})
    token = store.join()
    seen = set()
    while (now := store.next(token)) is not None:
        seen.add(store.image(token, now.id))
        store.answer(token, now.id, "real", 1)
    (content,) = seen
    picture = Image.open(io.BytesIO(content))
    assert np.array_equal(np.asarray(picture).reshape(8, 8, channels), image.transpose(1, 2, 0))
    assert not picture.info and set(chunks(content)) == {b"IHDR", b"IDAT", b"IEND"}


def chunks(png: bytes) -> list[bytes]:
    found, at = [], 8
    while at < len(png):
        found.append(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    return found


def test_ids_say_nothing(tmp_path: Path) -> None:
    """Every showing has an id of its own, also a repeat; two tests of the same seed have no id in common."""
    design = Design(models=1, fakes=20)
    ids = []
    for name in ("a", "b"):
        store = made(tmp_path / f"{name}.sqlite", design)
        token = store.join()
        while (now := store.next(token)) is not None:
            ids.append(now.id)
            store.answer(token, now.id, "fake", 1)
    assert len(set(ids)) == len(ids) == 2 * design.shown
    assert {len(one) for one in ids} == {16}


def test_only_the_present_image_can_be_had_and_judged(tmp_path: Path) -> None:
    store = made(tmp_path / "test.sqlite")
    mine, other = store.join(), store.join()
    first, theirs = store.next(mine), store.next(other)
    assert first is not None and theirs is not None
    second = store.answer(mine, first.id, "real", 1)
    assert second is not None and second.done == 1
    with sqlite3.connect(store.path) as db:
        later = db.execute("SELECT id FROM trials WHERE rater = 1 AND position = 5").fetchone()[0]
    db.close()
    for id in (first.id, theirs.id, later, "", "ü"):
        with pytest.raises(InputError, match="not the image to judge now"):
            store.image(mine, id)
    for id in (theirs.id, ""):
        with pytest.raises(InputError, match="not one of yours"):
            store.answer(mine, id, "real", 1)
    with pytest.raises(InputError, match="not the image to judge now"):
        store.answer(mine, later, "real", 1)
    with pytest.raises(InputError, match="nobody has joined"):
        store.next("someone")
    for wrong in (("maybe", 1.0), ("real", -1.0), ("real", float("nan")), ("real", 1e9)):
        with pytest.raises(InputError, match="an answer is real or fake"):
            store.answer(mine, second.id, *wrong)  # type: ignore[arg-type]


def test_first_answer_stands(tmp_path: Path) -> None:
    """A second tab, or a request that is sent again, changes nothing and goes on where the first is."""
    store = made(tmp_path / "test.sqlite")
    token = store.join()
    first = store.next(token)
    assert isinstance(first, Next)
    after = store.answer(token, first.id, "real", 1)
    assert store.answer(token, first.id, "fake", 2) == after
    (judgement,) = store.judgements()
    assert (judgement.answer, judgement.seconds) == ("real", 1.0)


def test_many_raters_at_once_lose_nothing(tmp_path: Path) -> None:
    store, faults = made(tmp_path / "test.sqlite", Design(models=1, fakes=10, raters=8)), []

    def take() -> None:
        try:
            with Store(store.path) as own:
                answered(own, own.join())
        except BaseException as error:  # noqa: B036 - reported below
            faults.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert Counter(one.rater for one in store.judgements()) == dict.fromkeys(range(1, 9), store.design.shown)
    assert [done for _, done, _ in store.progress()] == [store.design.shown] * 8


ANSWERS = """
import sys
from counterfeit.human.store import Store
store = Store(sys.argv[1])
token = store.join()
while (now := store.next(token)) is not None:
    store.answer(token, now.id, "fake", 1.0)
    print(now.done + 1, token, flush=True)
"""


def test_kill_loses_no_answer(tmp_path: Path) -> None:
    """SIGKILL after the 7th answer was acknowledged: at least 7 are there, and the same rater goes on."""
    store = made(tmp_path / "test.sqlite", Design(models=1, fakes=400))  # long enough to be killed in the middle
    process = subprocess.Popen([sys.executable, "-c", ANSWERS, str(store.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        for line in process.stdout:
            done, token = line.split()
            if done == "7":
                os.kill(process.pid, signal.SIGKILL)
                break
    again = Store(store.path)
    before = len(again.judgements())
    assert 7 <= before < again.design.shown
    now = again.next(token)
    assert now is not None and now.done == before
    assert answered(again, token, 5) == 5
    assert [one.position for one in again.judgements()] == list(range(before + 5))


def test_the_file_alone_has_all_answers_that_were_asked_for(tmp_path: Path) -> None:
    """Without its log, as someone copies it from a server that was killed."""
    store = made(tmp_path / "test.sqlite")
    answered(store, store.join(), 7)
    assert len(store.judgements()) == 7
    (tmp_path / "copy.sqlite").write_bytes(store.path.read_bytes())
    with Store(tmp_path / "copy.sqlite") as copy:
        assert copy.judgements() == store.judgements()


def test_half_made_test_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfeit.human.file.png", lambda image: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made(tmp_path / "test.sqlite")
    assert not (tmp_path / "test.sqlite").exists()
    monkeypatch.undo()
    made(tmp_path / "test.sqlite")
    assert not list(tmp_path.glob("*.part"))


def test_files_that_are_no_tests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no human test at"):
        Store(tmp_path / "none.sqlite")
    (tmp_path / "text.sqlite").write_text("no database, though it is longer than a header of sqlite " * 40)
    with pytest.raises(InputError, match="cannot be read as a human test"):
        Store(tmp_path / "text.sqlite")
    with pytest.raises(InputError, match="exists: give the test another name"):
        made(tmp_path / "text.sqlite")
    store = made(tmp_path / "test.sqlite")
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE test SET value = '99' WHERE name = 'version'")
    db.close()
    with pytest.raises(InputError, match="another version"):
        Store(store.path)


def test_lines_hold_all_that_the_numbers_need(tmp_path: Path) -> None:
    store = made(tmp_path / "test.sqlite", Design(models=2, fakes=10))
    for _ in range(3):
        answered(store, store.join())
    lines = b"".join(map(as_line, store.judgements()))
    again = parsed(lines.splitlines())
    assert again == store.judgements()
    assert results(again, draws=100) == results(store.judgements(), draws=100)
    assert {one.test for one in again} == {store.id}


def test_digests_tell_images_apart() -> None:
    one, other = np.zeros((1, 8, 8), np.uint8), np.zeros((1, 4, 16), np.uint8)
    assert images.digest(one) != images.digest(other)
    assert np.array_equal(images.noise((3, 8, 8), 5), images.noise((3, 8, 8), 5))
    assert len({images.digest(one) for one in images.noise((1, 8, 8), 5)}) == images.NOISE
