"""Training steps and samples of the new nets: with our layers, with PyTorch's own, and by the machine's limit.

    python benchmarks/nets.py [--rounds 5] [--threads 1] [--what steps samples]

A step is the model's own at its defaults, on batches of 128, without the optimizer; samples are drawn 128 at once, with
the model's own options of sampling, as `counterfeit sample` draws them. Both sides of a net take turns
within one process; they have the same weights. The limit is what the step's matrix products take by themselves:
limits.py. With one thread the time is the thread's own, so that other work on the machine costs caches only.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch

from counterfeit.models import MODELS, Sampling
from counterfeit.models.base import Batch, Model, Stage
from counterfeit.models.build import build
from counterfeit.nets import conv, linear, unet
from counterfeit.runs import provenance
from counterfeit.sampling import labels_for, samples
from counterfeit.system.allocator import keep_freed_memory
from counterfeit.system.files import write_json
from counterfeit.system.noise import Noise
from limits import Products, flops, seconds
from our_loop import timed
from spread import ratios

RESULTS = Path(__file__).parent / "results"
BATCH = 128
SHAPES = {"MNIST": (1, 28, 28), "CIFAR-10": (3, 32, 32)}
CASES = [  # models, and the net where there is a choice
    *(("flow", net) for net in ("patch-unet", "unet", "dit")),
    *(("sngan", net) for net in ("cnn", "resnet")),
    *((model, None) for model in ("r3gan", "wgan-gp", "conv-vae", "vae-gan", "vq-vae")),
]
# r3gan, wgan and wgan-gp have one generator, vae-gan draws as conv-vae does, and larger images say nothing new.
DRAWN = [case for case in (*CASES, ("ddpm", None)) if case[0] not in ("wgan-gp", "vae-gan")]
ASKED = {"steps": (SHAPES, CASES), "samples": (["MNIST"], DRAWN)}


@contextmanager
def torchs_own() -> Iterator[None]:
    """Within it, our layers and nets compute as PyTorch's own do, as they would on another device."""
    with ExitStack() as held:
        for module in (linear, conv, unet):
            held.enter_context(patch.object(module, "in_float32_on_cpu", lambda x: False))
        yield


def step_of(model: Model, stage: Stage, shape: tuple[int, int, int]) -> Callable[[], None]:
    """A training step of a model up to its gradients."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad():  # what is 0 at first would spare nothing, but leave gradients of 0
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    networks, rng = model.networks(), Noise.seeded(0)
    batches = [Batch(torch.rand(BATCH, *shape), torch.arange(BATCH) % 10)] * stage.batches

    def update(name: str, loss: torch.Tensor) -> None:
        torch.autograd.grad(loss, list(networks[name].parameters()))

    return lambda: stage.step(batches, update, rng, torch.zeros(()))


def drawing_of(model: Model, settings: Sampling) -> Callable[[], None]:
    """128 images as `counterfeit sample` draws them."""
    model.eval()
    labels = labels_for(model, BATCH, None)
    return lambda: deque(samples(model, BATCH, 0, labels, BATCH, settings), maxlen=0)


def rows_of(name: str, net: str | None, data: str, what: str, rounds: int) -> Iterator[dict[str, object]]:
    """Of steps one for each stage of the model; of samples one."""
    spec = MODELS[name]
    settings = timed(name).replace({"net": net} if net else {})
    if what == "samples":
        model = build(spec, settings, SHAPES[data], 10)
        yield {"model": name, "net": net, "data": data} | measured(drawing_of(model, spec.sampling), BATCH, rounds)
        return
    for i, stage in enumerate(build(spec, settings, SHAPES[data], 10).stages()):
        model = build(spec, settings, SHAPES[data], 10)
        of = {"model": name, "net": net, "data": data, "stage": stage.name if i else None}
        yield of | measured(step_of(model, model.stages()[i], SHAPES[data]), BATCH * stage.batches, rounds)


def measured(step: Callable[[], None], images: int, rounds: int) -> dict[str, object]:
    """Rates of a step of so many images."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {"ours": [], "torch": []}
    for i in range(-1, rounds):  # the first warms up
        for side in sorted(times, reverse=bool(i % 2)):
            with torchs_own() if side == "torch" else nullcontext():
                start = clock()
                step()
                times[side] += [clock() - start] if i >= 0 else []
    with Products() as mode:
        step()
    limit = seconds(mode.found, clock=clock)
    return {
        "images_per_s": round(images / median(times["ours"]), 1),
        "torch_images_per_s": round(images / median(times["torch"]), 1),
        "ratio": ratios(times["torch"], times["ours"]),
        "gflop_per_image": round(flops(mode.found) / images / 1e9, 3),
        "share_of_limit": round(limit / median(times["ours"]), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--what", nargs="+", choices=ASKED, default=list(ASKED))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    made_by = provenance(torch.device("cpu"))
    for what in args.what:
        rows = []
        for data, (name, net) in itertools.product(*ASKED[what]):
            for row in rows_of(name, net, data, what, args.rounds):
                rows.append(row)
                print(row, flush=True)
        of = "nets" if what == "steps" else "drawn"
        write_json(RESULTS / f"{of}-{args.threads}.json", {"rows": rows, "batch": BATCH, "made_by": made_by})


if __name__ == "__main__":
    main()
