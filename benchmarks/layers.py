"""Our layers against PyTorch's own, forward and backward, in turns within one process and one thread.

    python benchmarks/layers.py [--rounds 9]

The shapes are those of a batch of 128 in `vae` and `dcgan`. The time is the thread's own, so that other work on the
machine costs caches only; the figure is the median of the rounds' ratios, with their range.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from counterfeit.nets.conv import Conv2d, ConvTranspose2d
from counterfeit.nets.linear import Linear
from counterfeit.runs import provenance
from counterfeit.system.files import write_json
from spread import ratios

RESULTS = Path(__file__).parent / "results"
BATCH, INNER = 128, 10


def cases() -> dict[str, tuple[nn.Module, nn.Module, Tensor]]:
    """What, ours, PyTorch's with the same weights, and inputs."""
    linear = Linear(784, 400, slope=0)
    found: dict[str, tuple[nn.Module, nn.Module, Tensor]] = {}
    plain = nn.Linear(784, 400)
    plain.load_state_dict(linear.state_dict())
    found["784 to 400 and ReLU"] = (linear, nn.Sequential(plain, nn.ReLU(inplace=True)), torch.randn(BATCH, 784))
    convolutions: dict[str, tuple[nn.Module, Tensor]] = {
        "convolution, 32 to 64 channels": (Conv2d(32, 64, 5), images(32, 12)),
        # In the net these are the numbers of a Linear, unflattened: not channels-last.
        "transposed convolution, 128 to 64": (ConvTranspose2d(128, 64, 4, 2, 1), images(128, 7).contiguous()),
    }
    for what, c, side in (("gray", 1, 28), ("RGB", 3, 32)):
        convolutions[f"first convolution, {what}"] = Conv2d(c, 32, 5), images(c, side)
        convolutions[f"last transposed convolution, {what}"] = ConvTranspose2d(64, c, 4, 2, 1), images(64, side // 2)
    for name, (ours, x) in convolutions.items():
        ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        theirs = copy.deepcopy(ours)
        theirs.__class__ = type(ours).__base__
        found[name] = (ours, theirs, x)
    return found


def images(channels: int, side: int) -> Tensor:
    return torch.randn(BATCH, channels, side, side).to(memory_format=torch.channels_last)


def passes(layer: nn.Module, x: Tensor) -> Callable[[], None]:
    """Forward, and the gradient of the inputs and of the weights."""
    x = x.clone().requires_grad_()
    with torch.no_grad():
        grad = torch.randn_like(layer(x.detach()))

    def both() -> None:
        torch.autograd.grad(layer(x), [x, *layer.parameters()], grad)

    return both


def milliseconds(work: Callable[[], None]) -> float:
    start = time.thread_time()
    for _ in range(INNER):
        work()
    return (time.thread_time() - start) / INNER * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, (ours, theirs, x) in cases().items():
        sides = {"ours": passes(ours, x), "torch": passes(theirs, x)}
        times: dict[str, list[float]] = {side: [] for side in sides}
        for i in range(-1, args.rounds):  # the first warms up
            for side in sorted(sides, reverse=bool(i % 2)):
                took = milliseconds(sides[side])
                times[side] += [took] if i >= 0 else []
        row: dict[str, object] = {"layer": name} | {f"{s}_ms": round(median(t), 2) for s, t in times.items()}
        rows.append({**row, "ratio": ratios(times["torch"], times["ours"])})
        print(rows[-1], flush=True)
    write_json(RESULTS / "layers.json", {"rows": rows, "batch": BATCH, "made_by": provenance(torch.device("cpu"))})


if __name__ == "__main__":
    main()
