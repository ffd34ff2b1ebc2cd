"""Flow matching: its loss and its solvers against closed forms, its net, and its options of sampling."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.models.flow import FlowSampling
from counterfeit.models.flow.model import STEPS, Flow, solved
from counterfeit.settings import having
from counterfeit.system.noise import Noise

SOLVERS = list(STEPS)
SMALL = MODELS["flow"].small


class ToOnePoint(nn.Module):
    """The exact velocity where all images are one: from wherever x is, straight to it, by t = 1."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = nn.Parameter(image)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return (self.image - x) / (1 - t).view(-1, 1, 1, 1)


def test_the_exact_field_of_one_image_has_no_loss_and_leads_to_it() -> None:
    image = torch.rand(1, 4, 4) * 2 - 1
    flow = Flow(ToOnePoint(image), (1, 4, 4))
    x = ((image + 1) / 2).expand(64, -1, -1, -1)
    terms = flow.terms(x, None, Noise.seeded(0))
    # (image - x_t) / (1 - t) is image - z but for rounding, which 1 / (1 - t) enlarges: t is uniform on 64 draws.
    assert terms["error"].shape == (64,) and terms["error"].max() < 1e-6
    z = flow.noise(8, Noise.seeded(1))
    # Euler's last step ends on the point itself; the others ask for the velocity at t = 1, which has none.
    assert torch.allclose(flow.decode(z, None, FlowSampling(steps=7, solver="euler")), x[:8], atol=1e-6)


def test_the_loss_of_a_field_that_is_zero_is_the_mean_square_of_the_path() -> None:
    """E |x - z|² = x² + 1 for each pixel: over 64 images of 784 pixels, standard error 0.008 where x = ±1."""

    class Still(nn.Module):
        def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            return torch.zeros_like(x)

    flow = Flow(Still(), (1, 28, 28))
    for pixel, expected in ((1.0, 2.0), (0.5, 1.0)):  # 1.0 is x = 1, and 0.5 is x = 0
        loss = flow.terms(torch.full((64, 1, 28, 28), pixel), None, Noise.seeded(0))["error"].mean()
        assert loss.item() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)])
def test_the_error_of_a_solver_falls_with_its_order(solver: str, order: int) -> None:
    """dx/dt = x has x(1) = e x(0): twice the steps divide the error by 2^order, to within 10 %."""
    errors = [
        abs(solved(lambda x, t: x, torch.ones(1, dtype=torch.float64), FlowSampling(n, solver)).item() - math.e)
        for n in (32, 64)
    ]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_ask_for_the_velocity_at_the_right_times(solver: str) -> None:
    """dx/dt = 2t has x(1) = 1: exact for the second-order rules, and 1 - h for Euler's, in however many steps."""
    found = solved(lambda x, t: torch.full_like(x, 2 * t), torch.zeros(1, dtype=torch.float64), FlowSampling(5, solver))
    assert found.item() == pytest.approx(1 - (0.2 if solver == "euler" else 0), abs=1e-12)


@pytest.fixture(scope="module")
def run(tmp_path_factory, test_cache) -> cf.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        data = cf.load_data("mnist5k")
    home = tmp_path_factory.mktemp("flow")
    return cf.train("flow", data.images[::10], out=home / "run", epochs=1, quiet=True, **SMALL)


def test_options_change_the_images_and_the_run_keeps_its_own(run) -> None:
    usual = run.sample(4)
    coarse = run.with_sampling(steps=2, solver="euler")
    assert not np.array_equal(coarse.sample(4), usual) and run.options == MODELS["flow"].sampling
    assert np.array_equal(coarse.decode(coarse.noise(4)), coarse.sample(4))
    assert coarse.noise(4).shape == (4, 1, 28, 28)


def test_options_that_are_not_given_stay_as_they_are(run) -> None:
    assert run.with_sampling(steps=3).with_sampling(solver="euler").options == FlowSampling(3, "euler")


def test_samples_of_other_options_have_a_file_of_their_own(run) -> None:
    usual, coarse = (cf.sample(r, 1) for r in (run, run.with_sampling(steps=3, solver="euler")))
    assert (usual.name, coarse.name) == ("sample-n1-seed0.png", "sample-n1-seed0-steps3-solvereuler.png")


def test_a_run_whose_rates_fall_to_its_end_has_no_more_epochs(tmp_path: Path, digits) -> None:
    settings = {"out": tmp_path / "run", "quiet": True, "schedule": "linear", "batch_size": 32, **SMALL}
    cf.train("flow", digits[0][:64], epochs=1, **settings)
    with pytest.raises(
        cf.InputError, match="--schedule linear, by which the learning rates are those of --epochs 1, not --epochs 2"
    ):
        cf.train("flow", digits[0][:64], epochs=2, resume=True, **settings)


def test_wrong_options_are_told_in_one_line(run) -> None:
    for options, words in (
        ({"stepz": 3}, "no setting named 'stepz'; did you mean 'steps'"),
        ({"steps": 0}, "--steps is 0"),
        ({"solver": "dopri5"}, "--solver is 'dopri5'"),
    ):
        with pytest.raises(cf.InputError, match=words):
            run.with_sampling(**options)


def test_models_without_options_say_so(tmp_path: Path, digits) -> None:
    plain = next(name for name, spec in MODELS.items() if not having(spec.sampling))
    other = cf.train(plain, digits[0], out=tmp_path / "run", epochs=1, quiet=True, labels=digits[1])
    with pytest.raises(cf.InputError, match=f"{plain} has no options of sampling: leave out --steps"):
        other.with_sampling(steps=3)


def test_scores_with_other_options_are_other_scores(run, digits) -> None:
    settings = {"real": digits[0], "n": 64, "detector": "mnist-cnn", "metrics": ["fid"], "device": "cpu"}
    usual, coarse = run.score(**settings), run.with_sampling(steps=1, solver="euler").score(**settings)
    assert usual.receipt["generated"]["sampling"] == run.options.to_dict()
    assert coarse.receipt["generated"]["sampling"] == {"steps": 1, "solver": "euler"}
    assert len(list((run.path / "scores").glob("*.json"))) == 2
    assert usual["FID[mnist-cnn]"] != coarse["FID[mnist-cnn]"]


def test_the_command_line_has_the_options_of_the_runs_model(run, command) -> None:
    for verb in ("sample", "score"):
        assert "--solver {euler,midpoint,heun,rk4}" in command(verb, str(run.path), "--help").out
        assert "--solver" not in command(verb, "--help").out
    command("sample", str(run.path), "-n", "4", "--out", "a.npy", "--steps", "2", "--solver", "euler")
    assert np.array_equal(np.load("a.npy"), run.with_sampling(steps=2, solver="euler").sample(4))
    asked = command("sample", str(run.path), "--steps", "0")
    assert asked.code == 2 and asked.err.startswith("counterfeit: --steps is 0; it must be 1 or more")
    digits = ["--real", "mnist5k", "--metrics", "fid", "-n", "64", "--detector", "mnist-cnn", "--json"]
    told = command("score", str(run.path), "--steps", "1", *digits)
    assert json.loads(told.out)["receipt"]["generated"]["sampling"]["steps"] == 1
