"""Gradients of gradients through every layer of ours, as a gradient penalty needs them.

Our own operations run in float32 on CPUs only. So each layer is held against PyTorch's layer with the same weights in
float64, whose rounding is nothing beside ours.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from counterfeit.nets import NETS, conv, linear
from counterfeit.nets.batch_norm import SharedBatchNorm
from counterfeit.nets.conv import Conv2d, ConvTranspose2d
from counterfeit.nets.linear import HAS_ONEDNN, NARROW, Linear
from counterfeit.nets.unet import Block, UpBlock
from counterfeit.system.distributed import Alone
from test_onednn import Operators

# A sum of n float32 products is off by at most n times 6e-8 of the largest of them, and mostly by the root of n times
# that: 1e-4 of the largest value is a wide bound for the thousands here. A wrong product is off by about 1.
CLOSE = 1e-4
Function = Callable[[Tensor], Tensor]
# What the layer's output comes to. The gradient of a sum is one number, expanded, and has no second derivative in x.
ENDS = {"sum": lambda y: y.sum(), "curved": lambda y: y.tanh().sum()}
every_end = pytest.mark.parametrize("end", ENDS)


def derivatives(layer: Function, by: Sequence[Tensor], end: Function) -> Iterator[Tensor]:
    """First derivatives of end(layer(x)), x being the first of `by`, then those of each one's squared norm."""
    first = torch.autograd.grad(end(layer(by[0])), by, create_graph=True)
    yield from first
    for gradient in first:
        # A bias's gradient may depend on nothing: with what is 0, it has derivatives.
        penalty = gradient.square().sum() + sum(0 * part.sum() for part in by)
        yield from torch.autograd.grad(penalty, by, retain_graph=True)


def assert_close(ours: Iterator[Tensor], theirs: Iterator[Tensor]) -> None:
    moved = 0
    for one, two in zip(ours, theirs, strict=True):
        assert one.shape == two.shape and one.dtype == torch.float32 and two.dtype == torch.float64
        assert (one.double() - two).abs().max() <= CLOSE * two.abs().max()
        moved += bool(two.abs().max() > 0)
    assert moved > 3  # derivatives that are not 0 everywhere, and not the first ones alone


def hold(ours: nn.Module, theirs: nn.Module, x: Tensor, end: str, by_signs: Function = lambda y: y) -> None:
    """Compare the derivatives by input, weight and bias. `by_signs` follows PyTorch's layer where ours includes it."""
    theirs.load_state_dict(ours.state_dict())
    theirs.double()
    x64 = x.detach().double().requires_grad_()
    assert_close(
        derivatives(ours, [x.requires_grad_(), *ours.parameters()], ENDS[end]),
        derivatives(lambda x: by_signs(theirs(x)), [x64, *theirs.parameters()], ENDS[end]),
    )


@every_end
@pytest.mark.parametrize("slope", [None, 0, 0.01])
@pytest.mark.parametrize(("inputs", "outputs"), [(784, 400), (96, 1024), (40, NARROW), (40, NARROW - 1), (256, 1)])
def test_linear(inputs: int, outputs: int, slope: float | None, end: str) -> None:
    ours = Linear(inputs, outputs, slope)
    x = torch.randn(16, inputs)
    y = ours(x)
    assert ("_OneDnn" in type(y.grad_fn).__name__) == (HAS_ONEDNN and outputs >= NARROW)
    # The activation by the signs of our own outputs: rounding may turn one that is near 0.
    factor = torch.ones(()) if slope is None else torch.where(y > 0, 1.0, slope)
    hold(ours, nn.Linear(inputs, outputs), x, end, lambda y: y * factor.double())


@every_end
@pytest.mark.parametrize(("inputs", "outputs"), [(40, 48), (40, NARROW - 1)])
def test_linear_of_tokens(inputs: int, outputs: int, end: str, monkeypatch) -> None:
    """(B, T, I), of few rows and of those that are many to the gradient of the weights."""
    for long in (linear.LONG, 8):
        monkeypatch.setattr(linear, "LONG", long)
        ours, x = Linear(inputs, outputs), torch.randn(4, 7, inputs)
        assert ours(x).shape == (4, 7, outputs)
        with Operators() as ran:
            ours(x).sum().backward()
        products = ran.seen.count("mkldnn._linear_pointwise.default")
        assert products == (2 - (long == 8)) * (HAS_ONEDNN and outputs >= NARROW)  # forward, and by the weights
        hold(ours, nn.Linear(inputs, outputs), x, end)


@every_end
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels-last"])
@pytest.mark.parametrize(
    ("channels", "sides", "in_blocks"),
    [
        (1, (16, 20), True),
        (1, (18, 20), False),  # no multiples of 4
        (2, (16, 16), True),
        (3, (18, 20), True),
        (3, (17, 20), False),
        (4, (12, 12), True),  # the most that are few
        (5, (12, 12), False),
        (32, (12, 12), False),
    ],
)
def test_conv2d(
    channels: int, sides: tuple[int, int], in_blocks: bool, memory: torch.memory_format, end: str, monkeypatch
) -> None:
    blocks: list[bool] = []
    usual = conv._gradient_of_images
    monkeypatch.setattr(conv, "_gradient_of_images", lambda *given: blocks.append(True) or usual(*given))
    ours = Conv2d(channels, 24, 5).to(memory_format=memory)  # type: ignore[call-overload]
    x = torch.randn(4, channels, *sides).contiguous(memory_format=memory)
    hold(ours, nn.Conv2d(channels, 24, 5), x, end)
    assert bool(blocks) == in_blocks


@every_end
@pytest.mark.parametrize("form", [(4, 2, 1), (3, 1, 1), (2, 2, 0)], ids=str)
@pytest.mark.parametrize("channels", [1, 3, 4, 5, 16])
def test_conv_transpose2d(channels: int, form: tuple[int, int, int], end: str) -> None:
    x = torch.randn(4, 32, 6, 7)
    hold(ConvTranspose2d(32, channels, *form), nn.ConvTranspose2d(32, channels, *form), x, end)


@every_end
@pytest.mark.parametrize(
    ("form", "outputs"), [((3, 1, 1), 8), ((3, 2, 1), 8), ((1, 1, 0), 8), ((3, 1, 1), 1), ((5, 1, 0), 3)]
)
def test_conv2d_with_stride_and_padding_and_to_few_channels(form: tuple[int, int, int], outputs: int, end: str) -> None:
    ours = Conv2d(8, outputs, *form)
    assert ("Transpose" in type(ours(torch.zeros(1, 8, 9, 7)).grad_fn).__name__) == (outputs <= conv.FEW)
    hold(ours, nn.Conv2d(8, outputs, *form), torch.randn(4, 8, 9, 7), end)


@every_end
def test_convolved_double(end: str) -> None:
    class Double(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return conv.convolved_double(x, self.weight, self.bias)

    class Plain(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.repeat_interleave(2, 2).repeat_interleave(2, 3))

    hold(Double(6, 8, 3, padding=1), Plain(6, 8, 3, padding=1), torch.randn(4, 6, 5, 7), end)


@every_end
@pytest.mark.parametrize("channels", [(16, 16), (8, 16)], ids=str)  # of the second, groups have channels of both
def test_a_block_of_doubled_images_is_that_of_images_that_are_doubled_first(
    channels: tuple[int, int], end: str
) -> None:
    """In float64, and where the sides are not exactly doubled, they are doubled first."""
    below, beside = channels
    torch.manual_seed(0)
    ours = UpBlock(below + beside, beside, 8)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.3)
    time, skip = torch.randn(3, 8), torch.randn(3, beside, 8, 6)

    class Held(nn.Module):
        """The block as a function of the images from below alone."""

        def __init__(self, block: UpBlock) -> None:
            super().__init__()
            self.block = block

        def forward(self, x: Tensor) -> Tensor:
            return self.block(x, time.to(x.dtype), skip.to(x.dtype))

    plain: list[int] = []
    usual = Block.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Block, "forward", lambda *given: plain.append(1) or usual(*given))
        hold(Held(ours), Held(copy.deepcopy(ours)), torch.randn(3, below, 4, 3), end)
        assert len(plain) == 1  # the one in float64
        assert ours(torch.randn(3, below, 4, 3), time, torch.randn(3, beside, 7, 6)).shape == (3, beside, 7, 6)
        assert len(plain) == 2


def critics() -> list[str]:
    """The nets whose encoder can be one: of a batch norm's, an image's gradient would be that of the whole batch."""
    made = {net: NETS[net].encoder((1, 28, 28), 1, 4, 0) for net in NETS}
    return [net for net in NETS if not any(isinstance(part, _BatchNorm) for part in made[net].modules())]


@pytest.mark.parametrize("net", critics())
def test_whole_critics(net: str) -> None:
    """The same of all layers together: in float64 a net of ours takes PyTorch's own.

    Few images, so that hardly one of their numbers lies so near to a kink that rounding puts it on the other side.
    """
    critic = NETS[net].encoder((1, 28, 28), 1, 64, 0)
    hold(critic, copy.deepcopy(critic), torch.randn(4, 1, 28, 28), "sum")


class Thread(Alone):  # type: ignore[misc]
    """One of several threads that take themselves for processes, and average when all are there."""

    def __init__(self, rank: int, world: int, places: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.world, self.places, self.barrier = rank, world, places, barrier

    def average(self, tensors: Sequence[Tensor]) -> None:
        self.places[self.rank] = [tensor.detach().clone() for tensor in tensors]
        self.barrier.wait()
        for i, tensor in enumerate(tensors):
            with torch.no_grad():
                tensor.copy_(torch.stack([place[i] for place in self.places]).mean(0))
        self.barrier.wait()


@pytest.mark.parametrize("shape", [(12, 5), (12, 3, 4, 4)], ids=str)
def test_batch_norm_over_processes(shape: tuple[int, ...]) -> None:
    """Two processes against one with PyTorch's own batch norm, in float64: 1e-10 is rounding, and what is missing where
    the second derivatives do not average is of the size of the derivatives.

    The weights' derivatives are those of a process's own rows, whose mean the optimizer takes: here their sum.
    """
    channels, world = shape[1], 2
    x = torch.randn(shape, dtype=torch.float64)
    target = torch.randn(shape, dtype=torch.float64)  # no symmetry that would make derivatives 0
    weight, bias = torch.rand(channels).double() + 0.5, torch.randn(channels).double()

    def norm() -> Any:
        made = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(channels).double()
        made.weight.data, made.bias.data = weight.clone(), bias.clone()
        return made

    def of_rows(layer: nn.Module, rows: slice) -> list[Tensor]:
        """The gradient of a sum over images, and that of its penalty."""
        mine = x[rows].clone().requires_grad_()
        by = [mine, *layer.parameters()]
        (slope,) = torch.autograd.grad((layer(mine) * target[rows]).tanh().sum(), mine, create_graph=True)
        norms = slope.flatten(1).square().sum(1).sqrt()
        return [slope.detach(), *torch.autograd.grad((norms - 1).square().sum(), by)]

    places: list[Any] = [None] * world
    barrier = threading.Barrier(world, timeout=60)

    def of_process(rank: int) -> list[Tensor]:
        group = Thread(rank, world, places, barrier)
        return of_rows(SharedBatchNorm(norm(), group), group.part())

    with ThreadPoolExecutor(world) as pool:
        parts = [*pool.map(of_process, range(world))]
    whole = of_rows(norm(), slice(None))
    for i in (0, 1):  # by the images: the rows of every process
        got = torch.empty_like(whole[i])
        for rank, part in enumerate(parts):
            got[rank::world] = part[i]
        assert (got - whole[i]).abs().max() < 1e-10
    for i in (2, 3):  # by weight and bias
        assert (sum(part[i] for part in parts) - whole[i]).abs().max() < 1e-10
    assert all(part.abs().max() > 1e-3 for part in whole)
