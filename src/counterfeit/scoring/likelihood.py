"""Bounds on log p(x) of images under a VAE, in nats per image.

ELBO = -(rate + distortion), with rate = KL(q(z|x) ‖ p(z)) in closed form and distortion = E_q(z|x) -log p(x|z).
IWAE_K = E log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x): Burda et al. 2016 (arXiv:1509.00519), section 3.
The effective sample size (ESS) of an image is (Σ_k w_k)² / Σ_k w_k² of its weights w_k = p(x|z_k) p(z_k) / q(z_k|x): 1
if one sample has all the weight, K if all weights are equal. If it is tiny, the bound is loose and still rises with K.
In expectation ELBO = IWAE_1 ≤ … ≤ IWAE_K ≤ log p(x), with equality in the limit of large K. For a conditional model,
everything is conditional on the label.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterfeit.data.pixels import to_float
from counterfeit.errors import InputError
from counterfeit.models.base import Encodes, HasBound, Model
from counterfeit.models.build import able
from counterfeit.models.losses import Bernoulli, kl_standard_normal
from counterfeit.sampling import device_of
from counterfeit.scoring import Scored
from counterfeit.settings import check_count, check_seed
from counterfeit.system.console import progress

ACTIVE = 0.01  # variance over images of a posterior mean, above which a latent unit is active: Burda et al.
FEW = 10  # effective samples: if the median image has fewer (and fewer than K / 2), IWAE_K is reported as loose
ENCODED = 1000  # images encoded together


@dataclass(frozen=True)
class Nats:
    """A mean over images in nats, and its standard error (None for a single image)."""

    mean: float
    error: float | None

    @classmethod
    def of(cls, values: np.ndarray) -> Nats:
        """Mean and standard error of the values of the images, (N,)."""
        n = len(values)
        return cls(float(values.mean()), float(values.std(ddof=1) / n**0.5) if n > 1 else None)


@dataclass(frozen=True)
class Effective:
    """The effective sample size of the images' importance weights, each from 1 to K."""

    median: float
    least: float


@dataclass(frozen=True)
class Likelihood:
    """Bounds on the likelihood of images under a model, means in nats per image.

    Attributes:
        elbo: -(rate + distortion).
        rate: KL(q(z|x) ‖ p(z)): what z says about x.
        distortion: -log p(x|z) averaged over the same K samples per image: what z leaves open.
        iwae: the importance-weighted bound with K samples.
        ess: effective sample size of its weights: of the median image, and the smallest.
        k: K.
        n: number of images.
        active_units: number of latent units whose posterior mean has a variance over the images above ACTIVE.
        latent: number of latent units.
        binarized: whether every pixel was black or white.
        caution: what to know of these nats; "" if they are log probabilities of black and white images.
        receipt: which images, seeds and versions, if a run was measured; JSON types throughout.
    """

    elbo: Nats
    rate: Nats
    distortion: Nats
    iwae: Nats
    ess: Effective
    k: int
    n: int
    active_units: int
    latent: int
    binarized: bool
    caution: str
    receipt: dict[str, Any] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about the whole measurement, such as that the run is not finished."""
        return tuple(self.receipt.get("notes", ()))

    def noted(self, *notes: str) -> Likelihood:
        """A copy with more notes in its receipt."""
        return replace(self, receipt={**self.receipt, "notes": [*self.notes, *notes]}) if notes else self

    def to_dict(self) -> dict[str, Any]:
        """{"metrics": {name: {"value": …, …}}, "receipt": {…}}, plain types, in the same form as any score."""
        notes = (self.caution,) if self.caution else ()
        loose = () if self.loose is None else (self.loose,)
        kind = f"standard error over {self.n} images, in nats"
        metrics = {
            name: Scored(nats.mean, nats.error, kind, None, "higher" if bound else "", {}, notes)
            for name, nats, bound in self._rows()
        }
        ess = {f"ess_{name}": value for name, value in asdict(self.ess).items()}
        metrics[f"IWAE-{self.k}"] = replace(metrics[f"IWAE-{self.k}"], extras=ess, notes=(*loose, *notes))
        extras = {"latent": float(self.latent), "variance_above": ACTIVE}
        metrics["active units"] = Scored(float(self.active_units), None, "", None, "", extras, ())
        return {"metrics": {name: asdict(scored) for name, scored in metrics.items()}, "receipt": self.receipt}

    def table(self) -> str:
        """The table that the command line prints."""
        lines = [f"{'nats per image':<20}{'mean':>10}{'±':>8}"]
        for name, nats, _ in self._rows():
            error = "" if nats.error is None else f"{nats.error:.2f}"
            lines.append(f"{name:<20}{nats.mean:>10.2f}{error:>8}")
        lines.append(f"{'active units':<20}{self.active_units:>10} of {self.latent}")
        lines.append(f"{'ESS':<20}{self.ess.median:>10.1f} median, {self.ess.least:.1f} least, of {self.k:,} samples")
        lines.append(f"± is the standard error over {self.n:,} images; papers print IWAE and ELBO with the sign turned")
        return "\n".join([*lines, *(note for note in (self.loose, self.caution) if note), *self.notes])

    @property
    def loose(self) -> str | None:
        """A warning if few samples have most of the importance weight; None otherwise."""
        if self.ess.median >= min(FEW, self.k / 2):
            return None
        return (
            f"IWAE-{self.k} is loose: for half of the images {self.ess.median:.1f} or fewer of {self.k:,} samples "
            "carry the weight; more samples (-k) bring it nearer to log p(x)"
        )

    def _rows(self) -> list[tuple[str, Nats, bool]]:
        """Printed name, value, and whether it is a bound."""
        return [
            (f"IWAE-{self.k}", self.iwae, True),
            ("ELBO", self.elbo, True),
            ("rate", self.rate, False),
            ("distortion", self.distortion, False),
        ]


@torch.inference_mode()
def likelihood(
    model: Model,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    k: int = 5000,
    seed: int = 0,
    batch: int = 1000,
) -> Likelihood:
    """Measure a model on images.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,), for a conditional model.
        k: importance samples per image.
        seed: seed of these samples. Those of image i depend on the seed and i only, and a smaller k uses the first of
            them.
        batch: samples decoded at once: memory grows with it, but not with k or N. It changes values only by rounding.

    Raises:
        InputError: the model has no such bound, or k, seed or batch is out of range.
    """
    known = bounded(model)
    check_count(k, "the number of samples k")
    check_count(batch, "the batch")
    check_seed(seed)
    device = device_of(model)
    mus, rates, distortions, bounds, sizes = [], [], [], [], []
    with progress(f"{k:,} samples for each of {len(images):,} images", len(images)) as advance:
        for start in range(0, len(images), ENCODED):
            x = to_float(torch.from_numpy(np.array(images[start : start + ENCODED])).to(device))
            y = None if labels is None else torch.from_numpy(labels[start : start + ENCODED]).to(device)
            mu, logvar = known.posterior(x, y)  # (B, Z)
            mus.append(mu.double().cpu())
            rates.append(kl_standard_normal(mu.double(), logvar.double()).cpu())
            for i in range(len(x)):
                one = slice(i, i + 1)
                rng = np.random.default_rng([seed, start + i])
                label = None if y is None else y[one]
                distortion, bound, size = _sampled(known, x[one], label, mu[one], logvar[one], k, rng, batch)
                distortions.append(distortion)
                bounds.append(bound)
                sizes.append(size)
                advance(1)
    means, of_rate, of_distortion = torch.cat(mus).numpy(), torch.cat(rates).numpy(), np.array(distortions)
    binarized = all(np.isin(image, (0, 255)).all() for image in images)
    return Likelihood(
        elbo=Nats.of(-of_rate - of_distortion),
        rate=Nats.of(of_rate),
        distortion=Nats.of(of_distortion),
        iwae=Nats.of(np.array(bounds)),
        ess=Effective(float(np.median(sizes)), float(np.min(sizes))),
        k=k,
        n=len(images),
        active_units=int((means.var(axis=0) > ACTIVE).sum()),
        latent=means.shape[1],
        binarized=binarized,
        caution=getattr(model, "caution", Bernoulli().caution)(binarized),
    )


def bounded(model: Model) -> HasBound:
    """The model, if its likelihood can be bounded. Raises InputError otherwise."""
    if not isinstance(model, HasBound):
        lacks = "no posterior over its latents" if isinstance(model, Encodes) else "no encoder"
        raise InputError(f"this model has {lacks}, so no bound on its likelihood: use {able(HasBound)}")
    return model


def _sampled(
    model: HasBound,
    x: Tensor,
    y: Tensor | None,
    mu: Tensor,
    logvar: Tensor,
    k: int,
    rng: np.random.Generator,
    batch: int,
) -> tuple[float, float, float]:
    """Distortion, IWAE bound and effective sample size of one image.

    Takes x (1, C, H, W), y (1,) or None, mu and logvar (1, Z).
    """
    log_sum, log_squares, distortion = -np.inf, -np.inf, 0.0
    for done in range(0, k, batch):
        s = min(batch, k - done)
        eps = torch.from_numpy(rng.standard_normal((s, mu.shape[1]), np.float32)).to(x.device)
        z = torch.addcmul(mu, eps, (0.5 * logvar).exp())  # (S, Z)
        nll = model.distortion(z, x.expand(s, -1, -1, -1), None if y is None else y.expand(s)).double()  # -log p(x|z)
        # log p(z) - log q(z|x): the constants cancel.
        log_ratio = 0.5 * (eps.double().square() + logvar.double() - z.double().square()).sum(1)
        log_weights = log_ratio - nll
        log_sum = np.logaddexp(log_sum, torch.logsumexp(log_weights, 0).item())
        log_squares = np.logaddexp(log_squares, torch.logsumexp(2 * log_weights, 0).item())
        distortion += nll.sum().item()
    return distortion / k, float(log_sum - np.log(k)), float(np.exp(2 * log_sum - log_squares))
