"""The VQ-VAE: images as grids of codes, and a prior that has learned how codes follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfeit.models.base import Batch, Losses, Model, Stage, Update
from counterfeit.models.vq_vae import VQVAESampling
from counterfeit.models.vq_vae.codebook import Codebook
from counterfeit.nets.transformer import Transformer
from counterfeit.system.noise import Noise

LEAST_VARIANCE = 1e-4  # of pixels, by which errors are divided


@final
class VQVAE(Model):
    """Van den Oord, Vinyals & Kavukcuoglu 2017 (arXiv:1711.00937).

    First the autoencoder: z = encoder(x), each vector of which is replaced by the nearest e of a codebook,
    loss = ‖x - decoder(e)‖² / Var x + β ‖z - sg e‖², means over pixels and over numbers of z: eq. 3, whose second term
    moving averages stand in for. Gradients pass from e to z as if they were one (straight-through).
    Then a prior over the codes, in reading order: -Σ log p(code t | codes before it), per code, in nats.

    Attributes:
        prior_share: the share of the training that is the prior's; None: every step trains both.
    """

    pixel_mean: Tensor  # (): E x over the images so far
    pixel_square: Tensor  # (): E x²

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        codebook: Codebook,
        prior: Transformer,
        grid: tuple[int, int],
        commitment: float,
        prior_share: float | None,
        classes: int = 0,
    ) -> None:
        """`encoder` gives (B, D, *grid), of which `decoder` makes raw pixels; `commitment` is β."""
        super().__init__(classes)
        self.encoder, self.decoder, self.codebook, self.prior = encoder, decoder, codebook, prior
        self.grid, self.commitment, self.prior_share = grid, commitment, prior_share
        # Those of pixels that are uniform, until some have been seen.
        self.register_buffer("pixel_mean", torch.tensor(1 / 2))
        self.register_buffer("pixel_square", torch.tensor(1 / 3))

    def networks(self) -> dict[str, nn.Module]:
        return {"autoencoder": nn.ModuleList([self.encoder, self.decoder]), "prior": self.prior}

    def stages(self) -> Sequence[Stage]:
        if self.prior_share is None:
            return [Stage(self.both)]
        return [Stage(self.of_images, "the autoencoder", share=1 - self.prior_share), Stage(self.of_codes, "the prior")]

    def of_images(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        ((x, _),) = batches
        z, codes, distances = self._found(x)
        terms = {name: term.mean() for name, term in self._errors(x, z, codes).items()}
        loss = terms["reconstruction"] + terms["commitment"]
        update("autoencoder", loss)
        perplexity, used = self.codebook.spread(len(x) * rng.world)
        self._track(x, len(x) * rng.world)
        self.codebook.follow(z.detach(), codes, distances, rng)
        return {"loss": loss, **terms, "perplexity": perplexity, "used": used}

    def of_codes(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        ((x, y),) = batches
        self.encoder.eval()  # by the moments of the training, which the codes are kept by
        codes = self.encode(x).flatten(1)
        self.encoder.train()
        loss = self._surprise(codes, y).mean()
        update("prior", loss)
        return {"prior": loss}

    def both(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        # The prior first: what the autoencoder's step moves may be read in the next one only.
        of_codes = self.of_codes(batches, update, rng, progress)
        return {**self.of_images(batches, update, rng, progress), **of_codes}

    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        z, codes, _ = self._found(x)
        return {**self._errors(x, z, codes), "prior": self._surprise(codes, y)}

    def _found(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What images are encoded to: (B, T, D) in reading order, and `Codebook.nearest` of it."""
        z = self.encoder(x).flatten(2).transpose(1, 2)
        return z, *self.codebook.nearest(z.detach())

    def _errors(self, x: Tensor, z: Tensor, codes: Tensor) -> dict[str, Tensor]:
        """The loss's terms, each (B,), β within them."""
        e = F.embedding(codes, self.codebook.vectors())
        raw = self._raw(z + (e - z).detach())
        variance = (self.pixel_square - self.pixel_mean.square()).clamp(min=LEAST_VARIANCE)
        return {
            "reconstruction": (x - 0.5 - raw).square().flatten(1).mean(1) / variance,
            "commitment": self.commitment * (z - e).square().flatten(1).mean(1),
        }

    def _surprise(self, codes: Tensor, y: Tensor | None) -> Tensor:
        """-log p of codes (B, T) by the prior, in nats per code: (B,)."""
        logits = self.prior(codes, y)
        return F.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="none").view(codes.shape).mean(1)

    @torch.no_grad()
    def _track(self, x: Tensor, images: int) -> None:
        """Plain averages over all images of the training; before `Codebook.follow`, which counts these."""
        share = images / (self.codebook.seen + images)
        self.pixel_mean.lerp_(x.mean(), share)
        self.pixel_square.lerp_(x.square().mean(), share)

    def _raw(self, e: Tensor) -> Tensor:
        """Vectors (B, T, D) -> pixels less 1/2, of any size: (B, C, H, W)."""
        return self.decoder(e.transpose(1, 2).unflatten(2, self.grid))

    @torch.no_grad()
    def usage(self) -> Tensor:
        """See `HasCodebook`."""
        return self.codebook.usage

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Images -> codes (B, H/4, W/4), int64: a step function, which has no gradient."""
        return self._found(x)[1].unflatten(1, self.grid)

    def images(self, codes: Tensor) -> Tensor:
        """Codes (B, T) or (B, H/4, W/4) -> images (B, C, H, W) in [0, 1]."""
        return (self._raw(F.embedding(codes.flatten(1), self.codebook.vectors())) + 0.5).clamp(0, 1)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.images(self.encode(x))

    def sample(self, n: int, y: Tensor | None, rng: Noise, options: VQVAESampling) -> Tensor:
        chances = rng.uniform(n, self.prior.length)
        if options.prior == "uniform":
            return self.images((chances * len(self.codebook.sizes)).long())
        return self.images(self.prior.draw(chances, y, options.temperature))
