"""The batches of a training run, step by step, on the device: from memory, or read from a file ahead of the step."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from counterfeit.data.batches import epoch_order
from counterfeit.data.image_set import BLOCK
from counterfeit.data.rows import is_stored, take

MOST_ON_DEVICE = 2**31  # bytes up to which a folder's images are copied to an accelerator, for faster steps
AHEAD = 2  # batches read ahead: one for the next step, one in case the disk is slow for a moment


def chosen_rows(
    n: int, batch_size: int, seed: int, batches: Iterable[tuple[int, int]], device: torch.device
) -> Iterator[Tensor]:
    """Yield the image indices of each batch, int64 (batch_size,), in the epoch's order, on the device.

    Args:
        n: number of images.
        batch_size: images per batch.
        seed: seed of the order.
        batches: pairs (epoch, index of the batch in the epoch).
        device: where the indices are returned.
    """
    order, of = None, -1
    for epoch, batch in batches:
        if order is None or epoch != of:
            order, of = torch.from_numpy(epoch_order(n, seed, epoch)).to(device), epoch
        yield order[batch * batch_size : (batch + 1) * batch_size]


def feed(
    images: Tensor | np.ndarray, labels: Tensor | None, rows: Iterator[Tensor], device: torch.device
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the batches, uint8 (B, C, H, W) and int64 (B,), on the device; the bits do not depend on the storage.

    Args:
        images: uint8 (N, C, H, W): a tensor on the device, or a memory map, which a thread reads ahead.
        labels: int64 (N,) on the device, or None.
        rows: image indices of each batch, int64 (B,) on the device.
        device: where the batches are returned.

    Raises:
        DataError: a memory map's file cannot be read.
    """
    gathered = _gathered(images, rows) if isinstance(images, Tensor) else _read_ahead(images, rows)
    for chosen, pixels in gathered:
        yield pixels.to(device), None if labels is None else labels.index_select(0, chosen)


def _gathered(images: Tensor, rows: Iterator[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    for chosen in rows:
        yield chosen, images.index_select(0, chosen)


def _read_ahead(images: np.ndarray, rows: Iterator[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (rows, their images in memory).

    A single thread reads, so that reads are in order and at one place in the file.
    """

    def read(chosen: Tensor) -> Tensor:
        return torch.from_numpy(take(images, chosen.cpu().numpy()))

    pool = ThreadPoolExecutor(1, "counterfeit-reads")
    try:
        waiting = deque((chosen, pool.submit(read, chosen)) for chosen in islice(rows, AHEAD))
        while waiting:
            chosen, pixels = waiting.popleft()
            ready = pixels.result()  # raises what the thread raised
            waiting.extend((following, pool.submit(read, following)) for following in islice(rows, 1))
            yield chosen, ready
    finally:  # do not wait: the garbage collector may close this generator, in any thread
        pool.shutdown(wait=False, cancel_futures=True)


def as_fed(images: np.ndarray, device: torch.device) -> Tensor | np.ndarray:
    """The images in the form that `feed` takes: on the device, or a memory map.

    A folder's memory map stays on the disk if the device is the CPU, to leave memory for other things, or if it is
    large.
    """
    if not is_stored(images):
        return resident(images, device)
    if device.type == "cpu" or images.nbytes > MOST_ON_DEVICE:
        return images
    held = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(images), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(images)))
        held[start : start + BLOCK] = torch.from_numpy(take(images, rows))
    return held


def resident(array: np.ndarray, device: torch.device) -> Tensor:
    """The whole array on the device; on the CPU without a copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # we only read
        return torch.from_numpy(array).to(device)
