"""That `check_model` lets pass what keeps the contract, and finds and names what breaks it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterfeit.models import Sampling
from counterfeit.settings import setting
from counterfeit.testing import check_model
from toy_cases import TOYS, Toy, registered, spec_of


@pytest.mark.parametrize("kind", TOYS)
def test_a_toy_is_a_model(kind: type[Toy]) -> None:
    with registered(spec_of(kind)):
        check_model(kind.__name__.lower())


class Unowned(Toy):
    def networks(self):
        return {"net": self.net}


class Shared(Toy):
    def networks(self):
        return {"net": self.net, "both": self}


class Twice(Toy):
    """Has a part by two names, of which no checkpoint can be made."""

    def __init__(self, settings, shape) -> None:
        super().__init__(settings, shape)
        self.all = nn.ModuleList([self.net, self.back])


class Vector(Toy):
    def step(self, batches, update, rng, progress):
        super().step(batches, update, rng, progress)
        return {"loss": batches[0].x.flatten(1).mean(1)}


class Infinite(Toy):
    def step(self, *given):
        return {**super().step(*given), "ratio": torch.tensor(1.0) / 0}


class Behind(Toy):
    """Moves weights of a network that it does not update."""

    def networks(self):
        return {"net": self.net, "back": self.back}

    def step(self, batches, update, rng, progress):
        loss = self.loss(batches[0].x, rng)
        update("net", loss)
        with torch.no_grad():
            self.back.weight.mul_(0.9)
        return {"loss": loss}


class Never(Behind):
    """Has a network that nothing updates."""

    def step(self, batches, update, rng, progress):
        loss = self.loss(batches[0].x, rng)
        update("net", loss)
        return {"loss": loss}


class Unknown(Toy):
    def step(self, batches, update, rng, progress):
        update("generator", self.loss(batches[0].x, rng))
        return {}


class Apart(Toy):
    """Has a loss that does not depend on all weights."""

    def step(self, batches, update, rng, progress):
        loss = self.net(batches[0].x.flatten(1)).mean()
        update("both", loss)
        return {"loss": loss}


class TooBright(Toy):
    def sample(self, n, y, rng, options):
        return 2 * super().sample(n, y, rng, options)


class Alike(Toy):
    def sample(self, n, y, rng, options):
        return super().sample(1, y, rng, options).expand(n, *self.shape)


class OwnNoise(Toy):
    def sample(self, n, y, rng, options):
        return torch.rand(n, *self.shape)


class NotDecoded(Toy):
    """Says that it has latents, and samples otherwise."""

    latent_shape = (6,)

    def noise(self, n, rng):
        return rng.normal(n, 6)

    def decode(self, z, y=None, options=None):
        return self.back(z).view(len(z), *self.shape).sigmoid()


class Forgetful(Toy):
    """Counts steps where no checkpoint sees it."""

    steps = 0

    def step(self, batches, update, rng, progress):
        self.steps += 1
        loss = self.loss(batches[0].x, rng) * self.steps
        update("both", loss)
        return {"loss": loss}


class GlobalNoise(Toy):
    def loss(self, x: Tensor, rng) -> Tensor:
        return (self.clean(x + torch.randn_like(x)) - x).square().mean()


class NoMean(Toy):
    """A loss of the whole batch that no mean over its parts gives."""

    def loss(self, x: Tensor, rng) -> Tensor:
        return super().loss(x, rng) + self.net(x.flatten(1)).std(0).mean()


class Summed(Toy):
    """Tells a loss that is a sum over rows."""

    def step(self, batches, update, rng, progress):
        loss = self.loss(batches[0].x, rng)
        update("both", loss)
        return {"loss": loss * len(batches[0].x)}


class Maximum(Toy):
    """A buffer that follows the images by what is no mean over rows."""

    brightest: Tensor

    def __init__(self, settings, shape) -> None:
        super().__init__(settings, shape)
        self.register_buffer("brightest", torch.zeros(shape))

    def step(self, batches, update, rng, progress):
        self.brightest.copy_(batches[0].x.amax(0))
        return super().step(batches, update, rng, progress)


class Unseeded(Toy):
    def __init__(self, settings, shape) -> None:
        super().__init__(settings, shape)
        self.net.bias = nn.Parameter(torch.from_numpy(np.random.standard_normal(6)).float())


class Termed(Toy):
    def terms(self, x, y, rng):
        return {"error": (self.clean(x) - x).square().flatten(1).mean(1)}


class Averaged(Termed):
    def terms(self, x, y, rng):
        return {name: term.mean() for name, term in super().terms(x, y, rng).items()}


class Counting(Termed):
    """Moves what it keeps, whoever asks."""

    def __init__(self, settings, shape) -> None:
        super().__init__(settings, shape)
        self.register_buffer("asked", torch.zeros(()))

    def terms(self, x, y, rng):
        self.asked += 1
        return super().terms(x, y, rng)


class Termless(Termed):
    def terms(self, x, y, rng):
        return {}


@dataclass(frozen=True)
class Hiding(Sampling):
    """Options of sampling, one of which is called as the command's own."""

    seed: int = setting(0)
    """A second seed."""


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Unowned, "the parameter back.weight is of no network; networks.. must give each to one"),
        (Shared, "the parameter net.weight is of the networks net and both"),
        (Twice, "net.weight and all.0.weight are one tensor; a part of the model has one name"),
        (Unseeded, "one seed gives different weights"),
        (Vector, "training gives the loss 'loss' as tensor.*; give finite scalars"),
        (Infinite, "training gives the loss 'ratio' as inf"),
        (Behind, r"a step of training updates \['net'\] and moves \['back', 'net'\]"),
        (Never, r"nothing updates \['back'\]; keep such weights in buffers"),
        (Unknown, r"update\('generator', …\) names no network; networks\(\) has \['both'\]"),
        (Apart, r"no gradients for update\('both', …\) .*; its loss must depend on all its weights"),
        (TooBright, r"4 samples are \(4, 1, 28, 28\) from 0.* to 1.*; they must be \(4, 1, 28, 28\) from 0 to 1"),
        (Alike, "all samples are one image"),
        (OwnNoise, "the same seed gives other samples the second time; every random number must come from rng"),
        (Averaged, r"the term 'error' is \(\) or not finite; give one number per image"),
        (Counting, "terms.. changes asked; in evaluation mode it must change nothing"),
        (Termless, "terms.. gives none"),
        (NotDecoded, r"decode\(noise\(\)\) is not sample\(\)"),
        (Forgetful, "a run that was stopped and continued has another model/"),
        (GlobalNoise, "a run that was stopped and continued has another model/"),
        (NoMean, "two processes move both otherwise than one, by 0.*; losses must be means over rows"),
        (Summed, "two processes have loss .* at step 1, one "),
        (Maximum, "two processes have another brightest than one"),
    ],
)
def test_what_breaks_the_contract_is_found_and_said(kind: type[Toy], says: str) -> None:
    with registered(spec_of(kind)), pytest.raises(AssertionError, match=f"^{kind.__name__.lower()}: {says}"):
        check_model(kind.__name__.lower())


class Quiet(Toy):
    pass


def test_an_option_of_sampling_may_not_hide_one_of_a_command() -> None:
    with registered(spec_of(Quiet, sampling=Hiding())), pytest.raises(AssertionError, match="--seed is one of a comm"):
        check_model("quiet")
