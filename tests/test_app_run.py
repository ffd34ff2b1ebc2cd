"""The app's page of one run, and what is compared of several."""

from __future__ import annotations

import dataclasses
import io
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.testclient import TestClient

import counterfeit as cf
from app_cases import client, home, ids, shown, trainings  # noqa: F401 - fixtures
from counterfeit.app import film, watch
from counterfeit.app.shelf import Shelf
from counterfeit.app.tail import follow
from counterfeit.app.view import view
from counterfeit.app.watch import event, scorings
from counterfeit.data.pixels import grid, save_png
from counterfeit.errors import InputError
from counterfeit.report.charts import Series, frontier
from counterfeit.report.svg import Style
from counterfeit.runs import RunFolder
from counterfeit.system.words import mean_and_std


def test_a_run_is_held_while_it_trains_and_asking_does_no_harm(home: Path) -> None:
    folder = RunFolder(home / "vae-mnist5k-s0")
    assert not folder.is_held()
    code = (
        f"from counterfeit.runs import RunFolder; f = RunFolder({str(folder.path)!r})\n"
        "with f.lock(): print(1, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        assert folder.is_held()
        process.communicate(b"\n")
    assert not folder.is_held()
    with folder.lock():  # a training that starts between two askings has it
        pass


def test_the_state_of_a_run_by_its_job(home: Path) -> None:
    shelf = Shelf([home])
    run = next(run for run in shelf.runs() if run.folder.path.name == "vae-mnist5k-s0")
    record = run.folder.read_record()
    run.folder.write_record(dataclasses.replace(record, finished=None))
    queue = trainings(home)
    assert view(run, queue).state == "stopped"
    job = queue.add(run.folder.path, [])
    assert view(run, queue).state == "waiting"
    process = queue.begin(job, (sys.executable, "-c", "print('counterfeit: a loss is NaN')"))
    assert process is not None and view(run, queue).state == "starting"
    process.wait()
    queue.end(job, 2)
    seen = view(run, queue)
    assert (seen.state, seen.said, seen.can_resume) == ("failed", "counterfeit: a loss is NaN", True)


# The page of a run.


def test_a_log_that_grows_is_read_on_and_a_new_one_anew(home: Path) -> None:
    folder = RunFolder(home / "vae-mnist5k-s1")
    rows, times = follow(folder)
    assert rows == folder.log_rows() and rows
    with folder.log_file.open("a") as file:
        file.write('{"epoch": 9, "step": 999, "loss": 1.0, "images_per_s": 5.0}\n{"epoch": 9, "st')
    more, same = follow(folder)
    assert len(more) == len(rows) + 1 and more[-1].step == 999 and same == times
    text = folder.log_file.read_text()
    folder.log_file.write_text(text.splitlines()[0] + "\n")
    cut, anew = follow(folder)
    assert cut == rows[:1] and anew == times + 1
    folder.log_file.unlink()
    assert follow(folder)[0] == []


def test_the_page_of_a_run_has_its_curves_and_settings(client: TestClient, home: Path) -> None:
    page = client.get(f"/runs/{ids(home)['vae-mnist5k-s0']}").text
    for words in ("Losses up to step", "FID[mnist-cnn] after epoch 2", 'data-epochs="[1, 2]"', "Score now"):
        assert words in page, words
    assert " style=" not in page and "<style" not in page and "<script>" not in page and "onclick" not in page


def test_events_say_all_at_first_and_then_what_changes(
    client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the generator itself: a client of Starlette's tests waits for the end of an answer."""
    monkeypatch.setattr(watch, "LOOK", 0.1)
    monkeypatch.setattr(watch, "SHARE", 1.0)  # no training is to be spared: a slow first look would cost ten seconds
    run = next(run for run in Shelf([home]).runs() if run.folder.path.name == "vae-mnist5k-s0")

    asked = Request({"type": "http", "app": client.app, "path": "/", "method": "GET", "headers": []})

    async def read() -> list[str]:
        found = []
        with anyio.fail_after(60):
            async for one in watch.news(asked, run):
                found.append(one)
                if len(found) == 4:
                    shutil.copy(
                        home / run.folder.path.name / "samples" / "epoch-0001.png",
                        run.folder.samples / "epoch-0003.png",
                    )
                if len(found) == 5:
                    shutil.rmtree(run.folder.path)
        return found

    found = anyio.run(read)
    assert [one.split("\n")[0] for one in found[:5]] == [
        f"event: {name}" for name in ("state", "charts", "scores", "epochs", "epochs")
    ]
    assert found[4] == "event: epochs\ndata: [1, 2, 3]\n\n"
    assert not watch._streams


def test_an_event_has_a_line_for_every_line() -> None:
    assert event("a", "x\ny") == "event: a\ndata: x\ndata: y\n\n"
    assert event("a", "") == "event: a\ndata: \n\n"


def test_the_film_has_a_frame_for_every_epoch(client: TestClient, home: Path) -> None:
    answer = client.get(f"/runs/{ids(home)['gan-mnist5k-s0']}/film.gif")
    with Image.open(io.BytesIO(answer.content)) as gif:
        assert (gif.format, gif.n_frames) == ("GIF", 2)
        size = gif.size
    with Image.open(home / "gan-mnist5k-s0" / "samples" / "epoch-0001.png") as first:
        assert first.size == size


def test_a_film_of_large_grids_is_small_and_reads_them_one_by_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images with 256 pixels a side, as `draw_samples` arranges them."""
    folder = RunFolder(home / "gan-mnist5k-s0")
    for epoch in range(1, 7):
        image = Image.new("L", (4114, 200), 40 * epoch)
        image.save(folder.samples / f"epoch-{epoch:04d}.png")
    frame, made, most = film.frame, [], 0

    def read(path: Path) -> Image.Image:
        nonlocal most
        most = max(most, sum(one() is not None for one in made))
        image = frame(path)
        made.append(weakref.ref(image))
        return image

    monkeypatch.setattr(film, "frame", read)
    with Image.open(io.BytesIO(film.gif(folder, range(1, 7)))) as gif:
        assert (gif.n_frames, gif.size) == (6, (1029, 50))
    assert len(made) == 6 and most <= 2


@pytest.mark.parametrize("pixels,scale", [(28, 1), (64, 1), (128, 2)])
def test_pixels_of_a_film_are_crisp(tmp_path: Path, pixels: int, scale: int) -> None:
    """A grid as it is, or with every pixel once instead of twice: no gray between black and white."""
    noise = np.random.default_rng(0).integers(0, 2, (64, 1, pixels, pixels), np.uint8) * 255
    sheet = grid(noise, 8, scale=2)
    save_png(tmp_path / "grid.png", sheet)
    found = np.asarray(film.frame(tmp_path / "grid.png").convert("L"))
    assert (found == sheet[::scale, ::scale, 0]).all()


def test_a_film_waits_for_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "PATIENCE", 0.01)
    with film._making, pytest.raises(InputError, match="other films are being made"):
        film.gif(RunFolder(home / "gan-mnist5k-s0"), [1, 2])
    assert film.gif(RunFolder(home / "gan-mnist5k-s0"), [1, 2])[:3] == b"GIF"


def test_a_run_leads_to_the_rooms_that_can_take_it(client: TestClient, home: Path) -> None:
    """To people only where they can be shown real images that it was not trained on."""
    id = ids(home)["vae-mnist5k-s0"]
    explore, judge = f'href="/explore/{id}"', f'href="/judge?run={id}#new-title"'
    folder = RunFolder(home / "vae-mnist5k-s0")
    record, page = folder.read_record(), client.get(f"/runs/{id}").text
    assert explore in page and judge not in page  # mnist5k has no test split
    folder.write_record(dataclasses.replace(record, config=record.config.replace({"holdout": 0.2})))
    page = client.get(f"/runs/{id}").text
    assert explore in page and judge in page
    form = client.get(f"/judge?run={id}").text
    assert form.count(" checked") == 1 and f'value="{id}" checked' in form
    shutil.rmtree(folder.checkpoint)
    page = client.get(f"/runs/{id}").text
    assert explore not in page and judge not in page


def test_a_score_is_asked_for_by_the_public_command(client: TestClient, home: Path) -> None:
    id = ids(home)["gan-mnist5k-s0"]
    assert client.post("/score", json={"run": id}).status_code == 200
    assert client.post("/score", json={"run": id}).status_code == 400  # it waits already
    [job] = scorings(Shelf([home])).jobs()
    assert job.arguments == ("score", str(home / "gan-mnist5k-s0"))
    assert "Waits to be scored." in client.get(f"/runs/{id}").text


# Compare.


def test_the_table_is_that_of_the_command(client: TestClient, home: Path, shown: tuple[Path, dict[str, Any]]) -> None:
    page = client.get("/compare", params={"run": list(ids(home).values())}).text
    [table] = shown[1]["tables"]
    for row in table["rows"]:
        for found in row["metrics"].values():
            assert mean_and_std(found["mean"], found["std"]) in page
    assert "Not in the tables" not in page
    assert all(f"/runs/{id}/noise.png" in page for id in ids(home).values())
    assert " style=" not in page


def test_what_is_not_scored_alike_is_named(client: TestClient, home: Path) -> None:
    shutil.rmtree(home / "gan-mnist5k-s1" / "scores")
    page = client.get("/compare", params={"run": list(ids(home).values())}).text
    left_out = page.split("Not in the tables")[1].partition("</p>")[0]
    assert "gan-mnist5k-s1" in left_out and "gan-mnist5k-s0" not in left_out


def test_the_same_noise_is_that_of_python(client: TestClient, home: Path) -> None:
    answer = client.get(f"/runs/{ids(home)['gan-mnist5k-s0']}/noise.png")
    with Image.open(io.BytesIO(answer.content)) as image:
        shown = np.asarray(image)
    [first] = cf.load(home / "gan-mnist5k-s0", device="cpu").sample(40, seed=0)[0]
    places = [(y, x) for y in range(3) for x in range(3) if (shown[y : y + 28, x : x + 28] == first).all()]
    assert len(places) == 1


def test_points_of_the_frontier_lead_to_their_runs() -> None:
    style = Style.of(0)
    rows = [
        (Series("a", style, [1.0, 2.0]), Series("a", style, [5.0, 6.0])),
        (Series("b", style, [3.0]), Series("b", style, [4.0])),
    ]
    svg = frontier("f", rows, None, "minutes", "FID", [["/runs/a0", "/runs/a1"], ["/runs/b0"]])
    assert [svg.count(f'href="/runs/{id}"') for id in ("a0", "a1", "b0")] == [1, 1, 1]
    assert "_blank" not in svg
    assert "<a " not in frontier("f", rows, None, "minutes", "FID")


# Films as MP4.


@pytest.fixture
def drawn(tmp_path: Path) -> RunFolder:
    """A run's folder with the sample grids of three epochs, whose sides are odd."""
    folder = RunFolder(tmp_path / "drawn")
    folder.samples.mkdir(parents=True)
    for epoch in (1, 2, 3):
        Image.new("L", (61, 31), 60 * epoch).save(folder.samples / f"epoch-{epoch:04d}.png")
    return folder


@pytest.mark.skipif(film.ffmpeg() is None, reason="ffmpeg is not installed")
def test_the_film_as_mp4_has_every_picture(drawn: RunFolder, tmp_path: Path) -> None:
    made = film.mp4(drawn, [1, 2, 3])
    assert made[4:8] == b"ftyp"
    (tmp_path / "film.mp4").write_bytes(made)
    words = [film.ffmpeg(), "-v", "error", "-i", tmp_path / "film.mp4", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    frames = np.frombuffer(subprocess.run(words, check=True, capture_output=True).stdout, np.uint8).reshape(-1, 32, 62)
    found = frames[:, 8, 8].round(-1).tolist()
    assert sorted(set(found)) == [60, 120, 180] and found == sorted(found)
    assert found.count(180) > 10 * found.count(60)  # the last one stays


def test_without_ffmpeg_no_film_is_offered(client: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film.shutil, "which", lambda name: None)
    path = f"/runs/{ids(home)['gan-mnist5k-s0']}"
    page = client.get(path).text
    assert "film.gif" in page and "film.mp4" not in page
    answer = client.get(f"{path}/film.mp4")
    assert answer.status_code == 404 and "ffmpeg is not installed" in answer.text


@pytest.mark.parametrize("code", ["cat > /dev/null; echo no codec >&2; exit 1", "echo no codec >&2; exit 1"])
def test_what_ffmpeg_says_is_said(drawn: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(film, "ffmpeg", lambda: str(program))
    with pytest.raises(InputError, match="ffmpeg could not make the film: no codec"):
        film.mp4(drawn, [1, 2, 3])
    assert film._making.acquire(blocking=False)
    film._making.release()
