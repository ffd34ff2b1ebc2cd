"""How long a run is: epochs, steps, or a time, and what is said of it before it begins."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit.comparison.grid import Member, read_grid
from counterfeit.comparison.work import check_settings
from counterfeit.errors import InputError, RunError
from counterfeit.models import MODELS
from counterfeit.models.base import Stage
from counterfeit.models.plan import ROUND, Plan, planned
from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.runs.log import EpochScore
from counterfeit.runs.shared import Local
from counterfeit.system import durations, memory
from counterfeit.testing.small import SHAPES, STEPS, built, images_for, settings_of
from counterfeit.testing.small import train as trained_in
from counterfeit.training import budget, checks, ends, few, notes, trainer
from counterfeit.training.budget import Costs
from counterfeit.training.session import fitting
from counterfeit.training.trainer import EpochEnded, Training
from report_cases import tables
from test_compare_table import fake_record

MODEL = "gan"
SETTINGS = settings_of(MODEL)
DATA = images_for(SHAPES[0], built(MODEL, SETTINGS, SHAPES[0]))  # an epoch is STEPS steps


def weights(folder: Path) -> dict[str, torch.Tensor]:
    groups = load_checkpoint(folder / "checkpoint", ("model", "training", "ema"))
    return {f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def assert_equal(one: Path, two: Path) -> None:
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def with_length(**length: object):
    return SETTINGS.replace(length)


def fit(folder: Path, config, resume: bool = False) -> list[object]:
    events = fitting(MODEL, config, RunFolder(folder), resume=resume, quiet=True, array=DATA[0], labels=DATA[1])
    return list(events)


# Steps.


def test_steps_are_the_first_ones_of_a_longer_run(tmp_path: Path) -> None:
    trained_in(MODEL, with_length(steps=7), tmp_path / "seven", DATA, None)
    trained_in(MODEL, with_length(epochs=4), tmp_path / "long", DATA, 7)
    assert_equal(tmp_path / "seven", tmp_path / "long")
    run = cf.load(tmp_path / "seven")
    assert (run.trained.checkpoint.step, run.config.steps, run.config.epochs) == (7, 7, 3)
    assert run.trained.finished and run.folder.finished() and not run.trained.unfinished()


def test_a_run_of_steps_that_is_stopped_or_made_longer_goes_on_to_the_bit(tmp_path: Path) -> None:
    trained_in(MODEL, with_length(steps=7), tmp_path / "whole", DATA, None)
    for stop in (2, 4, None):  # within an epoch, and again
        trained_in(MODEL, with_length(steps=7), tmp_path / "stopped", DATA, stop)
    trained_in(MODEL, with_length(steps=5), tmp_path / "longer", DATA, None)
    trained_in(MODEL, with_length(steps=7), tmp_path / "longer", DATA, None)
    assert_equal(tmp_path / "whole", tmp_path / "stopped")
    assert_equal(tmp_path / "whole", tmp_path / "longer")
    assert cf.load(tmp_path / "longer").config.epochs == 3


def test_a_stopped_run_says_of_how_many_steps_it_is(tmp_path: Path) -> None:
    trained_in(MODEL, with_length(steps=7), tmp_path / "run", DATA, 4)
    assert cf.load(tmp_path / "run").trained.unfinished() == [
        "the run is not finished: its weights are those after 4 of 7 steps"
    ]


def test_the_same_command_goes_on_and_another_length_is_another_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    trained_in(MODEL, with_length(steps=7), folder.path, DATA, 4)
    record = folder.begun(MODEL, with_length(steps=7))
    assert record is not None and record.config.epochs == 3
    with pytest.raises(RunError, match="contains another run"):
        folder.begun(MODEL, with_length(steps=8))
    with pytest.raises(RunError, match="already trained for 4 steps, more than --steps 3"):
        trained_in(MODEL, with_length(steps=3), folder.path, DATA, None)
    with pytest.raises(RunError, match="already trained for 1 epochs, 4 steps, more than --epochs 1"):
        trained_in(MODEL, with_length(epochs=1), folder.path, DATA, None)


def test_rates_that_end_with_the_run_bind_its_length(tmp_path: Path) -> None:
    config = with_length(steps=7).replace({"schedule": "cosine"})
    trained_in(MODEL, config, tmp_path / "run", DATA, 4)
    with pytest.raises(RunError, match="are those of --steps 7, not --steps 9: leave --steps out"):
        trained_in(MODEL, config.replace({"steps": 9}), tmp_path / "run", DATA, None)
    trained_in(MODEL, config, tmp_path / "run", DATA, None)
    assert cf.load(tmp_path / "run").trained.finished


def test_an_end_that_cuts_an_epoch_is_drawn_scored_and_logged(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ends, "SAMPLES_SCORED", 64)
    config = with_length(steps=4).replace({"score_every": 1, "log_every": 50})
    trained_in(MODEL, config, tmp_path / "run", DATA, None)
    rows = RunFolder(tmp_path / "run").log_rows()
    assert [row.step for row in rows] == [4, 4] and isinstance(rows[1], EpochScore) and rows[1].epoch == 2
    assert [path.name for path in (tmp_path / "run/samples").iterdir()] == ["epoch-0002.png"]


def test_a_score_of_a_cut_epoch_goes_when_the_run_is_made_longer(tmp_path: Path, monkeypatch) -> None:
    """The log of the longer run is that of one that was as long from the start; its grids are drawn over."""
    monkeypatch.setattr(ends, "SAMPLES_SCORED", 64)
    logs = {}
    for name, lengths in {"whole": [7], "longer": [4, 7]}.items():
        for steps in lengths:
            config = with_length(steps=steps).replace({"score_every": 1, "log_every": 50})
            trained_in(MODEL, config, tmp_path / name, DATA, None)
        rows = RunFolder(tmp_path / name).log_rows()
        logs[name] = [(row.epoch, row.step, row.value) for row in rows if isinstance(row, EpochScore)]
    assert logs["longer"] == logs["whole"] and len(logs["whole"]) == 1


def test_a_cut_epoch_of_a_finished_run_counts_in_its_receipts(tmp_path: Path) -> None:
    trained_in(MODEL, with_length(steps=7), tmp_path / "run", DATA, 4)
    facts = cf.load(tmp_path / "run").trained.facts()
    assert (facts["finished"], facts["epochs_done"], facts["epochs"]) == (False, 1, 3)
    trained_in(MODEL, with_length(steps=7), tmp_path / "run", DATA, None)
    facts = cf.load(tmp_path / "run").trained.facts()
    assert (facts["finished"], facts["epochs_done"], facts["epochs"]) == (True, 3, 3)


# The plan.


def stage(batches: int = 1, **length: float | int | None) -> Stage:
    return Stage(lambda *_: {}, "stage", batches, **length)


@pytest.mark.parametrize("steps", [1, 3, 4, 7, 1000, 1001])
@pytest.mark.parametrize("images", [1, 4, 600])
def test_the_ends_of_a_plan_are_those_of_a_walk(images: int, steps: int) -> None:
    plan = Plan.of([stage()], images, 1, 10, steps)
    assert plan.total == steps and plan.epochs == -(-steps // images)
    walked = [plan.epoch(step - 1) + 1 for step in range(1, steps + 1) if plan.ends_epoch(step)]
    assert walked == list(plan.ends())
    assert len(walked) <= 1 + steps // ROUND or images > ROUND  # not after every epoch of a step or two
    assert len(list(plan.batches(0))) == steps


def test_a_run_of_epochs_ends_every_one() -> None:
    assert list(Plan.of([stage()], 2, 1, 40).ends()) == list(range(1, 41))


def test_what_is_done_every_few_epochs_is_done_at_the_first_end_after_them() -> None:
    plan = Plan.of([stage()], 100, 1, 1, 2000)  # saved every 3 epochs, of 20
    assert list(plan.ends()) == [3, 6, 9, 12, 15, 18, 20]
    assert [epoch for epoch in plan.ends() if plan.due(epoch, 5)] == [6, 12, 15, 20]
    assert not any(plan.due(epoch, 0) for epoch in plan.ends())
    epochs = Plan.of([stage()], 100, 1, 12)
    assert [epoch for epoch in epochs.ends() if epochs.due(epoch, 5)] == [5, 10, 12]


def test_stages_of_a_share_are_parts_of_any_length() -> None:
    of = [stage(share=0.25), stage(2)]
    assert [part.steps for part in Plan.of(of, 10, 1, 8).parts] == [20, 30]
    plan = Plan.of(of, 10, 1, 8, 30)
    assert [(part.first_step, part.first_epoch, part.steps) for part in plan.parts] == [(0, 0, 8), (8, 1, 22)]
    assert plan.ends_epoch(8) and plan.total == 30 and plan.epochs == 6
    assert [part.steps for part in Plan.of([stage(share=0.9), stage()], 1, 1, 2).parts] == [1, 1]
    fixed = [stage(epochs=2), stage()]
    assert [part.steps for part in Plan.of(fixed, 10, 1, 8, 25).parts] == [20, 5]
    with pytest.raises(InputError, match="--steps is 20, and the stages before stage take 20: pass 21 or more"):
        Plan.of(fixed, 10, 1, 8, 20)
    for wrong in ({"share": -0.1}, {"share": 0.5, "epochs": 2}):
        with pytest.raises(InputError, match="share="):
            Plan.of([stage(**wrong), stage()], 10, 1, 8)
    with pytest.raises(InputError, match="the shares of the stages add up to 1 or more: they must leave some"):
        Plan.of([stage(share=0.5), stage(share=0.5), stage()], 10, 1, 8)


# Budgets.


@pytest.fixture
def six_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which 10 seconds are six steps and what is beside them, and on which a training starts at once."""
    fitted = budget.fitted
    monkeypatch.setattr(budget, "measured", lambda training, stop: Costs((1.4,), end=0.2, finish=0.3))
    monkeypatch.setattr(budget, "fitted", lambda training, costs, spent: fitted(training, costs, 0.0))


def test_a_budget_is_the_run_of_its_steps(six_steps: None, tmp_path: Path) -> None:
    fit(tmp_path / "steps", with_length(steps=6))
    fit(tmp_path / "budget", with_length(budget="10s"))
    assert_equal(tmp_path / "steps", tmp_path / "budget")
    config = cf.load(tmp_path / "budget").config
    assert (config.budget, config.steps, config.epochs) == ("10s", 6, 2)


def test_what_is_tried_leaves_no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The true measurement, of an autoencoder with a test loss and scores, for a moment."""
    monkeypatch.setattr(budget, "LEAST", 0.01)
    monkeypatch.setattr(budget, "TRIED", 0.0)
    monkeypatch.setattr(ends, "SAMPLES_SCORED", 64)
    tried = []
    monkeypatch.setattr(
        budget, "fitted", lambda training, costs, spent: tried.append(costs) or budget.Planned(5, 1.0, 1.0)
    )
    settings = {**MODELS["vae"].small, "batch_size": 8, "log_every": 1, "ema": 0.9, "holdout": 0.3, "score_every": 1}
    settings |= {"data": DATA[0], "quiet": True, "device": "cpu"}
    run = cf.train("vae", out=tmp_path / "budget", budget="10s", **settings)
    cf.train("vae", out=tmp_path / "steps", steps=5, **settings)
    assert_equal(tmp_path / "budget", tmp_path / "steps")
    (costs,) = tried
    assert min(*costs.steps, costs.end, costs.score, costs.finish) > 0
    assert [row.step for row in run.folder.log_rows()] == [1, 2, 3, 4, 5, 5, 5]  # of steps, a score, the test set


def test_a_budget_that_was_stopped_keeps_its_steps(six_steps: None, monkeypatch, tmp_path: Path) -> None:
    config = with_length(budget="10s")
    for event in fitting(MODEL, config, RunFolder(tmp_path / "run"), quiet=True, array=DATA[0], labels=DATA[1]):
        if isinstance(event, EpochEnded):
            pytest.fail("stopped too late")
        break
    trained_in(MODEL, replace(config, steps=6), tmp_path / "run", DATA, 4)
    monkeypatch.setattr(budget, "measured", lambda *_: pytest.fail("it was measured again"))
    fit(tmp_path / "run", config)  # the same command
    fit(tmp_path / "steps", with_length(steps=6))
    assert_equal(tmp_path / "steps", tmp_path / "run")
    member = Member(MODEL, config.replace({"data": "array"}), str(tmp_path / "run"))
    check_settings(member, Local(RunFolder(tmp_path / "run")))
    fit(tmp_path / "run", cf.load(tmp_path / "run").config.replace({"steps": 8}), resume=True)
    assert cf.load(tmp_path / "run").config.length == ("steps", 8)


def test_the_longest_run_that_fits_is_planned() -> None:
    training = Training(MODEL, with_length(budget="1m"), RunFolder("run"), array=DATA[0], labels=DATA[1])
    for costs in (Costs((0.01,), end=0.5), Costs((0.3,), finish=7.0), Costs((0.001,), end=0.1, score=3.0)):
        training.config = training.config.replace({"score_every": 2})
        found = budget.fitted(training, costs, spent=8.0)
        room = 60 * (1 - budget.KEPT)

        def seconds(steps: int, costs: Costs = costs) -> float:
            plan = planned(training.model, replace(training.config, steps=steps), len(training.data))
            return 8.0 + costs.of(plan, training.config)

        assert seconds(found.steps) <= room < seconds(found.steps + 1) and found.seconds == seconds(found.steps)


def test_the_seconds_of_a_run_are_those_of_its_parts() -> None:
    plan = Plan.of(
        [stage(share=0.1), stage()], 100, 1, 1, 2000
    )  # 200 steps, saved once, and 1,800, saved every 3 epochs
    costs = Costs((0.5, 0.01), end=2.0, look=0.3, score=30.0, finish=7.0)
    ends = [2, 5, 8, 11, 14, 17, 20]
    assert list(plan.ends()) == ends and [epoch for epoch in ends if plan.due(epoch, 6)] == [8, 14, 20]
    config = with_length(steps=2000).replace({"score_every": 6})
    assert costs.of(plan, config) == pytest.approx(200 * 0.5 + 1800 * 0.01 + 7 * (2 + 0.3) + 3 * 30 + 7)
    for steps, looks in ((250, 1), (40, 0)):  # saved at the end only, and looked at if that is after 100 steps
        brief = Plan.of([stage()], 50, 1, 1, steps)
        assert Costs((0.0,), look=0.3).of(brief, with_length(steps=steps)) == pytest.approx(looks * 0.3)


def test_a_budget_without_room_for_a_step_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "measured", lambda training, stop: Costs((4.0,), end=2.0, finish=40.0))
    with pytest.raises(InputError, match="--budget 30s is too short: .* a step 4 s, .* pass --budget 1m or more"):
        fit(tmp_path / "run", with_length(budget="30s"))
    assert not (tmp_path / "run").exists()


def test_a_stop_while_it_is_measured_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "LEAST", 60.0)
    training = Training(MODEL, with_length(budget="10m"), RunFolder("run"), array=DATA[0], labels=DATA[1])
    with pytest.raises(KeyboardInterrupt, match="stopped while its speed was measured"):
        budget.planned_steps(training, time.perf_counter(), lambda: True)
    assert not Path("run").exists()


# Settings.


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"epochs": 3, "steps": 5}, "--steps and --epochs are two lengths of one run: pass one of them"),
        ({"epochs": 3, "budget": "5m"}, "--budget and --epochs are two lengths"),
        ({"steps": 3, "budget": "5m"}, "--budget and --steps are two lengths"),
        ({"steps": 0}, "--steps is 0; it must be 1 or more"),
        ({"budget": "5"}, "--budget is '5'; it must be a time of 10 seconds or more, such as 90s, 5m or 1h30m"),
        ({"budget": "9s"}, "--budget is '9s'; it must be a time"),
        ({"budget": "5 min"}, "--budget is '5 min'; it must be a time"),
        ({"budget": ""}, "--budget is ''; it must be a time"),
        ({"budget": 300}, "--budget is 300; it must be text or None"),
    ],
)
def test_lengths_that_are_none_or_two_are_refused(given: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        cf.train(MODEL, DATA[0], out=tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_the_command_refuses_two_lengths(command) -> None:
    outcome = command("train", MODEL, "--data", "mnist5k", "--epochs", "10", "--steps", "5")  # 10 is the default, too
    assert outcome.code == 2 and outcome.err.count("\n") == 1 and "two lengths of one run" in outcome.err


def test_a_length_takes_the_place_of_the_one_before() -> None:
    base = MODELS[MODEL].settings
    assert base.length == ("epochs", 10)
    budgeted = base.replace({"steps": 5}).replace({"budget": "300s"})
    assert budgeted.length == ("budget", "5m") and budgeted.steps is None
    assert replace(budgeted, steps=7).replace({"lr": 0.1}).steps == 7
    assert budgeted.replace({"epochs": 3}).length == ("epochs", 3)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h1s", 3601), (" 2H ", 7200), ("100m", 6000)]
)
def test_durations(text: str, seconds: int) -> None:
    assert durations.seconds(text) == seconds and durations.seconds(durations.spelled(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "m", "5", "m5", "1m1h", "-5m", "1.5h", "5m 3s", "5min"])
def test_what_is_no_duration(text: str) -> None:
    assert durations.seconds(text) is None


def test_a_models_length_in_a_grid_takes_the_place_of_the_common_one(tmp_path: Path) -> None:
    grid = 'models = ["gan", "vae"]\ndata = "mnist5k"\n[train]\nepochs = 3\n[train.gan]\nbudget = "5m"\n'
    (tmp_path / "grid.toml").write_text(grid)
    assert [member.config.length for member in read_grid(tmp_path / "grid.toml").members] == [
        ("budget", "5m"),
        ("epochs", 3),
    ]
    (tmp_path / "grid.toml").write_text(grid + "steps = 9\n")
    with pytest.raises(InputError, match="two lengths"):
        read_grid(tmp_path / "grid.toml")


def test_seeds_of_one_budget_are_one_row() -> None:
    records = [fake_record("gan", seed, 10.0 + seed) for seed in (0, 1)]
    for record, steps in zip(records, (900, 950), strict=True):
        record["config"] |= {"epochs": 2, "steps": steps, "budget": "5m"}
    (table,), _ = tables(records)
    (row,) = table["rows"]
    assert row["label"] == "gan" and table["shared_settings"] == {"budget": "5m"} and row["seeds"] == [0, 1]


# What is said before.


def said(capsys, **length: object) -> str:
    config = with_length(**length)
    for _ in fitting(MODEL, config, RunFolder("run"), array=DATA[0], labels=DATA[1]):
        pass
    return capsys.readouterr().err


def test_a_run_of_few_steps_says_so_and_what_to_do(capsys) -> None:
    told = said(capsys, epochs=2)
    assert f"this run is {2 * STEPS} steps (2 epochs), and good images need thousands" in told
    assert ": --steps 5000" in told


@pytest.mark.parametrize(("color", "changes"), [(False, "translation,cutout"), (True, "color,translation,cutout")])
def test_a_gan_of_few_images_says_what_helps(color: bool, changes: str, tmp_path: Path, capsys) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 3 if color else 1, 28, 28), np.uint8)
    small = {"encoder_width": 8, "decoder_width": 8, "batch_size": 20, "steps": 1}
    for name, more, said in (("gan", {}, True), ("gan", {"augment": "cutout"}, False), ("vae", {}, False)):
        cf.train(name, images, **small, **more, out=tmp_path / f"{name}{len(more)}")
        line = f"40 images are few for gan, which may learn them by heart: --augment {changes} --ema 0.999\n"
        assert (line in capsys.readouterr().err) == said


@pytest.mark.parametrize(("ema", "average"), [(0.0, " --ema 0.999"), (0.9, "")])
def test_few_images_and_few_steps_are_one_line_with_all_that_helps(ema: float, average: str, tmp_path: Path) -> None:
    images = np.zeros((40, 1, 28, 28), np.uint8)
    config = MODELS["gan"].settings.replace({"data": "array", "epochs": 3, "batch_size": 20, "ema": ema})
    training = Training("gan", config, RunFolder(tmp_path / "run"), array=images)
    assert list(notes.before(training)) == [
        "this run is 6 steps (3 epochs), and good images need thousands; 40 images are few for gan, which may learn "
        f"them by heart: --steps 5000 --augment translation,cutout{average}"
    ]


FALLING = {"lr_decay": 1.0, "schedule": "linear"}
CONVENIENT = {"data": "array", "encoder_width": 8, "decoder_width": 8, "batch_size": 20}


def few_images(channels: int = 1, n: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, channels, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("name", "given", "channels", "differs"),
    [
        ("gan", {}, 1, {"steps": 5000, "augment": "translation,cutout", "ema": 0.999}),
        ("gan", {}, 3, {"steps": 5000, "augment": "color,translation,cutout", "ema": 0.999}),
        ("sngan", {}, 3, {"steps": 5000, "augment": "translation"}),  # which averages by itself
        ("gan", {"augment": "none"}, 1, {"steps": 5000, "ema": 0.999}),
        ("gan", {"ema": 0.9}, 1, {"steps": 5000, "augment": "translation,cutout"}),
        ("gan", {"augment": "flip"}, 1, {"steps": 5000}),
        ("vae", {}, 1, {"steps": 5000}),
        ("gan", {"epochs": 10}, 1, {}),  # even if it is the recipe's own
        ("gan", {"steps": 7}, 1, {}),
        ("gan", {"budget": "90s"}, 1, {}),
        ("dcgan-tuned", {"budget": "90s"}, 1, FALLING),
        ("dcgan-tuned", {"budget": "90s", "lr_decay": 0.5}, 1, {}),
        ("dcgan-tuned", {"budget": "90s", "schedule": "cosine"}, 1, {}),
        ("dcgan-tuned", {"ema": 0.9, "augment": "flip"}, 1, {"steps": 5000, **FALLING}),
        ("dcgan-tuned", {"epochs": 3}, 1, {}),
    ],
)
def test_what_few_images_and_budgets_get(name, given, channels, differs, tmp_path: Path) -> None:
    """With what helps a GAN, except what the user gave."""
    config = MODELS[name].settings.replace({**CONVENIENT, **given})
    run = RunFolder(tmp_path / "run")
    training = Training(name, config, run, array=few_images(channels), given=[*CONVENIENT, *given])
    assert training.chosen == differs
    found, before = training.config.to_dict(), config.to_dict()
    epochs, _ = found.pop("epochs"), before.pop("epochs")
    assert found == {**before, **differs} and (epochs == 2500 or "steps" not in differs)  # of two steps each


def test_the_same_command_goes_on_with_what_was_chosen_and_no_other_does(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(few, "STEPS", 4)
    images, config = few_images(), MODELS["gan"].settings.replace(CONVENIENT)

    def training(folder: str, more: dict[str, Any], data: np.ndarray = images) -> Training:
        changed, given = config.replace(more), [*CONVENIENT, *more]
        return Training("gan", changed, RunFolder(tmp_path / folder), array=data, given=given)

    list(training("whole", {}).events())
    begun: list[object] = []
    for event in training("run", {}).events(lambda: len(begun) > 2):
        begun.append(event)
    for other in ({"augment": "flip"}, {"ema": 0.5}, {"steps": 9}, {"lr": 0.1}):
        with pytest.raises(RunError, match="contains another run"):
            training("run", other)
    rest = list(training("run", {}).events())
    assert isinstance(rest[0], trainer.Resumed) and not isinstance(rest[-1], trainer.Stopped)
    assert_equal(tmp_path / "whole", tmp_path / "run")

    begun.clear()  # one that another command has begun, whose own choice this would have been
    for event in training("flipped", {"augment": "flip"}).events(lambda: len(begun) > 2):
        begun.append(event)
    with pytest.raises(RunError, match="contains another run"):
        training("flipped", {})


def test_a_decay_by_epochs_does_not_outlive_them(six_steps: None, tmp_path: Path) -> None:
    """By a budget, the rates of a recipe that decays by epochs fall on a line; the same command goes on so."""
    config = with_length(budget="10s").replace({"lr_decay": 0.5})
    fitted = partial(fitting, MODEL, config, RunFolder(tmp_path / "run"), quiet=True, array=DATA[0], labels=DATA[1])
    with closing(fitted(given=["budget"])) as events:
        for event in events:
            if isinstance(event, EpochEnded):
                break
    list(fitted(given=["budget"]))
    fit(tmp_path / "steps", with_length(steps=6).replace({"schedule": "linear"}))
    assert_equal(tmp_path / "steps", tmp_path / "run")
    with pytest.raises(RunError, match="contains another run"):
        list(fitted(given=["budget", "lr_decay"]))


def test_the_help_says_what_few_images_get(command) -> None:
    told = " ".join(command("train", "gan", "--help").out.replace("│", " ").split())
    assert f"Of fewer than {few.IMAGES:,} images, the default is {few.STEPS:,} --steps in place of epochs" in told


def test_many_images_keep_the_recipe(tmp_path: Path) -> None:
    config = MODELS["gan"].settings.replace(CONVENIENT)
    images = np.zeros((5000, 1, 8, 8), np.uint8)
    assert not Training("gan", config, RunFolder(tmp_path / "run"), array=images, given=CONVENIENT).chosen


def test_a_run_of_few_images_says_what_it_is_and_goes_on_so(tmp_path: Path, monkeypatch, capsys, command) -> None:
    """By keyword and by command, whose runs are the same."""
    monkeypatch.setattr(few, "STEPS", 3)
    np.savez(tmp_path / "few.npz", images=few_images())
    small = {name: value for name, value in CONVENIENT.items() if name != "data"}
    options = [word for name, value in small.items() for word in (f"--{name.replace('_', '-')}", value)]
    run = cf.train("gan", tmp_path / "few.npz", out=tmp_path / "one", **small)
    said = "40 images are few, so this run has --steps 3 --augment translation,cutout --ema 0.999: give --epochs to"
    assert said in capsys.readouterr().err and run.config.steps == 3
    shown = command("train", "gan", "--data", tmp_path / "few.npz", "--out", tmp_path / "two", *options)
    assert shown.code == 0 and said in shown.err
    assert_equal(tmp_path / "one", tmp_path / "two")
    further = cf.train("gan", out=tmp_path / "one", resume=True, steps=4).config
    assert (further.steps, further.augment, further.ema) == (4, "translation,cutout", 0.999)


def test_who_asks_for_few_steps_knows_it(capsys) -> None:
    told = said(capsys, steps=4)
    assert "thousands" not in told and "step 4/4 (epoch 2)  d_loss" in told


def test_a_budget_says_what_it_planned_and_used(six_steps: None, capsys) -> None:
    told = said(capsys, budget="10s")
    assert "--budget 10s: 6 steps of 1,400 ms, 2 epochs, which with all else take " in told
    assert "--budget 10s: planned 9 seconds, used " in told.splitlines()[-1]


def test_a_large_model_says_what_it_takes() -> None:
    with torch.device("meta"):
        model = torch.nn.Linear(10_000, 19_000, bias=False)
    assert notes.cost_of(model, False) == (
        "190 million weights: they take 5.7 GiB of memory, beside that of a batch, and 2.1 GiB of disk, twice that "
        "while a checkpoint is replaced"
    )
    assert notes.cost_of(torch.nn.Linear(10, 10), True) == ""


def test_a_model_that_does_not_fit_is_refused_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what a checkpoint takes while it is written."""
    spec, config = MODELS[MODEL], MODELS[MODEL].settings
    with torch.device("meta"):
        model = spec.build(config, SHAPES[0], 0)
    needed = memory.in_training(model, False) + memory.in_saving(model)
    cpu = torch.device("cpu")
    monkeypatch.setattr(memory, "available", lambda: needed)
    checks.check_fits(spec, config, SHAPES[0], 10, cpu)
    monkeypatch.setattr(memory, "available", lambda: needed - 1)
    with pytest.raises(InputError, match="would take .* of memory, and there is .*: lower .* or --size"):
        checks.check_fits(spec, config, SHAPES[0], 10, cpu)


def test_a_long_run_is_foretold_once_its_speed_is_known() -> None:
    forecast, found = notes.Forecast(), []
    for step in range(1, 30):  # the first step takes a minute, those after it a second
        found.append(forecast.after(step, 3603, 60.0 + step))
    (line,) = [one for one in found if one]
    assert "this takes about 60 minutes here" in line and found.index(line) == 12
    short = notes.Forecast()
    assert not any(short.after(step, 1000, float(step)) for step in range(1, 30))


def test_a_checkpoint_takes_no_more_memory_than_is_counted(tmp_path: Path) -> None:
    """The largest group is held once for each tensor and once as a file."""
    config = MODELS["vae"].settings.replace({"data": "array", "steps": 1})
    images = np.zeros((128, 1, 28, 28), np.uint8)
    training = Training("vae", config, RunFolder(tmp_path / "run"), array=images)
    for _ in training.events():
        pass
    largest = max(path.stat().st_size for path in (tmp_path / "run/checkpoint").glob("*.safetensors"))
    assert memory.in_saving(training.model) == pytest.approx(2 * largest, rel=0.02)
