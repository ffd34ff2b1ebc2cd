"""One side of a comparison of training speed, a process of its own: `sides.py SIDE MODEL DATA STEPS`.

It prints `ready`; then, for every line that it is given, trains STEPS steps and prints the seconds that they took. The
sides `pythae`, `torchcfm` and `diffusers` need nothing of ours: they run in the peers' environment, with DATA a .npy
file of uint8 (N, C, H, W).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from tempfile import mkdtemp

import numpy as np
import torch

BATCH = 128
LATENT = 15
Stretch = Callable[[], object]


def ours(model: str, data: str, steps: int) -> Stretch:
    """Our loop; flushing denormals, and threads that make room for others, are part of it."""
    from counterfeit.system.openmp import Watch
    from our_loop import our_steps

    torch.set_flush_denormal(True)
    Watch().wake()  # as every call of ours does
    return _walk(our_steps(model, data), steps)


def bfloat16(model: str, data: str, steps: int) -> Stretch:
    """The same with --precision bfloat16."""
    from counterfeit.system.openmp import Watch
    from our_loop import our_steps

    torch.set_flush_denormal(True)
    Watch().wake()
    return _walk(our_steps(model, data, precision="bfloat16"), steps)


def course(model: str, data: str, steps: int) -> Stretch:
    """The loop that courses teach, on the same networks of PyTorch's own layers."""
    import counterfeit as cf
    from counterfeit.models import MODELS
    from counterfeit.models.build import build
    from course_loop import course_steps, plain

    images = cf.load_data(data)
    net = build(MODELS[model], MODELS[model].settings, images.shape, len(images.classes)).train()
    return _walk(course_steps(model, plain(net), images.images, images.labels), steps)


def pythae(model: str, data: str, steps: int) -> Stretch:
    """Pythae's trainer on the network of our VAE: one of its epochs over as many images as the steps take."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from torch import nn

    logging.disable(logging.WARNING)
    images = torch.from_numpy(np.load(data)[: steps * BATCH]).float() / 255
    pixels = images[0].numel()

    def hidden(inputs: int, outputs: int) -> nn.Sequential:
        wide = [nn.Linear(400, 400), nn.ReLU(inplace=True)]
        return nn.Sequential(nn.Linear(inputs, 400), nn.ReLU(inplace=True), *wide, *wide, nn.Linear(400, outputs))

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = hidden(pixels, 2 * LATENT)

        def forward(self, x):
            mu, logvar = self.layers(x.flatten(1)).chunk(2, dim=1)
            return ModelOutput(embedding=mu, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = hidden(LATENT, pixels)

        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z).sigmoid().unflatten(1, images.shape[1:]))

    config = VAEConfig(input_dim=tuple(images.shape[1:]), latent_dim=LATENT, reconstruction_loss="bce")
    training = BaseTrainerConfig(
        output_dir=mkdtemp(), learning_rate=1e-3, per_device_train_batch_size=BATCH, optimizer_cls="Adam"
    )
    dataset = BaseDataset(images, torch.zeros(len(images)))
    trainer = BaseTrainer(VAE(config, Encoder(), Decoder()), dataset, training_config=training)
    trainer.prepare_training()
    epochs = count(1)
    return lambda: trainer.train_step(next(epochs))


def torchcfm(model: str, data: str, steps: int) -> Stretch:
    """torchcfm's example of MNIST, in the peers' environment; see peer_loops.py."""
    import peer_loops

    return _walk(peer_loops.torchcfm(np.load(data)), steps)


def diffusers(model: str, data: str, steps: int) -> Stretch:
    """diffusers' unconditional example, in the peers' environment."""
    import peer_loops

    return _walk(peer_loops.diffusers(np.load(data)), steps)


def script(model: str, data: str, steps: int) -> Stretch:
    """A WGAN-GP in a single file, on our networks of PyTorch's own layers."""
    import counterfeit as cf
    import peer_loops
    from counterfeit.models import MODELS
    from counterfeit.models.build import build
    from course_loop import plain

    images, settings = cf.load_data(data).images, MODELS[model].settings
    net = plain(build(MODELS[model], settings, images.shape[1:], 0).train())
    critic, generator = net.critic, net.generator
    return _walk(peer_loops.script(images, critic, generator, settings.latent, settings.batch_size), steps)


SIDES = {side.__name__: side for side in (ours, bfloat16, course, pythae, torchcfm, diffusers, script)}


def _walk(steps: Iterator[object], n: int) -> Stretch:
    def stretch() -> None:
        for _ in range(n):
            next(steps)

    return stretch


def main() -> None:
    side, model, data, steps = sys.argv[1:]
    stretch = SIDES[side](model, data, int(steps))
    stretch()  # warm-up
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        stretch()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
