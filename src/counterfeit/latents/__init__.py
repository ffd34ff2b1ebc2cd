"""Ways through a latent space: lines, arcs and planes, and directions that are worth following."""

from counterfeit.latents.directions import Directions, principal, random, strongest
from counterfeit.latents.paths import arc, checked, is_finite, line, plane

__all__ = ["Directions", "arc", "checked", "is_finite", "line", "plane", "principal", "random", "strongest"]
