"""The loop and the run folder: determinism, exact continuation, faults. Every model of the registry."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit.errors import NonFiniteError, RunError
from counterfeit.models import MODELS
from counterfeit.models.base import Encodes
from counterfeit.models.build import build
from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.runs.curves import draw_curves
from counterfeit.runs.log import Steps
from counterfeit.training.loop import EpochEnded, Logged, Stepped, Stopped, run_steps
from counterfeit.training.state import State
from counterfeit.training.trainer import Training
from loop_cases import BY_KIND, EXTREMES, KINDS, TRAINED, can, prepared, quick

GROUPS = ("model", "training", "ema")
every_model = pytest.mark.parametrize("name", TRAINED)
extremes = pytest.mark.parametrize("name", EXTREMES)


def small(digits, name="vae"):
    """Real digits, few enough that an epoch is two steps of 64, and settings with which the model is quick."""
    images, labels = digits
    return {"data": images[:150], "labels": labels[:150], "quiet": True, **quick(name, 64)}


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Everything that a checkpoint holds, flat."""
    groups = load_checkpoint(path / "checkpoint", GROUPS)
    return {f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def assert_bit_equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    different = [name for name in one if not torch.equal(one[name], two[name])]
    assert not different


@extremes
def test_an_epoch_and_another_equal_two_bit_for_bit(name: str, digits, tmp_path: Path) -> None:
    """Model, optimizers, moving average, noise and position in the data; and the same seed gives the same weights."""
    settings = {**small(digits, name), "ema": 0.9, "lr_decay": 0.5, "schedule": "constant", "seed": 3}
    cf.train(name, out=tmp_path / "whole", epochs=2, **settings)
    cf.train(name, out=tmp_path / "parts", epochs=1, **settings)
    half = weights(tmp_path / "parts")
    cf.train(name, out=tmp_path / "parts", epochs=2, resume=True, **settings)
    assert_bit_equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert any(not torch.equal(half[key], value) for key, value in weights(tmp_path / "parts").items())


@extremes
def test_stopping_in_the_middle_of_an_epoch_and_going_on_is_exact(name: str, digits, tmp_path: Path) -> None:
    images, labels = digits
    config = MODELS[name].settings.replace({**quick(name, 32), "data": "array", "epochs": 2})

    def training(folder: str, resume: bool = False) -> Training:
        return Training(
            name, config, RunFolder(tmp_path / folder), resume=resume, array=images[:200], labels=labels[:200]
        )

    list(training("whole").events())
    for stop_after in (4, 9):  # of 12 steps
        seen: list[object] = []
        stop = lambda seen=seen, limit=stop_after: sum(isinstance(e, Stepped) for e in seen) >= limit  # noqa: E731
        for event in training("parts", resume=(tmp_path / "parts").exists()).events(stop):
            seen.append(event)
            if isinstance(event, Stepped) and stop_after == 9 and event.step >= 9:
                break  # an abandoned iterator is as good as a kill: the checkpoint is that of step 6
        if stop_after == 4:
            assert seen[-1] == Stopped(4)
    list(training("parts", resume=True).events())
    assert_bit_equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_stopping_before_the_first_step_and_going_on_is_exact(digits, tmp_path: Path) -> None:
    images, _ = digits
    config = MODELS["gan"].settings.replace({"data": "array", "epochs": 1})

    def events(folder: str, stop: bool = False, resume: bool = False) -> list[object]:
        training = Training("gan", config, RunFolder(tmp_path / folder), resume=resume, array=images[:300])
        return list(training.events(lambda: stop))

    events("whole")
    assert events("parts", stop=True) == [Stopped(0)]
    events("parts", resume=True)
    assert_bit_equal(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    with pytest.raises(cf.InputError, match="pass the same array"):
        cf.train("gan", out=tmp_path / "parts", resume=True)


def test_an_empty_folder_that_a_kill_left_is_no_obstacle(digits, tmp_path: Path) -> None:
    """What there is between making the folder and writing run.json: the folder, and the lock in it."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    assert cf.train("vae", out=tmp_path / "run", epochs=1, **small(digits)).log


COMPILER = """
import sys, numpy, counterfeit as cf
from counterfeit.data.image_set import ImageSet
from counterfeit.models import MODELS
from counterfeit.training.checks import built
images = numpy.zeros((40, 1, 28, 28), "u1")
data = ImageSet("array", "train", images, numpy.arange(40) % 2, ("even", "odd"), "0" * 64)
for name, spec in MODELS.items():
    built(spec, spec.settings.replace({**spec.small, "batch_size": 20}), data)
    assert "torch._dynamo" not in sys.modules, name
import counterfeit.api.cas, counterfeit.api.sample, counterfeit.api.score
assert "matplotlib" not in sys.modules
cf.train("gan", images, out="run", epochs=1, batch_size=20, quiet=True)
assert "torch._dynamo" not in sys.modules
"""


def test_training_does_not_import_pytorchs_compiler_nor_sampling_matplotlib() -> None:
    """torch._dynamo takes a second and 75 MiB: torch.optim imports it when first used, and some of what is on meta.

    matplotlib takes a quarter of a second, before the first image of a sample.
    """
    subprocess.run([sys.executable, "-c", COMPILER], check=True)


def test_a_checkpoint_of_another_form_is_refused() -> None:
    state, _ = prepared("vae")
    groups = state.tensors()
    del groups["training"]["autoencoder.steps"]
    with pytest.raises(RunError, match="of another version"):
        state.load(groups, 1)


def test_rates_decay_by_the_epoch() -> None:
    """Adam's own record of them, after each of three epochs of two steps; both networks', each from its own."""
    settings = {"epochs": 3, "batch_size": 4, "lr": 1e-3, "lr_discriminator": 4e-3, "lr_decay": 0.5}
    config = MODELS["gan"].settings.replace(settings)
    state = State.fresh(build(MODELS["gan"], config, (1, 28, 28), 0), config, torch.device("cpu"))
    images = torch.zeros(8, 1, 28, 28, dtype=torch.uint8)
    used = [
        [state.optimizers[network].rate for network in ("generator", "discriminator")]
        for event in run_steps(state, images, None, config)
        if isinstance(event, Stepped)
    ]
    wanted = [[1e-3 * 0.5**epoch, 4e-3 * 0.5**epoch] for epoch in (0, 0, 1, 1, 2, 2)]
    assert np.allclose(used, wanted, rtol=1e-12)


def test_another_seed_gives_other_weights(digits, tmp_path: Path) -> None:
    for seed in (0, 1):
        cf.train("vae", out=tmp_path / str(seed), epochs=1, seed=seed, **small(digits))
    one, two = weights(tmp_path / "0"), weights(tmp_path / "1")
    assert not torch.equal(one["model/encoder.layers.0.weight"], two["model/encoder.layers.0.weight"])


def test_the_loop_visits_every_image_once_an_epoch_in_a_new_order() -> None:
    """A model that records what it is shown; 10 images of value i, batches of 5."""
    shown: list[list[int]] = []
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 1, 28, 28)
    config = MODELS["vae"].settings.replace({"epochs": 3, "batch_size": 5})
    state = State.fresh(build(MODELS["vae"], config, (1, 28, 28), 0), config, torch.device("cpu"))
    step = state.model.step

    def recording(batches, *rest):
        shown.append((batches[0].x[:, 0, 0, 0] * 255).round().int().tolist())
        return step(batches, *rest)

    state.model.step = recording  # type: ignore[method-assign]
    events = list(run_steps(state, images, None, config))
    epochs = [shown[i] + shown[i + 1] for i in (0, 2, 4)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert [e.epoch for e in events if isinstance(e, EpochEnded)] == [1, 2, 3]


def test_log_rows_hold_the_means_of_their_steps(digits) -> None:
    images, _ = digits
    config = MODELS["vae"].settings.replace({"epochs": 1, "batch_size": 100, "log_every": 4})
    state = State.fresh(build(MODELS["vae"], config, (1, 28, 28), 0), config, torch.device("cpu"))
    losses: list[float] = []
    step = state.model.step

    def recording(*args):
        result = step(*args)
        losses.append(result["loss"].item())
        return result

    state.model.step = recording  # type: ignore[method-assign]
    rows = [e for e in run_steps(state, torch.from_numpy(images), None, config) if isinstance(e, Logged)]
    assert [row.step for row in rows] == [4, 8, 10]
    expected = [np.mean(losses[:4]), np.mean(losses[4:8]), np.mean(losses[8:])]
    assert [row.losses["loss"] for row in rows] == pytest.approx(expected, rel=1e-6)  # float32 sums of 4 terms
    assert all(row.images_per_s > 0 for row in rows)


@pytest.mark.parametrize(
    ("name", "key"), [("gan", "generator.layers.0.weight"), ("dcgan", "generator.upsample.2.running_var")]
)
def test_the_moving_average_is_the_recurrence(name: str, key: str, digits) -> None:
    """avg = d avg + (1-d) w after each step with d = min(ema, (1+t)/(10+t)), starting at the first step's weights, of
    weights and of batch norm's moments; float32 rounding over 7 steps."""
    images, _ = digits
    config = MODELS[name].settings.replace({"epochs": 1, "ema": 0.3})
    state = State.fresh(build(MODELS[name], config, (1, 28, 28), 0), config, torch.device("cpu"))
    assert state.average is not None
    expected: torch.Tensor | None = None
    for event in run_steps(state, torch.from_numpy(images), None, config):
        if isinstance(event, Stepped):
            now = state.model.state_dict()[key].double()
            t = event.step - 1
            decay = min(0.3, (1 + t) / (10 + t))
            expected = now.clone() if expected is None else decay * expected + (1 - decay) * now
            torch.testing.assert_close(state.average.state_dict()[key].double(), expected, rtol=1e-5, atol=1e-6)


def test_samples_are_drawn_with_the_moving_average(digits, tmp_path: Path) -> None:
    run = cf.train("vae", out=tmp_path / "run", epochs=1, ema=0.99, **small(digits))
    groups = load_checkpoint(tmp_path / "run" / "checkpoint", GROUPS)
    name = "decoder.layers.0.weight"
    assert torch.equal(run.model.state_dict()[name], groups["ema"][name])
    assert not torch.equal(groups["ema"][name], groups["model"][name])


@pytest.mark.parametrize(("name", "term"), [("gan", "[dg]_loss"), ("vae", "loss"), ("dcgan", "[dg]_loss")])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(
    name: str, term: str, digits, tmp_path: Path
) -> None:
    cf.train(name, out=tmp_path / "run", epochs=1, **small(digits, name))
    good = weights(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    record["settings"]["model"]["lr"] = 1e30  # the way to a non-finite loss that users take: a rate that is too high
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    with pytest.raises(
        NonFiniteError, match=rf"{term} became (nan|inf|-inf) at epoch [2-9], step \d+; the last good .* step 2"
    ):
        cf.train(name, out=tmp_path / "run", resume=True, epochs=9, lr=1e30, **small(digits, name))
    after = weights(tmp_path / "run")
    assert_bit_equal(good, after)
    assert all(torch.isfinite(t).all() for t in after.values() if t.is_floating_point())


@pytest.mark.parametrize("name", BY_KIND)
def test_ten_times_the_rate_is_finite_or_one_line(name: str, digits, tmp_path: Path) -> None:
    settings = {**small(digits, name), **quick(name, 16), "lr": 10 * MODELS[name].settings.lr, "steps": 10}
    try:
        run = cf.train(name, out=tmp_path / "run", **settings)
    except NonFiniteError as error:
        assert "\n" not in str(error) and "became" in str(error) and "--lr" in str(error)
        return
    assert all(torch.isfinite(t).all() for t in weights(tmp_path / "run").values() if t.is_floating_point())
    assert run.sample(10, seed=0).std() > 0


def test_weights_that_are_not_finite_are_not_saved(digits, tmp_path: Path) -> None:
    """The last step's update can spoil the weights while every loss so far was finite."""
    images, _ = digits
    training = Training(
        "vae",
        MODELS["vae"].settings.replace({"data": "array", "epochs": 2}),
        RunFolder(tmp_path / "run"),
        array=images[:300],
    )
    with pytest.raises(
        NonFiniteError, match="weights of decoder.layers.0.bias are not finite after step 4.* of step 2"
    ):
        for event in training.events():
            if event == Stepped(4, 4):
                with torch.no_grad():
                    training.model.decoder.layers[0].bias.fill_(math.nan)
    assert json.loads((tmp_path / "run/checkpoint/checkpoint.json").read_text())["step"] == 2


@pytest.mark.parametrize("name", KINDS)
def test_a_run_folder_can_be_read_without_us(name: str, digits, tmp_path: Path) -> None:
    cf.train(name, out=tmp_path / "run", epochs=2, log_every=1, **small(digits, name))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["model"] == name and record["settings"]["run"]["epochs"] == 2 and record["data"]["n"] == 150
    assert set(record["made_by"]["versions"]) == {"counterfeit", "python", "torch", "numpy", "pillow"}
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    pictures = sorted(p.name for p in (tmp_path / "run" / "samples").iterdir())
    assert "epoch-0001.png" in pictures and "epoch-0002.png" in pictures
    assert ("reconstruction-0002.png" in pictures) == can(name, Encodes)
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
    assert not list((tmp_path / "run").rglob("*.part"))


def test_the_test_loss_is_that_of_the_test_set_with_its_terms_apart(tmp_path: Path) -> None:
    """Against the formulas written out in float64, on 2,500 digits; the posterior noise differs: 0.3 %."""
    digits = cf.load_data("mnist5k").images[::2]
    np.savez(tmp_path / "digits.npz", images=digits[::5], test_images=digits)
    run = cf.train("vae", tmp_path / "digits.npz", out=tmp_path / "run", epochs=8, batch_size=32, quiet=True)
    last = run.log[-1]
    x = torch.from_numpy(digits) / 255
    with torch.inference_mode():
        mu, logvar = run.model.posterior(x)
        kl = 0.5 * (mu.double() ** 2 + logvar.double().exp() - 1 - logvar.double()).sum(1).mean().item()
        p = run.model.decode(mu + torch.randn(mu.shape) * (logvar / 2).exp()).double().clamp(1e-12, 1 - 1e-12)
        reconstruction = -(x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3)).mean().item()
    assert last["test_kl"] == pytest.approx(kl, rel=1e-4)  # float32 against float64
    assert last["test_reconstruction"] == pytest.approx(reconstruction, rel=3e-3)
    assert last["test_loss"] == pytest.approx(last["test_reconstruction"] + last["test_kl"], rel=1e-12)


def test_the_defaults_are_those_of_the_report() -> None:
    for name in ("ae", "vae", "cvae", "gan", "lsgan", "dcgan"):
        settings = MODELS[name].settings
        assert (settings.epochs, settings.batch_size, settings.lr) == (10, 128, 1e-3)
        assert (settings.latent, settings.betas) == ((96, (0.5, 0.999)) if "gan" in name else (15, (0.9, 0.999)))


def test_curves_are_drawn_under_any_name(tmp_path: Path) -> None:
    """Warnings are errors here: matplotlib warns of letters that its font lacks, and takes "$" for a formula."""
    for name in ("猫", r"$\nix$", "a$b$"):
        draw_curves(tmp_path / "curves.png", [Steps(1, 1, {"loss": 2.0}, 1.0)], name, "nats per image")
        assert (tmp_path / "curves.png").stat().st_size > 1000
