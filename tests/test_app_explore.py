"""Explore in the app: what it answers is what the library says; stale requests are dropped; what is wrong is said."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import counterfeit as cf
from counterfeit import latents
from counterfeit.app.explore import drawn, newest, opened
from counterfeit.app.explore.newest import Busy, Newest, Stale
from counterfeit.app.explore.opened import Opened
from counterfeit.app.explore.pages import Desk
from counterfeit.app.server import application
from counterfeit.app.shelf import Shelf
from counterfeit.errors import InputError
from counterfeit.runs import RunFolder

BASE = "http://127.0.0.1:8321"
MODELS = ("vae", "cvae", "gan", "flow", "vq-vae")
MEAN = {"is": "mean"}
SIDE = 28


@pytest.fixture(scope="module")
def runs(every_kind) -> dict[str, cf.Run]:
    return {name: every_kind[name] for name in MODELS}


@pytest.fixture(scope="module")
def server(runs) -> TestClient:
    return client_of(runs["vae"].path.parent)


def client_of(home: Path) -> TestClient:
    return TestClient(application(Shelf([home])), BASE, headers={"origin": BASE})


@pytest.fixture(scope="module")
def ask(server, runs) -> Callable[..., Any]:
    """Ask for something of a run by its name: images (N, C, H, W), an object, or the words of a fault."""
    ids = {one.folder.path.name: one.id for one in Shelf([runs["vae"].path.parent]).runs()}

    def asked(what: str, name: str, **values: Any) -> Any:
        answer = server.post(f"/explore/{what}", content=json.dumps({"run": ids[name], **values}))
        if answer.headers["content-type"] == "image/png":
            return tiles(answer.content)
        found = answer.json()
        return found if answer.status_code == 200 else (answer.status_code, found["error"])

    return asked


def tiles(content: bytes, gap: int = 0, side: int = SIDE) -> np.ndarray:
    """The images of a PNG, row by row: uint8 (N, 1, side, side)."""
    with Image.open(io.BytesIO(content)) as picture:
        pixels = np.asarray(picture)
    rows, columns = ((length - gap) // (side + gap) for length in pixels.shape)
    places = [(gap + r * (side + gap), gap + c * (side + gap)) for r in range(rows) for c in range(columns)]
    return np.stack([pixels[None, top : top + side, left : left + side] for top, left in places])


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal but for a last bit, which depends on the number of rows that are computed at once."""
    return one.shape == other.shape and int(np.abs(one.astype(int) - other).max()) <= 1


def axis(kind: str, number: int, seed: int = 0) -> dict[str, Any]:
    return {"is": "axis", "kind": kind, "axis": number, "seed": seed}


def text(picture: Image.Image, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return base64.b64encode(buffer.getvalue()).decode()


def test_a_page_shows_what_its_model_can(server, runs) -> None:
    pages, listed = {}, server.get("/explore").text
    for one in Shelf([runs["vae"].path.parent]).runs():
        assert f'href="/explore/{one.id}"' in listed
        if one.folder.path.name not in (*MODELS, "cgan"):
            continue
        answer = server.get(f"/explore/{one.id}")
        assert answer.status_code == 200
        pages[one.folder.path.name] = answer.text
    can = {
        name: {what for what in ("walk", "morph", "draw", "samples") if f'id="{what}"' in pages[name]} for name in pages
    }
    assert can["vae"] == can["cvae"] == {"walk", "morph", "draw", "samples"}
    assert can["gan"] == can["flow"] == {"walk", "morph", "samples"}
    assert can["vq-vae"] == {"draw", "samples"}
    assert {name for name, page in pages.items() if 'name="label"' in page} == {"cvae", "cgan"}
    assert {name for name, page in pages.items() if 'name="option-steps"' in page} == {"flow"}
    assert "strongest" in pages["gan"] and "principal" not in pages["gan"] and "strongest" not in pages["flow"]


def test_a_code_decodes_to_what_the_run_makes_of_it(ask, runs) -> None:
    z = runs["vae"].noise(3, seed=5)
    for one in z:
        code = [float(number) for number in one]
        assert alike(ask("point", "vae", center={"is": "code", "z": code}), runs["vae"].decode(one[None]))
        assert np.array_equal(np.array(ask("latent", "vae", center={"is": "code", "z": code})["z"], np.float32), one)
    assert alike(ask("point", "flow", center={"is": "sample", "index": 2}), runs["flow"].sample(3)[-1:])
    assert alike(
        ask("point", "cvae", center=MEAN, label=4), runs["cvae"].decode(runs["cvae"].noise(1280).mean(0)[None], 4)
    )


def test_options_and_classes_reach_the_model(ask, runs) -> None:
    steps = runs["flow"].with_sampling(steps=1)
    assert alike(ask("samples", "flow", n=4, options={"steps": 1}), steps.sample(4))
    assert alike(ask("samples", "cvae", n=4, label=7), runs["cvae"].sample(4, labels=7))
    assert not alike(ask("samples", "cvae", n=4, label=7), runs["cvae"].sample(4, labels=1))


@pytest.mark.parametrize("name", ["vae", "gan"])
@pytest.mark.parametrize("kind", ["principal", "strongest", "random"])
def test_a_plane_hits_its_corners(name: str, kind: str, ask, runs) -> None:
    if (name, kind) == ("gan", "principal"):
        assert ask("plane", name, across=axis(kind, 0), down=axis(kind, 1))[0] == 400
        return
    run = runs[name]
    across, down = axis(kind, 0, seed=3), axis(kind, 2, seed=3)
    slid = {"direction": axis("random", 1), "amount": 0.5}
    grid = ask("plane", name, center=MEAN, moves=[slid], across=across, down=down, u=[-2, 1], v=[0, 3], steps=4)
    assert len(grid) == 16
    directions = cf.Explorer(run).directions(kind, 10, seed=3)
    origin = run.noise(1280).mean(axis=0) + 0.5 * cf.Explorer(run).directions("random", 10).step(1)
    for place, (u, v) in {0: (-2, 0), 3: (1, 0), 12: (-2, 3), 15: (1, 3)}.items():
        moves = [slid, {"direction": across, "amount": u}, {"direction": down, "amount": v}]
        assert alike(grid[[place]], ask("point", name, center=MEAN, moves=moves))
        assert alike(grid[[place]], run.decode((origin + u * directions.step(0) + v * directions.step(2))[None]))
    assert not alike(grid[[0]], grid[[15]])


def test_a_plane_through_class_means_has_them_where_it_should(ask, runs) -> None:
    run = runs["vae"]
    means = cf.Explorer(run).class_means()
    to = [{"is": "towards", "point": {"is": "class", "label": label}} for label in (1, 7)]
    center = {"is": "class", "label": 0}
    grid = ask("plane", "vae", center=center, across=to[0], down=to[1], u=[0, 1], v=[0, 1], steps=2)
    assert alike(grid[:3], run.decode(means[[0, 1, 7]]))


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_a_morph_begins_with_a_and_ends_with_b(path: str, server, ask, runs) -> None:
    run = runs["gan"]
    a, b = {"is": "sample", "index": 3}, {"is": "sample", "index": 1, "seed": 9}
    ids = {one.folder.path.name: one.id for one in Shelf([run.path.parent]).runs()}
    answer = server.post("/explore/morph", json={"run": ids["gan"], "a": a, "b": b, "path": path, "steps": 5})
    strip = tiles(answer.content, gap=2, side=2 * SIDE)[..., ::2, ::2]  # it is drawn twice as large
    ends = run.noise(4)[3:], run.noise(2, seed=9)[1:]
    between = run.interpolate(*ends, 5, path=path)[0]
    assert alike(strip, between)
    assert alike(strip[[0, -1]], np.concatenate([ask("point", "gan", center=point) for point in (a, b)]))


def test_each_end_of_a_morph_may_have_a_class_of_its_own(server, ask, runs) -> None:
    run = runs["cvae"]
    a, b = {"is": "sample", "index": 0}, {"is": "sample", "index": 1}
    found = {}
    for name, classes in {"one": {"label": 3}, "two": {"label": 3, "label_b": 8}}.items():
        ids = {one.folder.path.name: one.id for one in Shelf([run.path.parent]).runs()}
        asked = {"run": ids["cvae"], "a": a, "b": b, "steps": 5, **classes}
        found[name] = tiles(server.post("/explore/morph", json=asked).content, gap=2, side=2 * SIDE)[..., ::2, ::2]
    z = np.linspace(run.noise(2)[0], run.noise(2)[1], 5, dtype=np.float32)
    assert alike(found["one"], run.decode(z, labels=3))
    assert alike(found["two"], run.decode(z, labels=[3, 3, 3, 8, 8]))
    said = server.post("/explore/morph", json={**asked, "label_b": 10})
    assert said.status_code == 400 and "10" in said.json()["error"]


def test_an_encoded_picture_is_what_the_run_encodes(ask, runs) -> None:
    train = runs["vae"].real("train")
    image = train.images[42:43]
    for values in ({"picture": text(Image.fromarray(image[0, 0]))}, {"row": 42}, {"row": 642}):
        found = ask("encode", "vae", **values)
        assert np.array_equal(np.array(found["z"], np.float32), runs["vae"].encode(image)[0])
        assert np.array_equal(tiles(base64.b64decode(found["image"])), image)
        assert np.array_equal(tiles(base64.b64decode(found["again"])), runs["vae"].reconstruct(image))
        assert found["near"][0] == {"row": 42, "distance": 0.0, "label": train.classes[train.labels[42]]}
        rows = [one["row"] for one in found["near"]]
        assert np.array_equal(tiles(base64.b64decode(found["sheet"])), train.images[rows])
    dark = ask("encode", "vae", picture=text(Image.fromarray(255 - image[0, 0])), inverted=True)
    assert np.array_equal(tiles(base64.b64decode(dark["image"])), image)
    grid = ask("encode", "vq-vae", row=42)
    assert not grid["walks"] and len(grid["z"]) == runs["vq-vae"].encode(image).size
    labeled = ask("encode", "cvae", row=42)
    assert np.allclose(labeled["z"], runs["cvae"].encode(image, train.labels[42:43])[0])


def test_a_drawing_is_sized_and_placed_as_a_digit_of_mnist() -> None:
    paper = np.zeros((280, 280), np.uint8)
    paper[10:110, 200:240] = 255  # 100 high, 40 wide, in a corner
    found = drawn.read(text(Image.fromarray(paper)), (1, SIDE, SIDE), True, False)[0]
    assert found.shape == (SIDE, SIDE) and found.dtype == np.uint8
    rows, columns = (np.flatnonzero(found.max(axis=side) > 127) for side in (1, 0))
    assert (rows[0], rows[-1]) == (4, 23) and (columns[0], columns[-1]) == (10, 17)
    paper[10:110, 235:240] = 0
    paper[10:30, 200:280] = 255  # heavier above and to the right
    mass = drawn.read(text(Image.fromarray(paper)), (1, SIDE, SIDE), True, False)[0].astype(float)
    for side in (0, 1):
        assert abs((mass.sum(axis=1 - side) * (np.arange(SIDE) + 0.5)).sum() / mass.sum() - SIDE / 2) <= 0.51


def test_a_sample_of_a_model_without_latents_has_neighbors_and_no_latent(ask, runs) -> None:
    found = ask("image", "vq-vae", center={"is": "sample", "index": 5})
    assert found["z"] is None and len(found["near"]) == 8
    assert np.array_equal(tiles(base64.b64decode(found["image"])), runs["vq-vae"].sample(6)[5:])
    sample = ask("image", "gan", center={"is": "sample", "index": 5})
    assert np.array_equal(np.array(sample["z"], np.float32), runs["gan"].noise(6)[5])


@pytest.mark.parametrize(
    ("what", "name", "values", "says"),
    [
        ("point", "vae", {"center": {"is": "code", "z": [1.0]}}, "a latent of this run has 15 numbers, not 1"),
        ("point", "vae", {"center": {"is": "code", "z": [float("nan")] * 15}}, "finite"),
        ("point", "vae", {"center": {"is": "class", "label": 12}}, "there is no class 12: choose 0 to 9"),
        ("point", "vae", {"center": {"is": "somewhere"}}, "cannot be asked"),
        ("point", "vae", {"centre": MEAN}, "centre"),
        ("point", "vae", {"moves": [{"direction": axis("random", 0), "amount": 1e9}]}, "<= 20"),
        ("point", "vae", {"moves": [{"direction": axis("random", 40), "amount": 1}]}, "choose 0 to 14"),
        ("point", "vae", {"moves": [{"direction": axis("random", 0), "amount": 1}] * 33}, "length <= 32"),
        ("point", "vq-vae", {}, "vq-vae has no latents"),
        ("point", "gan", {"center": {"is": "class", "label": 1}}, "gan has no encoder"),
        ("plane", "vae", {"across": axis("random", 0), "down": axis("random", 1), "steps": 12}, "<= 11"),
        ("plane", "flow", {"across": axis("strongest", 0), "down": axis("random", 1)}, "random directions"),
        ("morph", "vae", {"a": MEAN, "b": MEAN, "steps": 1000}, "<= 24"),
        ("morph", "vae", {"a": MEAN, "b": MEAN, "path": "curved"}, "path"),
        ("samples", "vae", {"n": 65}, "<= 64"),
        ("samples", "cvae", {"label": 99}, "label 99 is out of range"),
        ("samples", "flow", {"options": {"steps": 1001}}, "steps is 1001; here it can be at most 1000"),
        ("samples", "flow", {"options": {"steps": float("nan")}}, "at most 1000"),
        ("samples", "flow", {"options": {"speed": 3}}, "speed"),
        ("samples", "gan", {"options": {"steps": 3}}, "gan has no options of sampling"),
        ("encode", "gan", {"row": 1}, "gan has no encoder"),
        ("encode", "vae", {}, "the file is empty"),
        ("encode", "vae", {"picture": "%%%"}, "this picture cannot be used"),
        ("encode", "vae", {"picture": base64.b64encode(b"no picture").decode()}, "not an image"),
        ("encode", "vae", {"picture": text(Image.new("L", (280, 280))), "drawn": True}, "nothing was drawn"),
        ("encode", "vae", {"picture": text(Image.new("1", (6000, 6000)))}, "6000x6000 is more than 16,777,216 pixels"),
        ("image", "vq-vae", {"center": MEAN}, "ask for one of its samples"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_said_in_one_line(what: str, name: str, values: dict[str, Any], says: str, ask) -> None:
    code, words = ask(what, name, **values)
    assert code == 400 and says in words and "\n" not in words


def test_a_run_that_is_deleted_meanwhile_gives_one_clear_line(runs, tmp_path) -> None:
    home = tmp_path / "home"
    shutil.copytree(runs["vae"].path, home / "vae")
    client = client_of(home)
    (one,) = Shelf([home]).runs()
    asked = {"run": one.id, "center": MEAN}
    assert client.post("/explore/point", json=asked).status_code == 200
    shutil.rmtree(home / "vae" / "checkpoint")
    answer = client.post("/explore/point", json=asked)
    assert answer.status_code == 400 and "has no checkpoint yet" in answer.json()["error"]
    shutil.rmtree(home / "vae")
    answer = client.post("/explore/point", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"] == "this run is not there, or not any more: see the list of runs"
    assert client.get(f"/explore/{one.id}").status_code == 404


def test_without_the_training_images_the_rest_still_works(runs, tmp_path) -> None:
    data = cf.load_data("mnist5k").images[:128]
    cf.train("gan", data, out=tmp_path / "gan", epochs=1, quiet=True, device="cpu")
    client = client_of(tmp_path)
    (one,) = Shelf([tmp_path]).runs()
    found = client.post("/explore/image", json={"run": one.id}).json()
    assert "was trained on an array" in found["missing"] and len(found["z"]) == 96 and "near" not in found


class Gate:
    """Work that waits until it is let through."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.open.wait(20)
        return "first"


@pytest.fixture
def held() -> Iterator[tuple[Newest, Gate]]:
    """A queue whose thread is busy."""
    queue, gate = Newest(), Gate()
    queue.ask("held", gate)
    assert gate.begun.wait(20)
    yield queue, gate
    gate.open.set()


def test_of_requests_that_wait_only_the_newest_is_answered(held) -> None:
    queue, gate = held
    done: list[str] = []

    def work(name: str) -> Callable[[], str]:
        return lambda: done.append(name) or name

    old = [queue.ask("mine", work(f"mine {i}")) for i in range(5)]
    other = queue.ask("yours", work("yours"))
    newest_one = queue.ask("mine", work("mine 5"))
    for one in old:
        with pytest.raises(Stale):
            one.result(20)
    gate.open.set()
    assert newest_one.result(20) == "mine 5" and other.result(20) == "yours"
    assert done == ["mine 5", "yours"], "in the place of the first request"


def test_the_queue_is_bounded_and_survives_what_fails(held, monkeypatch) -> None:
    queue, gate = held
    monkeypatch.setattr(newest, "MOST_WAITING", 2)
    failing = queue.ask("a", lambda: 1 // 0)
    queue.ask("b", lambda: 2)
    with pytest.raises(Busy):
        queue.ask("c", lambda: 3)
    again = queue.ask("b", lambda: 4)  # in the place of the one that waits
    gate.open.set()
    with pytest.raises(ZeroDivisionError):
        failing.result(20)
    assert again.result(20) == 4
    gone = Newest()
    assert gone.ask("a", lambda: 5).result(20) == 5


def test_stale_requests_are_answered_with_nothing_and_never_computed(runs, server, monkeypatch) -> None:
    gate = Gate()
    desk: Desk = server.app.state.explore
    desk.newest.ask("held", gate)
    assert gate.begun.wait(20)
    ids = {one.folder.path.name: one.id for one in Shelf([runs["vae"].path.parent]).runs()}

    def post(index: int) -> int:
        asked = {"run": ids["vae"], "client": "me", "center": {"is": "sample", "index": index}}
        return int(server.post("/explore/point", json=asked).status_code)

    with ThreadPoolExecutor(6) as pool:
        sent = []
        for i in range(6):
            before = desk.newest._waiting.copy()
            sent.append(pool.submit(post, i))
            while desk.newest._waiting == before:
                threading.Event().wait(0.005)
        gate.open.set()
        codes = [one.result(30) for one in sent]
    assert codes == [204] * 5 + [200]


def test_a_few_models_stay_in_memory_and_are_read_again_when_they_train_on(runs, tmp_path, monkeypatch) -> None:
    for i in range(4):
        shutil.copytree(runs["gan"].path, tmp_path / f"gan{i}")
    folders = [RunFolder(tmp_path / f"gan{i}") for i in range(4)]
    shelf = Opened()
    monkeypatch.setattr(opened, "MOST_RUNS", 2)
    for folder in folders:
        shelf.explorer(folder)
        shelf.shrink()
    assert len(shelf) == 2
    kept = shelf.explorer(folders[3])
    assert shelf.explorer(folders[3]) is kept, "not read again"
    index = folders[3].checkpoint / "checkpoint.json"
    os.utime(index, ns=(1, 1))
    assert shelf.explorer(folders[3]) is not kept
    assert shelf.nbytes >= 2 * 4 * sum(one.numel() for one in kept.run.model.parameters())
    monkeypatch.setattr(opened, "MOST_BYTES", 1)
    shelf.shrink()
    assert len(shelf) == 1
    with pytest.raises(InputError, match="only those of"):
        shelf.explorer(folders[0])


def test_a_spherical_path_is_that_of_the_library(ask, runs) -> None:
    run = runs["vae"]
    z = run.noise(2)
    middle = latents.arc(z[:1], z[1:], np.array([0.5]))[0]
    found = ask("point", "vae", center={"is": "code", "z": [float(number) for number in middle[0]]})
    assert alike(found, run.interpolate(z[:1], z[1:], 3, path="spherical")[0, 1:2])
