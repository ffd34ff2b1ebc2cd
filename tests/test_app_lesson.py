"""A GAN one step at a time: what it looks at changes nothing, of the training or of the run."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

import counterfeit as cf
from counterfeit.app import steps
from counterfeit.app.lesson import SHOWN, Lesson
from counterfeit.app.server import application
from counterfeit.app.shelf import Shelf
from counterfeit.errors import InputError
from counterfeit.models import MODELS

BASE = "http://127.0.0.1:8321"
SMALL = {"data": "mnist5k", "encoder_width": 32, "decoder_width": 32, "device": "cpu", "quiet": True}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A GAN after three steps."""
    cf.train("gan", out=tmp_path / "runs" / "gan", steps=3, **SMALL)
    return tmp_path / "runs" / "gan"


def picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_its_steps_are_those_of_the_run_and_nothing_is_written(run: Path, tmp_path: Path) -> None:
    """To the bit: a run of five steps has the weights of one of three whose lesson took two."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    lesson = Lesson(str(run))
    found = lesson.step(2)
    assert found["step"] == 5
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    whole = cf.train("gan", out=tmp_path / "whole", steps=5, **SMALL)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(lesson.model.state_dict()[name], tensor), name


def test_it_shows_the_batch_and_what_the_discriminator_says_of_it(run: Path) -> None:
    lesson = Lesson(str(run))
    found = lesson.step(1)
    assert {len(found[name]) for name in ("real", "fake", "wanted", "of_real", "of_fake")} == {SHOWN}
    digits = {image.tobytes() for image in cf.load_data("mnist5k").images[:, 0]}
    assert all(picture(uri).tobytes() in digits for uri in found["real"])
    assert not any(picture(uri).tobytes() in digits for uri in found["fake"])
    assert all(picture(uri).shape == (28, 28, 4) for uri in found["wanted"])


@pytest.mark.parametrize("loss", ["bce", "minimax", "least-squares", "hinge", "relativistic"])
def test_what_is_asked_of_a_fake_lowers_the_generators_loss(tmp_path: Path, loss: str) -> None:
    cf.train("gan", out=tmp_path / "run", steps=3, loss=loss, **SMALL)
    lesson = Lesson(str(tmp_path / "run"))
    lesson.step(1)
    judge, game = lesson.judge.eval(), lesson.model.loss
    generator = torch.Generator().manual_seed(0)
    real, fakes = (torch.rand(4, 1, 28, 28, generator=generator) * 2 - 1 for _ in range(2))
    wanted = lesson.wanted(real, fakes, None)
    judge.eval()
    with torch.no_grad():
        cost = [game.generator(judge(real), judge(fakes + step * wanted)).sum() for step in (0, 1e-2)]
    assert cost[1] < cost[0]


@pytest.mark.parametrize("model", ["cgan", "dcgan", "acgan", "wgan", "wgan-gp", "vae-gan"])
def test_it_teaches_other_gans_too(tmp_path: Path, model: str) -> None:
    small = {**MODELS[model].small, "data": "mnist5k", "device": "cpu", "quiet": True}
    cf.train(model, out=tmp_path / "run", steps=1, batch_size=16, **small)
    lesson = Lesson(str(tmp_path / "run"))
    found = lesson.step(1)
    assert found["step"] == 2
    digits = {image.tobytes() for image in cf.load_data("mnist5k").images[:, 0]}
    assert all(picture(uri).tobytes() in digits for uri in found["real"])
    assert not any(picture(uri).tobytes() in digits for uri in found["fake"])
    assert len(found["of_real"]) == len(found["of_fake"]) == len(found["wanted"]) == SHOWN
    # A fake as the judge would have it gets a higher output, by which all of them mean "real".
    images = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    labels = [torch.arange(4)] if lesson.model.classes else []
    wanted, judge = lesson.wanted(images[:4], images[4:], *labels), lesson.judge.eval()
    with torch.no_grad():
        before, after = (judge(images[4:] + step * wanted, *labels)[:, 0] for step in (0, 1e-2 / wanted.abs().max()))
    assert (after > before).all()


def test_a_run_without_a_discriminator_is_refused(tmp_path: Path) -> None:
    cf.train("vae", out=tmp_path / "run", steps=1, **SMALL)
    with pytest.raises(InputError, match="vae has no discriminator or critic to look at"):
        Lesson(str(tmp_path / "run"))


@pytest.fixture
def client(run: Path) -> Iterator[TestClient]:
    with TestClient(application(Shelf([run.parent])), BASE, headers={"origin": BASE}) as client:
        yield client
    for taught in steps._taught.values():
        taught.end()
    steps._taught.clear()


def test_the_page_asks_a_process_of_its_own(client: TestClient, run: Path) -> None:
    [shelved] = Shelf([run.parent]).runs()
    assert 'id="lesson"' in client.get(f"/runs/{shelved.id}").text
    answers = [client.post("/lesson/step", json={"run": shelved.id, "steps": 1}).json() for _ in range(2)]
    assert [one["step"] for one in answers] == [4, 5]
    process = steps._taught[shelved.id].process
    assert client.post("/lesson/again", json={"run": shelved.id}).status_code == 200
    assert process.poll() is not None
    shutil.rmtree(run / "checkpoint")
    said = client.post("/lesson/step", json={"run": shelved.id, "steps": 1})
    assert said.status_code == 400 and "no checkpoint yet" in said.json()["error"]


@pytest.mark.parametrize("asked", [0, 51, -1, True, "1", 1.5, None])
def test_a_number_of_steps_is_bounded(client: TestClient, run: Path, asked: Any) -> None:
    [shelved] = Shelf([run.parent]).runs()
    assert client.post("/lesson/step", json={"run": shelved.id, "steps": asked}).status_code == 400
    assert steps._taught == {}


def test_a_process_that_has_died_is_said_and_forgotten(
    client: TestClient, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [shelved] = Shelf([run.parent]).runs()
    begin = subprocess.Popen

    def dead(words: list[str], **options: Any) -> Any:
        return begin([*words[:1], "-c", "pass"], **options)

    monkeypatch.setattr(subprocess, "Popen", dead)
    said = client.post("/lesson/step", json={"run": shelved.id, "steps": 1})
    assert said.status_code == 400 and "the lesson has ended" in said.json()["error"]


def test_a_lesson_that_another_request_has_ended_is_said(client: TestClient, run: Path) -> None:
    taught = steps._of("run", str(run))
    taught.end()
    with pytest.raises(InputError, match="the lesson has ended: begin it again"):
        taught.answer(1)


PLUGIN = """
from dataclasses import replace
from counterfeit.models import MODELS, register
register(replace(MODELS["gan"], name="my-gan", based_on=None))
"""


def test_it_teaches_a_gan_of_a_plugin(client: TestClient, run: Path, tmp_path: Path) -> None:
    (tmp_path / "my_gan.py").write_text(PLUGIN)
    cf.load_plugin(tmp_path / "my_gan.py")
    cf.train("my-gan", out=run.parent / "mine", steps=1, **SMALL)
    [shelved] = [one for one in Shelf([run.parent]).runs() if one.folder.path.name == "mine"]
    answer = client.post("/lesson/step", json={"run": shelved.id, "steps": 1})
    assert answer.json().get("step") == 2, answer.text
