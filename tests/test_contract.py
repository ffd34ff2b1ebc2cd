"""What the contract allows and no named model does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import counterfeit as cf
from counterfeit import sampling
from counterfeit.cli import options
from counterfeit.models import MODELS, ModelSettings, Sampling, register
from counterfeit.models.base import Batch, Losses, Update
from counterfeit.models.build import build
from counterfeit.models.spec import OF_SAMPLE, OF_TRAIN
from counterfeit.nets import Shape
from counterfeit.runs import RunFolder, load_checkpoint
from counterfeit.settings import InceptionSettings, ScoreConfig
from counterfeit.system.distributed import ALONE
from counterfeit.system.noise import Noise
from counterfeit.training.loop import Logged, Stepped, Stopped, run_steps
from counterfeit.training.state import State
from counterfeit.training.trainer import Training
from processes_cases import One
from toy_cases import TOYS, Sometimes, ThreeBatches, Toy, ToySettings, TwoStages, registered, spec_of

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8)


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with registered(*map(spec_of, TOYS)):
        yield


def state_of(kind: type[Toy], **settings: Any) -> tuple[State, ToySettings]:
    spec = spec_of(kind)
    config = spec.settings.replace({"batch_size": 4, "epochs": 1, **settings})
    return State.fresh(build(spec, config, (1, 8, 8), 0), config, CPU), config


def test_a_registered_toy_leaves_no_trace() -> None:
    with registered(spec_of(Sometimes)):
        assert "sometimes" in MODELS
    assert "sometimes" not in MODELS and "toy" in MODELS


# ------------------------------------------------------------------------------------------------------- several stages


@pytest.mark.parametrize("name", ["twostages", "threebatches"])
def test_stops_and_kills_within_and_between_stages_go_on_to_the_bit(name: str, tmp_path: Path) -> None:
    """Of two stages, 10 and 5 steps, five an epoch. A kill keeps what the last epoch's end has saved."""
    batch_size = {"twostages": 8, "threebatches": 2}[name]
    settings = {"epochs": 3, "batch_size": batch_size, "ema": 0.9, "lr_decay": 0.5, "warm_up": 3, "log_every": 2}
    whole = cf.train(name, IMAGES, out=tmp_path / "whole", quiet=True, **settings)
    config = MODELS[name].settings.replace({"data": "array", **settings})
    per_epoch = 5 if name == "twostages" else 6
    begun = False
    for end, killed in ((3, False), (per_epoch + 2, True), (2 * per_epoch, False), (2 * per_epoch + 2, False)):
        done: list[int] = []
        training = Training(name, config, RunFolder(tmp_path / "parts"), resume=begun, array=IMAGES)
        events = training.events(lambda seen=done, end=end: not killed and end in seen)  # noqa: B023
        for event in events:
            if isinstance(event, Stepped):
                done.append(event.step)
                if killed and event.step == end:
                    events.close()
                    break
        begun = True
        assert done[-1] == end and (killed or event == Stopped(end))
        if name == "twostages" and end == 2 * per_epoch:
            kept = load_checkpoint(tmp_path / "parts/checkpoint", ("training",))["training"]
            assert (kept["coder.steps"], kept["prior.steps"]) == (end, 0)
    parts = cf.train(name, IMAGES, out=tmp_path / "parts", resume=True, quiet=True)
    one, two = (load_checkpoint(run.path / "checkpoint", ("model", "training", "ema")) for run in (whole, parts))
    for group, tensors in one.items():
        assert all(torch.equal(tensor, two[group][key]) for key, tensor in tensors.items()), group
    assert np.array_equal(whole.sample(20), parts.sample(20))
    assert [row.get("epoch") for row in whole.log][-1] == 3


def test_a_stage_moves_its_own_networks_and_is_told_how_far_it_is(monkeypatch) -> None:
    state, config = state_of(TwoStages, epochs=3)
    told: list[tuple[str, float]] = []
    for method in ("of_images", "of_codes"):
        step = getattr(TwoStages, method)

        def noted(self, batches, update, rng, progress, step=step, method=method):
            told.append((method, progress.item()))
            return step(self, batches, update, rng, progress)

        monkeypatch.setattr(TwoStages, method, noted)
    before = {key: value.clone() for key, value in state.model.state_dict().items()}
    events = run_steps(state, torch.from_numpy(IMAGES), None, config)
    for event in events:
        if isinstance(event, Stepped) and event.step in (20, 30):  # ten an epoch
            moved = {key for key, value in state.model.state_dict().items() if not torch.equal(value, before[key])}
            assert {key.partition(".")[0] for key in moved} == (
                {"net", "back"} if event.step == 20 else {"prior", "mean"}
            )
            before = {key: value.clone() for key, value in state.model.state_dict().items()}
    wanted = [("of_images", i / 20) for i in range(20)] + [("of_codes", i / 10) for i in range(10)]
    assert [method for method, _ in told] == [method for method, _ in wanted]
    assert [share for _, share in told] == pytest.approx([share for _, share in wanted], rel=1e-6)  # float32


def test_a_run_that_is_too_short_for_its_stages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(cf.InputError, match="--epochs is 2, and the stages before the prior take 2: pass 3 or more"):
        cf.train("twostages", IMAGES, out=tmp_path / "run", epochs=2, batch_size=8, quiet=True)
    assert not (tmp_path / "run").exists()


def test_fresh_batches_are_fresh(monkeypatch) -> None:
    """40 images of value i, three batches of 2 a step: 6 steps an epoch, in which no image comes twice."""
    state, config = state_of(ThreeBatches, epochs=2, batch_size=2)
    images = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(40, 1, 8, 8)
    shown: list[list[int]] = []
    step = ThreeBatches.step

    def noted(self, batches, *rest):
        assert [len(batch.x) for batch in batches] == [2, 2, 2]
        shown.append([int(v) for batch in batches for v in (batch.x[:, 0, 0, 0] * 255).round()])
        return step(self, batches, *rest)

    monkeypatch.setattr(ThreeBatches, "step", noted)
    events = list(run_steps(state, images, None, config))
    assert len(shown) == 12 and sum(isinstance(event, Stepped) for event in events) == 12
    for epoch in (shown[:6], shown[6:]):
        assert len({image for row in epoch for image in row}) == 36
    assert shown[:6] != shown[6:]


# --------------------------------------------------------------------------------------------------------------- losses


def test_losses_that_some_steps_have_are_means_over_those(tmp_path: Path) -> None:
    """Ten steps, a row every four: `first` is of step 0, `odd` of 1, 3, …, `later` of 6 and on."""
    state, config = state_of(Sometimes, log_every=4)
    rows = [e for e in run_steps(state, torch.from_numpy(IMAGES), None, config) if isinstance(e, Logged)]
    assert [row.step for row in rows] == [4, 8, 10]
    found = [{name: value for name, value in row.losses.items() if name != "loss"} for row in rows]
    assert found == [{"first": 0, "odd": 2}, {"odd": 6, "later": 6.5}, {"odd": 9, "later": 8.5}]
    assert all("loss" in row.losses for row in rows)
    with registered(spec_of(Sometimes)):
        run = cf.train("sometimes", IMAGES, out=tmp_path / "run", epochs=1, batch_size=4, log_every=4, quiet=True)
    assert [{"first", "odd", "later"} & row.keys() for row in run.log] == [set(row) for row in found]


# -------------------------------------------------------------------------------------------------------------- samples


def test_samples_without_latents_depend_on_neither_batch_nor_processes() -> None:
    """The blocks of 300 samples, shared out over several processes, are those that one makes."""
    state, _ = state_of(Toy)
    model, options = state.model.eval(), Sampling()

    def drawn(n: int, batch_size: int, group=ALONE) -> np.ndarray:
        return np.concatenate(list(sampling.samples(model, n, 7, None, batch_size, options, group)))

    whole = drawn(300, 300)
    for batch_size in (1, 7, 128, 130):
        assert np.array_equal(drawn(300, batch_size), whole)
    assert np.array_equal(drawn(130, 50), whole[:130]), "fewer are the first of more"
    assert len(np.unique(whole, axis=0)) == 300, "blocks have noise of their own"
    for world in (2, 3):
        for rank, rows in enumerate(One(0, world).shares(300, sampling.BLOCK)):
            assert np.array_equal(drawn(300, 50, One(rank, world)), whole[rows])


def test_what_has_no_latents_says_so(tmp_path: Path) -> None:
    run = cf.train("toy", IMAGES, out=tmp_path / "run", epochs=1, batch_size=8, quiet=True)
    for ask in (lambda: run.noise(3), lambda: run.decode(np.zeros((2, 6), np.float32))):
        with pytest.raises(cf.InputError, match="toy has no latents that decide its images: use "):
            ask()
    with pytest.raises(cf.InputError, match="toy has no encoder"):
        run.encode(IMAGES[:2])


class Silent(Toy):
    """Has a loss in every seventh step only, by a count that it keeps."""

    def __init__(self, settings: ToySettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        self.steps += 1
        return super().step(batches, update, rng, progress) if self.steps % 7 == 0 else {}


def test_steps_without_losses_have_no_row_and_updates_may_be_rare(tmp_path: Path) -> None:
    """A network that only some steps move is continued as it is."""
    images = np.random.default_rng(0).integers(0, 256, (64, 1, 8, 8), np.uint8)
    settings = {"quiet": True, "batch_size": 4, "log_every": 2, "device": "cpu"}
    with registered(spec_of(Silent)):
        name = "silent"
        whole = cf.train(name, images, epochs=2, out=tmp_path / "whole", **settings)
        cf.train(name, images, epochs=1, out=tmp_path / "parts", **settings)
        parts = cf.train(name, images, epochs=2, out=tmp_path / "parts", resume=True, **settings)
        assert [row["step"] for row in whole.log] == [8, 14, 22, 28]
        assert whole.weights_sha256 == parts.weights_sha256


@pytest.mark.parametrize("column", ["epoch", "step", "images_per_s", "test_loss"])
def test_a_loss_has_no_name_of_a_column_of_the_log(column: str, tmp_path: Path) -> None:
    class Named(Toy):
        def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
            return {column: super().step(batches, update, rng, progress)["loss"]}

    images = np.zeros((8, 1, 8, 8), np.uint8)
    with registered(spec_of(Named)), pytest.raises(cf.InputError, match=f"calls a loss '{column}'"):
        cf.train("named", images, epochs=1, out=tmp_path / "run", quiet=True, batch_size=4)


def test_samples_that_are_not_numbers_are_refused() -> None:
    class Broken(Toy):
        def sample(self, n: int, y: Tensor | None, rng: Noise, options: Any) -> Tensor:
            return super().sample(n, y, rng, options) * torch.nan

    model = Broken(ToySettings(), (1, 8, 8))
    with pytest.raises(cf.InputError, match="not finite"):
        list(sampling.samples(model, 2, 0, None, 2, Sampling()))


@pytest.mark.parametrize("name", ["../x", "a b", "", "-x"])
def test_a_name_of_a_model_is_that_of_a_folder_too(name: str) -> None:
    with pytest.raises(cf.InputError, match="is no name for a model"):
        register(replace(next(iter(MODELS.values())), name=name))


def test_options_of_the_commands_are_no_settings() -> None:
    """The names that a model may not take are those that the commands have."""
    of_train = {field.name for field in fields(options.Train)} - {"training"}
    drawing = [options.Sample, options.Score, options.Cas, options.Export, ScoreConfig, InceptionSettings]
    assert of_train == OF_TRAIN
    assert {field.name for kind in drawing for field in fields(kind)} == OF_SAMPLE

    @dataclass(frozen=True)
    class Out(ModelSettings):
        out: str = "x"

    with pytest.raises(cf.InputError, match="Out has a field 'out', which is an option of the commands: rename it"):
        register(replace(next(iter(MODELS.values())), name="other", settings=Out()))


def test_a_setting_of_every_run_keeps_its_meaning() -> None:
    @dataclass(frozen=True)
    class Diffusion(ModelSettings):
        epochs: int = 20
        steps: int = 1000  # type: ignore[assignment]

    with pytest.raises(cf.InputError, match="has a field 'steps', which every run has as a whole number or None"):
        register(replace(next(iter(MODELS.values())), name="other", settings=Diffusion()))
