"""Flow matching: a velocity field that carries noise to images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from torch import Tensor, nn

from counterfeit.models.base import Batch, LatentModel, Losses, Update
from counterfeit.models.flow import FlowSampling
from counterfeit.system.noise import Noise

# velocity(x, t): x (B, C, H, W) at the time t, a number -> (B, C, H, W)
Velocity = Callable[[Tensor, float], Tensor]


@final
class Flow(LatentModel):
    """Conditional flow matching with straight paths: Lipman et al. 2023 (arXiv:2210.02747), eq. 23 with sigma_min = 0.

    x_t = (1 - t) z + t x, from noise z ~ N(0, I) at t = 0 to an image x in [-1, 1] at t = 1;
    loss = E |v(x_t, t) - (x - z)|², the mean over pixels, t ~ U(0, 1) for each image.
    Samples solve dx/dt = v(x, t) from noise. The noise is the latent: the same noise gives the same image.
    """

    def __init__(self, net: nn.Module, shape: tuple[int, int, int]) -> None:
        """`net` gives the velocity (B, C, H, W) of images (B, C, H, W) at times (B,)."""
        super().__init__(shape)
        self.net = net

    def networks(self) -> dict[str, nn.Module]:
        return {"velocity": self.net}

    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        x = x * 2 - 1
        z, t = self.noise(len(x), rng), rng.uniform(len(x))
        at = t.view(-1, 1, 1, 1)
        error = self.net((1 - at) * z + at * x, t) - (x - z)
        return {"error": error.square().flatten(1).mean(1)}

    def step(self, batches: Sequence[Batch], update: Update, rng: Noise, progress: Tensor) -> Losses:
        ((x, y),) = batches
        loss = self.terms(x, y, rng)["error"].mean()
        update("velocity", loss)
        return {"loss": loss}

    def noise(self, n: int, rng: Noise) -> Tensor:
        return rng.normal(n, *self.latent_shape)

    def decode(self, z: Tensor, y: Tensor | None = None, options: FlowSampling | None = None) -> Tensor:
        options = options or FlowSampling()
        return (solved(self.velocity, z, options) / 2 + 0.5).clamp(0, 1)

    def velocity(self, x: Tensor, t: float) -> Tensor:
        """The velocity of all images at one time."""
        return self.net(x, x.new_full((len(x),), t))


def solved(velocity: Velocity, x: Tensor, options: FlowSampling) -> Tensor:
    """x at t = 1, carried from t = 0 in equal steps."""
    step, h = STEPS[options.solver], 1 / options.steps
    for i in range(options.steps):
        x = x + h * step(velocity, x, i * h, h)
    return x


def euler(v: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """The velocity here: first order."""
    return v(x, t)


def midpoint(v: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """The velocity in the middle of the step: second order."""
    return v(x + h / 2 * v(x, t), t + h / 2)


def heun(v: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """The mean of the velocities at both ends of the step: second order."""
    here = v(x, t)
    return (here + v(x + h * here, t + h)) / 2


STEPS = {"euler": euler, "midpoint": midpoint, "heun": heun}
