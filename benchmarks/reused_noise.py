"""Is the generator's loss of a step that reuses the discriminator's noise the loss that new noise would have given?

    python benchmarks/reused_noise.py [--models gan lsgan] [--warm-up 6] [--epochs 2]

A GAN of ours trains on MNIST as ever; in the last epochs, every step's loss of the generator is also computed from new
noise, by the same discriminator, and then thrown away. The means of both, and the standard error of their difference
over the steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.models.build import build
from counterfeit.models.gan.model import GAN
from counterfeit.runs import provenance
from counterfeit.system.files import write_json
from counterfeit.system.noise import Noise
from our_loop import steps_of

RESULT = Path(__file__).parent / "results/reused-noise.json"


def compare(name: str, images: cf.ImageSet, warm_up: int, epochs: int) -> dict[str, object]:
    """Losses by the reused noise and by new noise, over the steps of `epochs`."""
    model = build(MODELS[name], MODELS[name].settings, images.shape, len(images.classes))
    assert isinstance(model, GAN)
    reused: list[float] = []
    new: list[float] = []
    noise, step, looking = Noise.seeded(1), model.step, False

    def watched(batches, update, rng: Noise, progress: Tensor) -> dict[str, Tensor]:
        ((x, _),) = batches

        def and_look(network: str, loss: Tensor) -> None:
            if looking and network == "generator":
                with torch.no_grad():
                    fake = model.generator(model.noise(len(x), noise)).tanh()
                    new.append(model.loss.generator(model.discriminator(fake)).mean().item())
                reused.append(loss.item())
            update(network, loss)

        return step(batches, and_look, rng, progress)

    model.step = watched  # type: ignore[method-assign]
    steps, epoch = steps_of(model, name, images), len(images) // MODELS[name].settings.batch_size
    for i in range((warm_up + epochs) * epoch):
        looking = i >= warm_up * epoch
        next(steps)
    differences = [a - b for a, b in zip(reused, new, strict=True)]
    error = stdev(differences) / len(differences) ** 0.5
    return {"model": name, "reused": mean(reused), "new": mean(new), "difference": mean(differences), "error": error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", nargs="+", default=["gan", "lsgan"], choices=["gan", "lsgan"], help="without batch norm"
    )
    parser.add_argument("--warm-up", type=int, default=6, help="epochs before")
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    images = cf.load_data("mnist")
    rows = [compare(name, images, args.warm_up, args.epochs) for name in args.models]
    for row in rows:
        print(row)
    made_by = provenance(torch.device("cpu"))
    write_json(RESULT, {"rows": rows, "warm_up": args.warm_up, "epochs": args.epochs, "made_by": made_by})


if __name__ == "__main__":
    main()
