"""The distance to the machine's limit: how long a step's matrix products take by themselves.

The products of one step are recorded as they are asked for, with their shapes; a convolution counts as the product
that it is equal to, of its patches by its kernels. Each shape is then timed alone, operands at hand, by the quicker of
the two libraries in PyTorch, MKL and oneDNN. The sum is what a step would take if there were nothing but products.
A layer that we compute in another way than PyTorch (nets/conv.py) counts with the products that it makes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from math import prod

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from counterfeit.nets.linear import HAS_ONEDNN
from our_loop import our_steps

Product = tuple[int, int, int]  # (M, K) by (K, N)


class Products(TorchDispatchMode):
    """Collects the products that are computed while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[Product] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        with self:  # what is made of others, which in inference mode comes here whole
            out = func.decompose(*args, **(kwargs or {}))
        if out is not NotImplemented:
            return out
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("mm", "addmm", "_linear_pointwise"):
            a, b = args[1:3] if name == "addmm" else args[:2]
            self.found[a.shape[0], a.shape[1], b.shape[0 if name == "_linear_pointwise" else 1]] += 1
        elif name == "convolution":
            self._convolution(args[0], args[1], out, transposed=args[6])
        elif name == "convolution_backward":
            grad, x, w, transposed, mask = args[0], args[1], args[2], args[7], args[10]
            for wanted in mask[:2]:
                if wanted:
                    self._convolution(x, w, grad, transposed)
        return out

    def _convolution(self, x, w, y, transposed) -> None:
        """The product of a convolution; that of either gradient has the same three sides."""
        image = x if transposed else y
        self.found[image.shape[0] * prod(image.shape[2:]), prod(w.shape[1:]), w.shape[0]] += 1


def products(name: str, data: str) -> Counter[Product]:
    """Of one step of a model."""
    steps = our_steps(name, data)
    next(steps)
    with Products() as mode:
        next(steps)
    return mode.found


def seconds(found: Counter[Product], repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    """What the products take: each shape's best of a few rounds."""
    return sum(n * _best(shape, repeats, clock) for shape, n in found.items())


def flops(found: Counter[Product]) -> int:
    return sum(2 * n * m * k * o for (m, k, o), n in found.items())


def _best(shape: Product, repeats: int, clock: Callable[[], float]) -> float:
    m, k, n = shape
    a, b = torch.randn(m, k), torch.randn(n, k)
    ways = [lambda: a @ b.T]
    if HAS_ONEDNN:
        ways.append(lambda: torch.ops.mkldnn._linear_pointwise.default(a, b, None, "none", [], ""))
    times = []
    for way in ways:
        way()
        inner = max(1, round(0.005 / max(_timed(way, 1, clock), 1e-6)))
        times += [_timed(way, inner, clock) for _ in range(repeats)]
    return min(times)


def _timed(way, n: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(n):
        way()
    return (clock() - start) / n
