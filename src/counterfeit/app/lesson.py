"""`python -m counterfeit.app.lesson RUN PLUGIN…`: a GAN, one step at a time: what its judge says and wants.

The judge is the network that the generator plays against: a discriminator, or the critic of a Wasserstein GAN.

A process of its own trains on from the run's last checkpoint, in memory: nothing is ever written to the run. For a
line on stdin, which holds a number of steps, it prints a line of JSON: images of the last step's batch, what the judge
says of them, and how it would have the fakes changed. It ends with stdin.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from counterfeit.data import pixels
from counterfeit.errors import InputError
from counterfeit.models.base import constant
from counterfeit.models.gan.base import AdversarialModel
from counterfeit.models.losses import Adversarial
from counterfeit.models.plugins import load_plugin
from counterfeit.runs import RunFolder
from counterfeit.system.isolation import isolated
from counterfeit.training.loop import Stepped, run_steps
from counterfeit.training.state import State
from counterfeit.training.trainer import Training

SHOWN = 8  # images of each kind
BRIGHTER, DARKER = (0.0, 150.0, 255.0), (255.0, 120.0, 0.0)  # seen on black, on white and on each other
MORE = 1_000_000  # steps beyond those of the run
JUDGES = ("discriminator", "critic")  # names of the network that the generator plays against


class Lesson:
    """A GAN that is trained on in memory."""

    def __init__(self, path: str) -> None:
        """Raises InputError: the run cannot be continued, or has neither discriminator nor critic."""
        folder = RunFolder(path)
        record = folder.read_record()
        training = Training(record.model, record.config.replace({"device": "cpu"}), folder, resume=True)
        found = [net for name, net in training.model.networks().items() if name in JUDGES]
        if not (isinstance(training.model, AdversarialModel) and found):
            raise InputError(f"{record.model} has no discriminator or critic to look at")
        state = State.fresh(training.model, training.config, training.device)
        training.take_over(state)
        training.take_steps(state.step + MORE)
        self.model, self.state, self.judge = training.model, state, found[0]
        self._batch, self._weights = training.config.batch_size, next(self.judge.parameters())
        self._seen: list[tuple[tuple[Any, ...], Tensor]] = []
        self.judge.register_forward_hook(self._keep)
        self._events: Iterator[object] = run_steps(state, *training.fed(), training.config)

    def _keep(self, judge: object, given: tuple[Any, ...], outputs: Tensor) -> None:
        """Keep what the judge says while it learns itself, of real images and after them fakes.

        So it is in every model here, whichever its game: see their `step`. Where it is shown others, as for a
        gradient penalty, there are fewer than both; where the generator learns, the judge is constant.
        """
        if self._weights.requires_grad and len(given[0]) >= 2 * self._batch:
            self._seen.append((given, outputs.detach()))

    def step(self, steps: int) -> dict[str, Any]:
        """Take steps, and tell of the last one."""
        for _ in range(steps):
            self._seen.clear()
            while not isinstance(next(self._events), Stepped):
                pass
        (shown, *labels), outputs = self._seen[-1]
        n = self._batch  # real images are first; the last are fakes of noise, whatever is between
        fakes, of_fakes = shown[-n:][:SHOWN], outputs[-n:][:SHOWN, 0]
        wanted = self.wanted(shown[:SHOWN], fakes, *(None if y is None else y[-n:][:SHOWN] for y in labels))
        return {
            "step": self.state.step,
            "real": [_png(image) for image in shown[:SHOWN]],
            "fake": [_png(image) for image in fakes],
            "wanted": [_colored(one) for one in wanted],
            "of_real": [round(value, 3) for value in outputs[:SHOWN, 0].tolist()],
            "of_fake": [round(value, 3) for value in of_fakes.tolist()],
        }

    def wanted(self, real: Tensor, fakes: Tensor, *labels: Tensor | None) -> Tensor:
        """What would lower the generator's loss: minus its gradient at fake images (B, C, H, W)."""
        judge = self.judge
        fakes = fakes.detach().clone().requires_grad_()
        judge.eval()  # what it tracks of batches stays as it is
        try:
            with constant(judge):
                of_real = judge(real, *labels)[:, :1].detach()
                (gradient,) = torch.autograd.grad(self.loss(of_real, judge(fakes, *labels)[:, :1]).sum(), fakes)
        finally:
            judge.train()
        return -gradient

    def loss(self, of_real: Tensor, of_fakes: Tensor) -> Tensor:
        """What the generator would have small, of the judge's outputs (B, 1): (B, 1)."""
        own = getattr(self.model, "loss", None)
        if isinstance(own, Adversarial):
            return own.generator(of_real, of_fakes)
        if "critic" in self.model.networks():
            return -of_fakes  # Arjovsky et al. 2017 (arXiv:1701.07875), algorithm 1
        return F.softplus(-of_fakes)  # -log D, the non-saturating loss


def _png(image: Tensor) -> str:
    """An image (C, H, W) in [-1, 1] as a data: URI."""
    array = pixels.to_uint8(((image.detach() + 1) / 2)[None]).numpy()
    return _uri(pixels.to_pil(pixels.grid(array, 1, gap=0)))


def _colored(change: Tensor) -> str:
    """A change (C, H, W) as a data: URI: blue for brighter, orange for darker, clear for none, the largest in full."""
    mean = change.mean(0)  # (H, W)
    strength = mean.abs() / mean.abs().max().clamp_min(1e-12)
    colors = torch.where(mean[..., None] > 0, torch.tensor(BRIGHTER), torch.tensor(DARKER))  # (H, W, 3)
    whole = torch.cat([colors, (255 * strength).round()[..., None]], 2).to(torch.uint8)
    return _uri(Image.fromarray(whole.numpy()))


def _uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def main(path: str, *plugins: str) -> None:
    """Answer line by line."""
    torch.set_num_threads(1)  # the run itself may be training
    out, sys.stdout = sys.stdout, sys.stderr
    try:
        for plugin in plugins:
            load_plugin(plugin)
        with isolated():
            lesson = Lesson(path)
            for line in sys.stdin:
                print(json.dumps(lesson.step(int(line))), file=out, flush=True)
    except InputError as error:
        print(json.dumps({"error": str(error)}), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
