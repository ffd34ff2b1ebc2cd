"""What a run says of itself while it is trained: planted failures are named once, healthy runs say nothing."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import counterfeit as cf
from counterfeit.models.base import HasCodebook, HasPosterior, HasTerms, Judges
from counterfeit.models.build import build
from counterfeit.models.losses import ADVERSARIAL
from counterfeit.models.spec import MODELS
from counterfeit.runs import log, troubles
from counterfeit.runs.log import Trouble
from counterfeit.system.noise import Noise
from counterfeit.training import diagnosis
from report_cases import Page, comparison, page_of
from toy_cases import Toy, registered, spec_of

# 101 steps of 8 images are looked at once, at the end.
QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 8, "encoder_width": 32, "decoder_width": 32, "log_every": 1000}
PLANTED: dict[str, tuple[dict[str, Any], str, str, dict[str, float]]] = {
    "vae": (
        {"kl_weight": 100.0},
        troubles.POSTERIOR_COLLAPSE,
        "posterior collapse: 0 of 15 latents say",
        {"active": 0, "latents": 15},
    ),
    "gan": (
        {"lr": 0.1, "encoder_width": 128, "decoder_width": 128},
        troubles.HAS_WON,
        "the discriminator has won: its loss is 0.0% of what",
        {"judged": 0.0},
    ),
    "lsgan": ({"lr": 0.1, "encoder_width": 256}, troubles.DIVERGES, "the discriminator diverges: its loss is", {}),
}


def trained(model: str, digits: tuple[np.ndarray, np.ndarray], out: Path, **settings: Any) -> cf.Run:
    """A run of 101 steps: of 808 images, and of more where some are held out."""
    images, labels = (part[: round(808 / (1 - settings.get("holdout", 0)))] for part in digits)
    return cf.train(model, images, labels=labels, out=out, **{**QUICK, **settings})


def found(run: cf.Run) -> list[Trouble]:
    return [row for row in run.folder.log_rows() if isinstance(row, Trouble)]


@pytest.mark.parametrize("model", PLANTED)
def test_a_planted_failure_is_said_once_and_kept(digits, model: str, tmp_path: Path, capsys) -> None:
    settings, kind, said, numbers = PLANTED[model]
    run = trained(model, digits, tmp_path / "run", **settings)
    (row,) = found(run)
    assert (row.epoch, row.step, row.kind) == (1, 101, kind)
    assert {name: row.numbers[name] for name in numbers} == pytest.approx(numbers, abs=1e-3)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "what usually helps" in line]
    assert line.startswith(f"epoch   1/1  {said}") and line.endswith(troubles.KINDS[kind].helps)

    cf.train(model, digits[0][:808], labels=digits[1][:808], out=tmp_path / "run", resume=True, epochs=2)
    assert [other for other in found(run) if other.kind == kind] == [row]
    assert said not in capsys.readouterr().err


@pytest.mark.parametrize("model", [*PLANTED, "cgan", "ae", "cvae"])
def test_a_healthy_run_says_nothing(digits, model: str, tmp_path: Path, capsys, monkeypatch) -> None:
    asked, diagnosed = [], diagnosis.diagnosed
    monkeypatch.setattr(diagnosis, "diagnosed", lambda *args: [asked.append(args[2]), diagnosed(*args)][1])
    run = trained(model, digits, tmp_path / "run", holdout=0.1)
    assert found(run) == [] and len(asked) == 1
    assert (asked[0] is not None) == isinstance(run.model, HasTerms)
    assert "what usually helps" not in capsys.readouterr().err


@pytest.mark.parametrize("model", ["gan", "cvae"])
def test_looking_moves_nothing(digits, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"ema": 0.9, "holdout": 0.1}
    looked = trained(model, digits, tmp_path / "looked", **settings)
    monkeypatch.setattr(diagnosis, "is_due", lambda before, step: False)
    assert looked.weights_sha256 == trained(model, digits, tmp_path / "not", **settings).weights_sha256


def test_it_looks_at_most_once_in_a_hundred_steps_and_not_before() -> None:
    ends = list(range(39, 400, 39))
    due = [step for before, step in zip([0, *ends], ends, strict=False) if diagnosis.is_due(before, step)]
    assert due == [117, 234, 312]
    assert diagnosis.is_due(0, 468) and not diagnosis.is_due(0, 99)


class Coded(Toy):
    """With a codebook of 64 entries, of which the first few are taken."""

    taken = 3

    def usage(self) -> Tensor:
        return torch.cat([torch.full((self.taken,), 7.0), torch.full((64 - self.taken,), 0.01)])


@pytest.mark.parametrize(("taken", "says"), [(15, True), (16, False)])
def test_dead_codes_are_said_by_what_a_model_can_be_asked(
    digits, taken: int, says: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(Coded, "taken", taken)
    with registered(spec_of(Coded)):
        run = cf.train("coded", digits[0][:808], out=tmp_path / "run", epochs=1, batch_size=8)
        assert isinstance(run.model, HasCodebook) and not isinstance(run.model, Judges)
        rows = found(run)
    assert rows == ([Trouble(1, 101, "dead codes", {"used": 15, "codes": 64})] if says else [])
    assert ("dead codes: 15 of 64 codes are in use" in capsys.readouterr().err) == says


def test_variety_is_of_the_nearest_so_that_a_few_modes_have_none(digits) -> None:
    images = digits[0][:64]
    modes = np.concatenate([images[:5]] * 13)[:64]
    grain = np.random.default_rng(0).integers(0, 3, modes.shape, np.uint8)
    nearly = np.clip(modes.astype(int) + grain, 0, 255).astype(np.uint8)
    assert diagnosis.variety(images, images) == 1 and diagnosis.variety(digits[0][100:164], images) > 0.8
    assert diagnosis.variety(modes, images) == 0 and diagnosis.variety(nearly, images) < diagnosis.ALIKE / 2
    assert diagnosis.variety(modes, modes) == 1  # of images that have twins themselves nothing can be said
    large = images.repeat(4, axis=2).repeat(4, axis=3)
    assert diagnosis.variety(large[:5].repeat(12, axis=0), large) == 0


@pytest.mark.parametrize("model", ["gan", "ae"])
def test_samples_that_are_alike_late_are_mode_collapse_unless_explained(digits, model: str) -> None:
    images, same = digits[0][:64], digits[0][:1].repeat(64, axis=0)
    spec = MODELS[model]
    net = build(spec, spec.changed(spec.settings, {"encoder_width": 8, "decoder_width": 8}), (1, 28, 28), 10).eval()

    def seen(samples: np.ndarray | None, step: int, known: set[str]) -> dict[str, Any]:
        return diagnosis.diagnosed(net, (images, None), None, samples, step, known, 0)

    assert seen(same, 1000, set()) == {troubles.MODE_COLLAPSE: {"variety": 0.0}}
    assert seen(same, 999, set()) == seen(images, 5000, set()) == seen(None, 5000, set()) == {}
    assert seen(same, 5000, {troubles.HAS_WON}) == {}


def test_images_learned_by_heart_are_said_where_enough_others_are_known(digits, tmp_path: Path, capsys) -> None:
    """60 digits, 400 times each: the loss of others is three times as large."""
    small = {"encoder_width": 128, "decoder_width": 128, "batch_size": 60, "lr": 5e-3}
    run = cf.train("ae", digits[0][:124], holdout=64 / 124, steps=400, out=tmp_path / "run", **small)
    (row,) = found(run)
    assert row.kind == troubles.OVERFITTING and row.numbers["test"] > 1.5 * row.numbers["train"]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "overfitting" in line]
    said = f"the loss of training images is {row.numbers['train']:.4g}, that of test images {row.numbers['test']:.4g};"
    assert said in line
    known, others = (cf.load_data(digits[0][:124], of, holdout=64 / 124).images for of in ("train", "test"))

    def seen(train: np.ndarray, test: np.ndarray, samples: np.ndarray | None = None) -> set[str]:
        step = 400 if samples is None else diagnosis.GROWN
        return set(diagnosis.diagnosed(run.model, (train, None), (test, None), samples, step, set(), 0))

    assert seen(known, others) == seen(known[:50], others[:50]) == seen(known, others[:50]) == {troubles.OVERFITTING}
    assert seen(known, others[:49]) == seen(known[:49], others) == set()
    assert seen(known, others, known[:1].repeat(64, 0)) == {troubles.OVERFITTING, troubles.MODE_COLLAPSE}


def test_how_much_larger_losses_are_has_no_unit() -> None:
    """Differences 1, 3 and 5: 3 / (2 / sqrt(2)); in the mean of many pairs the same as from both variances."""
    train, test = torch.tensor([1.0, 2, 3]).double(), torch.tensor([2.0, 5, 8]).double()
    assert diagnosis.effect_size(train, test) == pytest.approx(3 / 2**0.5, rel=1e-12)
    assert diagnosis.effect_size(test, train) == -diagnosis.effect_size(train, test)
    assert diagnosis.effect_size(100 * train - 999, 100 * test - 999) == pytest.approx(3 / 2**0.5, rel=1e-9)
    assert diagnosis.effect_size(train, train + 1) == 0  # of differences all alike nothing can be said
    assert not diagnosis.effect_size(train, test * float("nan")) > 0
    of = torch.Generator().manual_seed(0)
    train, test = (torch.randn(100_000, generator=of, dtype=torch.float64) * scale for scale in (1, 2))
    # The standard error of the mean of 100,000 differences is 0.005 of the pooled deviation, that of the latter less.
    assert diagnosis.effect_size(train, test + 3) == pytest.approx(3 / 2.5**0.5, abs=0.03)


def test_of_images_that_are_nearly_alike_nothing_is_said(digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses of 100 and 100.5, each within a tenth, are many deviations apart and matter to nobody; those of 102 do."""
    images, spec = digits[0][:64], MODELS["ae"]
    net = build(spec, spec.changed(spec.settings, {"encoder_width": 8, "decoder_width": 8}), (1, 28, 28), 10).eval()

    def seen(more: float) -> set[str]:
        losses = iter([100 + torch.linspace(0, 0.1, 64).double(), 100 + more - torch.linspace(0, 0.1, 64).double()])
        monkeypatch.setattr(diagnosis, "_losses", lambda *given: next(losses))
        return set(diagnosis.diagnosed(net, (images, None), (images, None), None, 100, set(), 0))

    assert seen(0.5) == set() and seen(2.0) == {troubles.OVERFITTING}


def test_overfitting_explains_no_samples(digits) -> None:
    images, same = digits[0][:64], digits[0][:1].repeat(64, axis=0)
    spec = MODELS["ae"]
    net = build(spec, spec.changed(spec.settings, {"encoder_width": 8, "decoder_width": 8}), (1, 28, 28), 10).eval()
    known = {troubles.OVERFITTING}
    assert set(diagnosis.diagnosed(net, (images, None), None, same, 1000, known, 0)) == {troubles.MODE_COLLAPSE}


def test_samples_that_are_rough_late_are_noise(digits) -> None:
    images = digits[0][:64]
    noise = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    assert diagnosis.roughness(images, images) == 1 and diagnosis.roughness(digits[0][100:164], images) < 1.2
    assert diagnosis.roughness(noise, noise[:1].repeat(2, axis=0)) == pytest.approx(1, rel=0.1)
    assert diagnosis.roughness(images, np.zeros_like(images)) == 1  # of flat images nothing can be said
    spec = MODELS["ae"]
    net = build(spec, spec.changed(spec.settings, {"encoder_width": 8, "decoder_width": 8}), (1, 28, 28), 10).eval()
    times = diagnosis.roughness(noise, images)
    assert diagnosis.diagnosed(net, (images, None), None, noise, 1000, set(), 0) == {
        troubles.NOISE: {"roughness": times}
    }
    assert diagnosis.diagnosed(net, (images, None), None, noise, 999, set(), 0) == {}
    assert diagnosis.diagnosed(net, (images, None), None, noise, 5000, {troubles.DIVERGES}, 0) == {}


def test_samples_that_are_unlike_all_images_late_are_far_from_the_data(digits) -> None:
    images, negative = digits[0][:64], 255 - digits[0][100:164]
    assert diagnosis.strangeness(images, images) == 0 and 0.9 < diagnosis.strangeness(digits[0][100:164], images) < 1.2
    assert diagnosis.roughness(negative, images) == pytest.approx(1, rel=0.2)
    spec = MODELS["ae"]
    net = build(spec, spec.changed(spec.settings, {"encoder_width": 8, "decoder_width": 8}), (1, 28, 28), 10).eval()
    distance = diagnosis.strangeness(negative, images)
    assert diagnosis.diagnosed(net, (images, None), None, negative, 1000, set(), 0) == {
        troubles.FAR: {"distance": distance}
    }
    assert diagnosis.diagnosed(net, (images, None), None, negative, 999, set(), 0) == {}


def test_latents_are_counted_by_their_kl() -> None:
    mu, logvar = torch.zeros(8, 4), torch.zeros(8, 4)
    mu[:, 1] = torch.linspace(-1, 1, 8)  # tells images apart
    logvar[:, 2] = -1.0  # KL = 0.5 (1/e - 1 + 1) = 0.18
    mu[:, 3] = 0.1  # KL = 0.005
    assert diagnosis.active_latents(mu, logvar) == (2, 4)


@pytest.mark.parametrize("loss", ["bce", "hinge", "relativistic"])
def test_a_judge_that_leads_at_first_has_not_won(digits, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Healthy ones had 5 % of a guess's loss after 100 steps; those that had won 0.3 % at most."""
    spec = MODELS["sngan"]
    settings = spec.changed(spec.settings, {**spec.small, "loss": loss})
    net = build(spec, settings, (1, 28, 28), 0).eval()
    images = digits[0][:8]

    def kinds(share: float, step: int) -> set[str]:
        monkeypatch.setattr(type(net.loss), "judged", lambda self, real, fake: torch.tensor(share))
        return set(diagnosis.diagnosed(net, (images, None), None, None, step, set(), 0))

    assert kinds(0.01, 999) == set() and kinds(0.01, 1000) == kinds(0.004, 100) == {troubles.HAS_WON}
    assert kinds(0.05, 100) == kinds(0.05, 5000) == set()


@pytest.mark.parametrize("loss", ADVERSARIAL)
def test_a_judge_that_guesses_has_a_loss_of_one(loss: str) -> None:
    game = ADVERSARIAL[loss]
    guess = torch.full((5, 1), game.undecided)
    assert game.judged(guess, guess).item() == pytest.approx(1)
    sure = torch.full((5, 1), 1.0 if loss == "least-squares" else 30.0)
    assert game.judged(sure, 1 - sure).item() == pytest.approx(0, abs=1e-6)
    assert game.judged(guess - 0.1, guess + 0.1).item() > 1, "taking each for the other"


def test_a_judge_is_asked_about_new_samples_and_not_in_training(digits) -> None:
    spec = MODELS["dcgan"]
    small = spec.changed(spec.settings, {"encoder_width": 8, "decoder_width": 8, "instance_noise": 0.1})
    net = build(spec, small, (1, 28, 28), 0).eval()
    assert isinstance(net, Judges)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    x = torch.from_numpy(digits[0][:16]).float() / 255
    one, again, other = (net.judged(x, None, Noise.seeded(seed)).item() for seed in (0, 0, 1))
    assert one == again != other
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_report_shows_what_was_seen() -> None:
    whole = comparison(models=["vae"], seeds=1)
    assert "What the runs say of themselves" not in page_of(whole)
    said = str(Trouble(3, 117, "posterior collapse", {"active": 1, "latents": 15}))
    whole["runs"][0]["remarks"] = [f"epoch 3: {said} <b>"]
    text = Page(page_of(whole)).text
    assert "What the runs say of themselves" in text and f"{whole['runs'][0]['path']} epoch 3: {said} <b>" in text


@pytest.mark.parametrize(
    "rest",
    [
        '"trouble": "dead codes", "used": 1',
        '"trouble": "dead codes", "used": 1, "codes": "4"',
        '"trouble": "bad luck", "used": 1, "codes": 4',
        '"trouble": ["dead codes"], "used": 1, "codes": 4',
        '"trouble": null, "loss": 1, "images_per_s": 1',
    ],
)
def test_a_row_of_no_known_trouble_is_refused(rest: str) -> None:
    with pytest.raises(log.Malformed):
        log.parsed(f'{{"epoch": 1, "step": 1, {rest}}}'.encode())


CAPABLE = {  # which models a trouble can be said of
    troubles.HAS_WON: Judges,
    troubles.DIVERGES: Judges,
    troubles.MODE_COLLAPSE: object,
    troubles.NOISE: object,
    troubles.FAR: object,
    troubles.POSTERIOR_COLLAPSE: HasPosterior,
    troubles.DEAD_CODES: HasCodebook,
    troubles.OVERFITTING: HasTerms,
}


def test_what_helps_names_options_that_the_model_has() -> None:
    said = set()
    for spec in MODELS.values():
        settings = spec.settings.replace(dict(spec.small))
        model, known = build(spec, settings, (1, 28, 28), 10), {field.name for field in fields(settings)}
        for kind in (kind for kind, capable in CAPABLE.items() if isinstance(model, capable)):
            of_all, _, of_some = troubles.KINDS[kind].helps.partition(troubles.WHERE)
            assert options(of_all) <= known, (spec.name, kind)
            said |= {(kind, name) for name in options(of_some) & known} | {(kind, "")}
    assert said == {
        (kind, name)
        for kind, of in troubles.KINDS.items()
        for name in {"", *options(of.helps.partition(troubles.WHERE)[2])}
    }, "an option that no such model has"


def options(text: str) -> set[str]:
    """The settings whose options stand in a text."""
    return {name.replace("-", "_") for name in re.findall(r"--([a-z-]+)", text)}
