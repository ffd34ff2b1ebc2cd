"""What a browser may ask of a latent space: each request as a type, whose numbers are bounded."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from counterfeit.errors import InputError
from counterfeit.exploring import Explorer
from counterfeit.exploring.explorer import Kind
from counterfeit.system.arguments import shown

MOST_OPTION = 1000  # such as steps of a sampler: more would keep everybody waiting

Text = Annotated[str, Meta(max_length=200)]
Seed = Annotated[int, Meta(ge=0, le=2**31)]
Index = Annotated[int, Meta(ge=0, le=1023)]
Amount = Annotated[float, Meta(ge=-20, le=20)]
Latent = Annotated[list[float], Meta(max_length=1 << 14)]
Side = Annotated[int, Meta(ge=2, le=11)]


class Sample(msgspec.Struct, frozen=True, tag="sample", tag_field="is", forbid_unknown_fields=True):
    """The latent of sample `index` of a seed."""

    index: Index = 0
    seed: Seed = 0


class Mean(msgspec.Struct, frozen=True, tag="mean", tag_field="is", forbid_unknown_fields=True):
    """The mean of the latents of samples."""


class ClassMean(msgspec.Struct, frozen=True, tag="class", tag_field="is", forbid_unknown_fields=True):
    """The mean code of the training images of a class."""

    label: Index


class Code(msgspec.Struct, frozen=True, tag="code", tag_field="is", forbid_unknown_fields=True):
    """A latent, number by number."""

    z: Latent


Point = Sample | Mean | ClassMean | Code


class Axis(msgspec.Struct, frozen=True, tag="axis", tag_field="is", forbid_unknown_fields=True):
    """One standard deviation along a direction, see `Explorer.directions`."""

    kind: Kind
    axis: Annotated[int, Meta(ge=0, le=63)] = 0
    seed: Seed = 0


class Towards(msgspec.Struct, frozen=True, tag="towards", tag_field="is", forbid_unknown_fields=True):
    """The way from the center to another point, all of it."""

    point: Point


Direction = Axis | Towards


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many times a direction."""

    direction: Direction
    amount: Amount


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every request has.

    Attributes:
        run: id of a run.
        client: a word that a page draws at random: of its requests of a kind, only the newest is answered.
        label: class of the images, for a conditional model.
        options: options of sampling that are not as usual.
    """

    run: Text
    client: Annotated[str, Meta(max_length=40)] = ""
    label: Index | None = None
    options: Annotated[dict[Text, int | float | Text], Meta(max_length=10)] = {}


class Where(Asked, frozen=True, kw_only=True):
    """A place: a center, and moves away from it."""

    center: Point = Sample()
    moves: Annotated[list[Move], Meta(max_length=32)] = []


class Plane(Where, frozen=True, kw_only=True):
    """A grid of images on a plane through a place: `steps` each way, the amounts `u` across and `v` down."""

    across: Direction
    down: Direction
    u: tuple[Amount, Amount] = (-3.0, 3.0)
    v: tuple[Amount, Amount] = (-3.0, 3.0)
    steps: Side = 7


class Morph(Asked, frozen=True, kw_only=True):
    """Images on the way from a to b.

    Attributes:
        label_b: class of b, where it is another than `label`, which is a's: the images nearer to b have it.
    """

    a: Point
    b: Point
    label_b: Index | None = None
    path: Literal["linear", "spherical"] = "linear"
    steps: Annotated[int, Meta(ge=2, le=24)] = 10


class Samples(Asked, frozen=True, kw_only=True):
    """The first samples of a seed."""

    seed: Seed = 0
    n: Annotated[int, Meta(ge=1, le=64)] = 24


class Picture(Asked, frozen=True, kw_only=True):
    """An image to encode: a picture, as base64, or a row of the test images.

    Attributes:
        drawn: whether it is a digit drawn in white on black, to be sized and placed as those of MNIST.
        inverted: whether dark and light change places.
    """

    picture: Annotated[str, Meta(max_length=3 << 20)] | None = None
    row: Annotated[int, Meta(ge=0)] | None = None
    drawn: bool = False
    inverted: bool = False


S = TypeVar("S", bound=Asked)


def read(posted: dict[str, Any], kind: type[S]) -> S:
    """The request that was posted. Raises InputError for what it cannot be."""
    try:
        asked = msgspec.convert(posted, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"this cannot be asked: {str(error)[:200]}") from None
    for name, value in asked.options.items():
        if not isinstance(value, str) and not abs(value) <= MOST_OPTION:
            raise InputError(f"{name} is {shown(value)}; here it can be at most {MOST_OPTION}")
    return asked


def latent(explorer: Explorer, point: Point) -> np.ndarray:
    """The latent of a point: float32 (*latent_shape). Raises InputError where there is none."""
    shape = explorer.model.latent_shape
    if isinstance(point, Code):
        if len(point.z) != math.prod(shape):
            raise InputError(f"a latent of this run has {math.prod(shape):,} numbers, not {len(point.z):,}")
        return np.array(point.z, np.float32).reshape(shape)
    if isinstance(point, Mean):
        return np.asarray(explorer.spread.mean(axis=0))
    if isinstance(point, ClassMean):
        means = explorer.class_means()
        if point.label >= len(means):
            raise InputError(f"there is no class {point.label}: choose 0 to {len(means) - 1}")
        return np.asarray(means[point.label])
    return np.asarray(explorer.run.noise(point.index + 1, seed=point.seed)[-1])


def place(explorer: Explorer, asked: Where) -> np.ndarray:
    """The latent at a place: float32 (*latent_shape)."""
    center = latent(explorer, asked.center)
    return sum((move.amount * step(explorer, center, move.direction) for move in asked.moves), start=center)


def step(explorer: Explorer, center: np.ndarray, direction: Direction) -> np.ndarray:
    """What one unit of a direction adds to a latent: (*latent_shape)."""
    if isinstance(direction, Towards):
        return latent(explorer, direction.point) - center
    found = explorer.directions(direction.kind, max(10, direction.axis + 1), seed=direction.seed)
    return found.step(direction.axis)
