"""From a model and a seed to uint8 images: the same images whatever the batch size and however many are asked for.

The arithmetic of a matrix product depends on how many rows it has, and a last bit can flip a rounded pixel. So images
are always computed in blocks of BLOCK rows, a last block being filled up and cut; a block's noise is drawn in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from counterfeit.data.pixels import to_float, to_uint8
from counterfeit.errors import InputError
from counterfeit.models import Sampling
from counterfeit.models.base import Encodes, HasLatents, HasPosterior, HasTerms, Model
from counterfeit.models.build import conditional
from counterfeit.samplers import Sampler
from counterfeit.system.distributed import ALONE, Group
from counterfeit.system.noise import Noise

BLOCK = 128


def labels_for(model: Model, n: int, labels: int | Sequence[int] | np.ndarray | None) -> np.ndarray | None:
    """Labels of n samples, int64 (n,): the one given, the n given, or 0, 1, … K-1 in turn; None for a model without.

    Raises:
        InputError: labels for a model that takes none, out of range, or not n of them.
    """
    if model.classes == 0:
        if labels is not None:
            raise InputError(
                f"this model was not trained with labels, so it cannot be asked for one: use {conditional()}"
            )
        return None
    if labels is None:
        return np.arange(n) % model.classes
    wanted = np.asarray(labels)
    if wanted.dtype.kind not in "iu" or wanted.ndim > 1:
        raise InputError(f"labels must be integers, one for all or one an image, not {wanted.dtype} {wanted.shape}")
    if wanted.ndim == 1 and len(wanted) != n:
        raise InputError(f"{len(wanted)} labels were given for {n} images")
    wrong = wanted[(wanted < 0) | (wanted >= model.classes)]
    if wrong.size:
        raise InputError(f"label {wrong.flat[0]} is out of range: this model knows 0 to {model.classes - 1}")
    return np.broadcast_to(wanted, (n,)).astype(np.int64)


@torch.inference_mode()
def samples(
    model: Model,
    n: int,
    seed: int,
    labels: np.ndarray | None,
    batch_size: int,
    options: Sampling,
    group: Group = ALONE,
    sampler: Sampler | None = None,
) -> Iterator[np.ndarray]:
    """Yield n samples as uint8 arrays (≤ batch_size, C, H, W); of several processes, this one's blocks of them.

    A `sampler` draws the latents in place of the model, which has some.
    """
    device = device_of(model)
    draw = _drawing(model, seed, options, sampler)

    def blocks() -> Iterator[np.ndarray]:
        for i, start in enumerate(range(0, n, BLOCK)):
            y = None if labels is None else torch.from_numpy(_padded(labels[start : start + BLOCK])).to(device)
            images = draw(i, y, i % group.world == group.rank)
            if images is not None and not torch.isfinite(images).all():
                raise InputError("the model draws images with numbers that are not finite: its weights are of no use")
            if images is not None:
                yield to_uint8(images).cpu().numpy()

    yield from _rebatch(blocks(), len(group.shares(n, BLOCK)[group.rank]), batch_size)


def _drawing(
    model: Model, seed: int, options: Sampling, sampler: Sampler | None
) -> Callable[[int, Tensor | None, bool], Tensor | None]:
    """From a block's number, its labels and whether it is wanted to its images; blocks are asked for in turn.

    The noise of a model with latents is one stream, as `noise` gives it: that of blocks that others make is drawn as
    well. How much of it another model takes is not known, so each of its blocks has a stream of its own.
    """
    rng = Noise.seeded(seed, device_of(model), "samples")

    def decoded(block: int, y: Tensor | None, wanted: bool) -> Tensor | None:
        assert isinstance(model, HasLatents)
        z = (sampler or model).noise(BLOCK, rng)
        return model.decode(z, y, options) if wanted else None

    def sampled(block: int, y: Tensor | None, wanted: bool) -> Tensor | None:
        own = Noise.seeded(seed, device_of(model), f"samples, block {block}")
        return model.sample(BLOCK, y, own, options) if wanted else None

    return decoded if isinstance(model, HasLatents) else sampled


@torch.inference_mode()
def noise(model: HasLatents, n: int, seed: int, sampler: Sampler | None = None) -> np.ndarray:
    """The latents, float32 (n, *latent_shape), of which `samples` makes its images."""
    rng = Noise.seeded(seed, device_of(model), "samples")
    blocks = [(sampler or model).noise(BLOCK, rng).cpu().numpy() for _ in range(0, n, BLOCK)]
    return np.concatenate(blocks)[:n]


@torch.inference_mode()
def decode(model: HasLatents, z: np.ndarray, labels: np.ndarray | None, options: Sampling) -> np.ndarray:
    """Latents (N, *latent_shape) -> uint8 (N, C, H, W)."""
    inputs = torch.as_tensor(z, dtype=torch.float32)
    return _by_blocks(model, lambda z, y: to_uint8(model.decode(z, y, options)), inputs, labels)


@torch.inference_mode()
def encode(model: Encodes, images: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """uint8 (N, C, H, W) -> latents float32 (N, *latent_shape)."""
    return _by_blocks(model, lambda x, y: model.encode(to_float(x), y), _as_tensor(images), labels)


@torch.inference_mode()
def codes(model: Encodes, images: np.ndarray, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """uint8 (N, C, H, W) -> float32 (N, *latent_shape) as training decodes them: of a distribution, a seeded draw."""
    rng = Noise.seeded(seed, device_of(model), "codes")

    def drawn(x: Tensor, y: Tensor | None) -> Tensor:
        if not isinstance(model, HasPosterior):
            return model.encode(to_float(x), y)
        mu, logvar = model.posterior(to_float(x), y)
        return mu + (0.5 * logvar).exp() * rng.normal(*mu.shape)

    return _by_blocks(model, drawn, _as_tensor(images), labels)


@torch.inference_mode()
def reconstruct(model: Encodes, images: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """uint8 (N, C, H, W) -> uint8 of the same shape."""
    return _by_blocks(model, lambda x, y: to_uint8(model.reconstruct(to_float(x), y)), _as_tensor(images), labels)


@torch.inference_mode()
def mean_terms(
    model: HasTerms, images: np.ndarray, labels: np.ndarray | None, seed: int, batch_size: int = 1000
) -> dict[str, float]:
    """Mean loss over images and its terms, in nats per image: `loss` first. Summed in float64."""
    device = device_of(model)
    rng = Noise.seeded(seed, device, "evaluation")
    sums: dict[str, float] = {}
    for start in range(0, len(images), batch_size):
        x = to_float(_as_tensor(images[start : start + batch_size]).to(device))
        y = None if labels is None else torch.from_numpy(labels[start : start + batch_size]).to(device)
        for name, term in model.terms(x, y, rng).items():
            sums[name] = sums.get(name, 0.0) + term.double().sum().item()
    means = {name: value / len(images) for name, value in sums.items()}
    return {"loss": sum(means.values())} | (means if len(means) > 1 else {})


def device_of(model: object) -> torch.device:
    """Where a model's weights are."""
    assert isinstance(model, nn.Module)
    return next(model.parameters()).device


def _by_blocks(
    model: object, function: Callable[[Tensor, Tensor | None], Tensor], inputs: Tensor, labels: np.ndarray | None
) -> np.ndarray:
    """Apply a function of (inputs, labels) to blocks of exactly BLOCK rows."""
    device = device_of(model)
    outputs = []
    for start in range(0, len(inputs), BLOCK):
        rows = inputs[start : start + BLOCK]
        full = rows[torch.arange(BLOCK) % len(rows)].to(device)
        y = None if labels is None else torch.from_numpy(_padded(labels[start : start + BLOCK])).to(device)
        outputs.append(function(full, y)[: len(rows)].cpu().numpy())
    return np.concatenate(outputs)


def _padded(labels: np.ndarray) -> np.ndarray:
    return np.resize(labels, BLOCK)  # repeats them


def _as_tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(images))  # a copy: memory maps of folders are read-only


def _rebatch(blocks: Iterator[np.ndarray], n: int, batch_size: int) -> Iterator[np.ndarray]:
    """Cut a stream of blocks into batches of batch_size, n images in all."""
    held = next(blocks, np.empty(0))
    sent = 0
    while sent < n:
        size = min(batch_size, n - sent)
        parts = []
        while size:
            if not len(held):
                held = next(blocks)
            parts.append(held[:size])
            held = held[size:]
            size -= len(parts[-1])
        batch = parts[0] if len(parts) == 1 else np.concatenate(parts)
        sent += len(batch)
        yield batch
