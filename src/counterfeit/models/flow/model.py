"""Flow matching: a velocity field that carries noise to images."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import Tensor

from counterfeit.models.diffusion.model import DiffusionModel
from counterfeit.models.flow import FlowSampling
from counterfeit.system.noise import Noise

# velocity(x, t): x (B, C, H, W) at the time t, a number -> (B, C, H, W)
Velocity = Callable[[Tensor, float], Tensor]


@final
class Flow(DiffusionModel):
    """Conditional flow matching with straight paths: Lipman et al. 2023 (arXiv:2210.02747), eq. 23 with sigma_min = 0.

    x_t = (1 - t) z + t x, from noise z ~ N(0, I) at t = 0 to an image x in [-1, 1] at t = 1;
    loss = E |v(x_t, t) - (x - z)|², the mean over pixels, t ~ U(0, 1) for each image.
    Samples solve dx/dt = v(x, t) from noise.
    """

    part = "velocity"

    def terms(self, x: Tensor, y: Tensor | None, rng: Noise) -> dict[str, Tensor]:
        x = x * 2 - 1
        z, t = self.noise(len(x), rng), rng.uniform(len(x))
        at = t.view(-1, 1, 1, 1)
        error = self.net((1 - at) * z + at * x, t, y) - (x - z)
        return {"error": error.square().flatten(1).mean(1)}

    def decode(self, z: Tensor, y: Tensor | None = None, options: FlowSampling | None = None) -> Tensor:
        options = options or FlowSampling()
        return (solved(lambda x, t: self.predicted(x, t, y, options), z, options) / 2 + 0.5).clamp(0, 1)


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


def rk4(v: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """The rule of Runge and Kutta, with weights 1, 2, 2 and 1: fourth order."""
    first = v(x, t)
    second = v(x + h / 2 * first, t + h / 2)
    third = v(x + h / 2 * second, t + h / 2)
    return (first + 2 * second + 2 * third + v(x + h * third, t + h)) / 6


STEPS = {"euler": euler, "midpoint": midpoint, "heun": heun, "rk4": rk4}
