"""What goes wrong in training without an error, asked at the ends of epochs; the words for it are in runs/troubles.py.

Each question is one of a capability. The thresholds stand between what short healthy runs of every model measured and
what planted failures did (docs/runs.md has the numbers), nearer to the failures: a false alarm costs more trust than a
late one. Nothing here draws from the training's random numbers, or moves a weight.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from counterfeit.data.pixels import to_float
from counterfeit.models.base import HasCodebook, HasPosterior, HasTerms, Judges, Model
from counterfeit.runs import troubles
from counterfeit.runs.log import Json
from counterfeit.sampling import BLOCK, device_of
from counterfeit.system.noise import Noise
from counterfeit.training.sample_grids import shown_of

LOOKED_AT = 256  # images of a set that a model is asked about: a hundredth of the work of 100 steps
STEPS = 100  # before the first look, and between two
GROWN = 1000  # steps before samples that are alike are a trouble: all generators begin so
WON = 0.02  # of a guess's loss: healthy judges had 0.45 to 2.1, those that had won 0.003 or less
WON_EARLY = (
    0.005  # before GROWN steps: a generator is late at first, and hinge losses of healthy judges went down to 0.05
)
DIVERGES = 10.0  # times a guess's loss: with a rate 100 times too large 24 and more
ALIKE = 0.05  # of the distance from a training image to the nearest other one
ROUGH = 2.5  # times the differences between neighboring pixels in training images
STRANGE = 2.0  # of the distance from a training image to the nearest other one, from a sample to the nearest image
TELLS = 0.01  # nats of a latent's mean KL, or it says nothing of an image
DEAD = 0.05  # of an even share, or a code is not in use
APART = 0.3  # standard deviations of an image's loss, from training to test images: at most 0.21 in healthy runs
SURELY = 2.0  # standard errors by which it must be more
WORSE = 0.01  # of the loss, which is the least that matters where images are nearly alike
ENOUGH = 50  # images of either kind, or their mean loss says little
IN_USE = 0.25  # of all codes: below, a codebook of a quarter's size would hold the same
SIDE = 32  # pixels to which larger images are reduced before they are compared

Found = tuple[str, Json]
Examples = tuple[np.ndarray, np.ndarray | None]  # images, and labels for a model that takes some


def is_due(before: int, step: int) -> bool:
    """Whether to look at the end of an epoch that began after `before` steps: at most once in STEPS steps.

    By the steps alone, so that a run that is continued says what an uninterrupted one does.
    """
    return before // STEPS < step // STEPS


@torch.no_grad()
def diagnosed(
    model: Model,
    train: Examples,
    test: Examples | None,
    samples: np.ndarray | None,
    step: int,
    known: Collection[str],
    seed: int,
) -> dict[str, Json]:
    """What is wrong: kinds of `troubles.KINDS` with their numbers.

    Args:
        model: in evaluation mode, as it is trained, after `step` steps.
        train: some training images, uint8 (N, C, H, W), as many as LOOKED_AT where there are, and their labels,
            int64 (N,), or None for a model that takes none.
        test: likewise of the test set; None where there is none, or it is not to be asked about.
        samples: of the model, uint8 (M, C, H, W), or None.
        known: kinds that were found earlier in the run.
        seed: of the noise that is asked with.
    """
    found = dict(_seen(model, train, test, step, seed))
    explained = {*known, *found} - {troubles.OVERFITTING}
    if samples is not None and step >= GROWN and not explained:
        images, _ = train
        found |= dict(_seen_in(samples, images[shown_of(len(images), min(len(samples), len(images)))]))
    return found


def _seen_in(samples: np.ndarray, images: np.ndarray) -> Iterator[Found]:
    """What samples say, beside training images."""
    if (share := variety(samples, images)) < ALIKE:
        yield troubles.MODE_COLLAPSE, {"variety": share}
    elif (times := roughness(samples, images)) > ROUGH:
        yield troubles.NOISE, {"roughness": times}
    elif (distance := strangeness(samples, images)) > STRANGE:
        yield troubles.FAR, {"distance": distance}


def _seen(model: Model, train: Examples, test: Examples | None, step: int, seed: int) -> Iterator[Found]:
    """What the model itself says, by what it can be asked for."""
    device = device_of(model)
    x, y = _to_device(device, train)
    if isinstance(model, Judges):
        judged = model.judged(x, y, Noise.seeded(seed, device, "diagnosis")).item()
        if judged < (WON if step >= GROWN else WON_EARLY):
            yield troubles.HAS_WON, {"judged": judged}
        elif DIVERGES < judged < math.inf:
            yield troubles.DIVERGES, {"judged": judged}
    if isinstance(model, HasPosterior):
        active, latents = active_latents(*model.posterior(x, y))
        if active < min(2, latents):
            yield troubles.POSTERIOR_COLLAPSE, {"active": active, "latents": latents}
    if isinstance(model, HasCodebook):
        used, codes = used_codes(model.usage())
        if used < IN_USE * codes:
            yield troubles.DEAD_CODES, {"used": used, "codes": codes}
    if isinstance(model, HasTerms) and test is not None and (n := min(len(x), len(test[0]))) >= ENOUGH:
        train_losses, test_losses = (_losses(model, *both, n, seed) for both in ((x, y), _to_device(device, test)))
        error = math.sqrt(2 / n)  # of an effect size around 0
        train_loss, test_loss = train_losses.mean().item(), test_losses.mean().item()
        surely = effect_size(train_losses, test_losses) > APART + SURELY * error
        if surely and test_loss - train_loss > WORSE * abs(train_loss):
            yield troubles.OVERFITTING, {"train": train_loss, "test": test_loss}


def _to_device(device: torch.device, examples: Examples) -> tuple[Tensor, Tensor | None]:
    images, labels = examples
    x = to_float(torch.from_numpy(np.array(images)).to(device))
    return x, None if labels is None else torch.from_numpy(labels).to(device)


def _losses(model: HasTerms, x: Tensor, y: Tensor | None, n: int, seed: int) -> Tensor:
    """The loss of each of the first n images, (n,), float64; the same noise for n others."""
    rng, found = Noise.seeded(seed, x.device, "diagnosis"), []
    for start in range(0, n, BLOCK):
        part = slice(start, min(start + BLOCK, n))
        terms = model.terms(x[part], None if y is None else y[part], rng)
        found.append(torch.stack([term.cpu().double() for term in terms.values()]).sum(0))
    return torch.cat(found)


def effect_size(train: Tensor, test: Tensor) -> float:
    """How much larger the losses of test images are, in standard deviations of an image's loss; both (N,).

    Cohen's d, whose standard deviation is that of differences of pairs over root 2: the noise that both of a pair are
    asked with, such as the time of a flow, is in neither. It has no unit, and is the same for densities, whose losses
    may be negative. 0 where nothing varies.
    """
    difference = test - train
    spread = difference.std() / math.sqrt(2)
    return float(difference.mean() / spread) if spread > 0 else 0.0


def active_latents(mu: Tensor, logvar: Tensor) -> tuple[int, int]:
    """How many of the Z latents tell images apart, and Z, of posteriors' means and log variances, (B, Z) each.

    By the KL to the prior, N(0, 1), which has a unit that one can name, where Burda et al. 2016 (arXiv:1509.00519,
    section 5.3) take the variance of the means over the images, above 0.01: of the runs measured, both counted alike
    where either counted less than two.
    """
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(0)  # (Z,)
    return int((kl > TELLS).sum()), len(kl)


def used_codes(usage: Tensor) -> tuple[int, int]:
    """How many of the K codes are in use, and K; `usage` (K,) is that of `HasCodebook`."""
    shares = usage / usage.sum()
    return int((shares * len(usage) > DEAD).sum()), len(usage)


def variety(samples: np.ndarray, images: np.ndarray) -> float:
    """How far a sample is from the one nearest to it, over the same for images; uint8 (N, C, H, W) of one shape.

    Medians of Euclidean distances. 1 where samples differ as much as images do, 0 where most of them have a twin: also
    where they come from several modes, of which the mean distance between samples would know nothing (a small form of
    the birthday test of Arora & Zhang 2017, arXiv:1706.08224). 1, too, where most images have a twin themselves.
    """
    return _over(_to_nearest(samples), _to_nearest(images))


def strangeness(samples: np.ndarray, images: np.ndarray) -> float:
    """How far a sample is from the image nearest to it, over how far an image is from the nearest other image.

    Medians of Euclidean distances, of uint8 (N, C, H, W) of one shape.
    """
    return _over(_to_nearest(samples, images), _to_nearest(images))


def roughness(samples: np.ndarray, images: np.ndarray) -> float:
    """How much neighboring pixels of samples differ, in the mean, over the same for images; uint8 (N, C, H, W)."""
    return _over(_between_neighbors(samples), _between_neighbors(images))


def _over(of_samples: float, of_images: float) -> float:
    """1 where images say nothing."""
    return of_samples / of_images if of_images else 1.0


def _between_neighbors(images: np.ndarray) -> float:
    x = images.astype(np.float32)
    return float(np.abs(np.diff(x, axis=-1)).mean() + np.abs(np.diff(x, axis=-2)).mean())


def _to_nearest(images: np.ndarray, others: np.ndarray | None = None) -> float:
    """From an image to the nearest of the others, or to the nearest other one."""
    if others is None:
        apart = torch.cdist(_points(images), _points(images)).fill_diagonal_(math.inf)
    else:
        apart = torch.cdist(_points(images), _points(others))
    return float(apart.min(1).values.median())


def _points(images: np.ndarray) -> Tensor:
    """Images that are reduced to SIDE pixels where they are larger, (N, D)."""
    x = to_float(torch.from_numpy(np.array(images)))
    *_, height, width = x.shape
    return F.adaptive_avg_pool2d(x, (min(height, SIDE), min(width, SIDE))).flatten(1)
