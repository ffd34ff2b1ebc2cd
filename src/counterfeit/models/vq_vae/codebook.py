"""A codebook that follows the vectors it stands for, without gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfeit.system.noise import Noise

GIVEN = 0.2  # of an even use: the size that comes with a vector, which the first outputs near it may soon move
LEAST = 1e-10  # a size that divides: an unused code's falls towards 0


class Codebook(nn.Module):
    """K vectors (D,), each a moving average of the encoder's outputs that were nearest to it.

    Van den Oord et al. 2017 (arXiv:1711.00937), appendix A.1: with n_k outputs z of a step nearest to code k,
    N_k <- γ N_k + (1 - γ) n_k;  m_k <- γ m_k + (1 - γ) Σ z;  e_k = m_k / N_k, where here n_k and Σ are per image.

    A code that hardly any output is nearest to would stay so for good. It is given an output of the present images
    in place of its vector (Łańcucki et al. 2020, arXiv:2005.08520; Dhariwal et al. 2020, arXiv:2005.00341), drawn as
    k-means++ draws: by the squared distance from the nearest code. The images of the training offer one to each code in
    turn, image i to code i mod K, and the first K images give the codes their first vectors. So which image offers to
    which code depends on no other, several processes choose as one would, and there is nothing to be read back.
    """

    sums: Tensor  # (K, D): m
    sizes: Tensor  # (K,): N, in positions per image
    usage: Tensor  # (K,): N of codes as they were used, without what a revival gives
    seen: Tensor  # (): images that the training has had

    def __init__(self, codes: int, size: int, decay: float, revival: float) -> None:
        """`codes` and `size` are K and D, `decay` is γ; used less than `revival` of an even use, a code is dead."""
        super().__init__()
        self.decay, self.revival = decay, revival
        self.given = max(GIVEN, 2 * revival)  # time to be used in, before the next one
        self.register_buffer("sums", nn.init.normal_(torch.empty(codes, size)))
        self.register_buffer("sizes", torch.ones(codes))
        self.register_buffer("usage", torch.zeros(codes))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def vectors(self) -> Tensor:
        """e: (K, D)"""
        return self.sums / self.sizes.clamp(min=LEAST)[:, None]

    @torch.no_grad()
    def nearest(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, T, D) -> the codes nearest to them, and their squared distances from these, both (B, T)."""
        vectors = self.vectors()
        with torch.autocast(z.device.type, enabled=False):  # neighbors are told apart by small differences
            middle = vectors.mean(0)  # from which differences are taken, lest they drown in the rounding of squares
            vectors, rows = vectors - middle, z.flatten(0, 1) - middle
            square = vectors.square().sum(1) - 2 * (rows @ vectors.T)  # less |row|², the same for all codes
        least, codes = square.min(1)
        distances = (least + rows.square().sum(1)).clamp(min=0)
        return codes.view(z.shape[:2]), distances.view(z.shape[:2])

    @torch.no_grad()
    def follow(self, z: Tensor, codes: Tensor, distances: Tensor, rng: Noise) -> None:
        """Move towards this step's vectors (B, T, D), as `nearest` found them; what it moves is linear in means."""
        n, length, k = len(z), z.shape[1], torch.arange(len(self.sizes), device=z.device)
        with torch.autocast(z.device.type, enabled=False):
            chosen = (codes.view(-1, 1) == k).to(z.dtype)  # (B T, K)
            counts, totals = chosen.sum(0) / n, chosen.T @ z.flatten(0, 1) / n
            offers, offered = self._offers(z, distances, rng, k)
        even = length / len(k)  # a code's size if all are used alike
        given = offered & ((self.sizes < self.revival * even) | (k >= self.seen))
        share = 1 - self.decay
        self.sizes.copy_(torch.where(given, self.given * even, self.sizes.lerp(counts, share)))
        self.sums.copy_(torch.where(given[:, None], self.given * even * offers, self.sums.lerp(totals, share)))
        self.usage.lerp_(counts, share)
        self.seen += n * rng.world

    def _offers(self, z: Tensor, distances: Tensor, rng: Noise, k: Tensor) -> tuple[Tensor, Tensor]:
        """An output for each code (K, D), whose mean over processes it is, and to which codes there is one (K,)."""
        n, all_images = len(z), len(z) * rng.world
        # Of racing exponentials, one of rate r comes first with a chance in proportion to r.
        first = (distances / -rng.uniform(*distances.shape).log()).argmax(1)
        vectors = z.gather(1, first.view(-1, 1, 1).expand(-1, 1, z.shape[2]))[:, 0]  # (B, D)
        place = torch.arange(n, device=z.device) * rng.world + rng.rank  # of this process's images in the batch
        to = ((self.seen + place) % len(k))[:, None] == k  # (B, K)
        mine = (to & (place < len(k))[:, None]).to(z.dtype)
        return rng.world * (mine.T @ vectors), (k - self.seen) % len(k) < all_images

    def spread(self, images: int) -> tuple[Tensor, Tensor]:
        """Perplexity of the codes' use in about the last 1 / (1 - γ) steps, and the share of codes that had any.

        `images` are those of a step, of all processes.
        """
        shares = self.usage / self.usage.sum().clamp(min=LEAST)
        once = (1 - self.decay) / torch.e / images  # what is left of one use so many steps ago
        return torch.special.entr(shares).sum().exp(), (self.usage > once).float().mean()
