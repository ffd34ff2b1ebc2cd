"""What can be seen to go wrong while a run is trained: what it is called, how it is said, and what usually helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WHERE = "where the model has"
Numbers = Mapping[str, int | float]


@dataclass(frozen=True)
class Kind:
    """A kind of trouble.

    Attributes:
        numbers: the names of what was measured.
        seen: what they say, with the numbers in it.
        helps: what usually helps; options that not every such model has stand after WHERE.
    """

    numbers: tuple[str, ...]
    seen: str
    helps: str


HAS_WON = "discriminator has won"
DIVERGES = "discriminator diverges"
MODE_COLLAPSE = "mode collapse"
NOISE = "noise"
FAR = "far from the data"
POSTERIOR_COLLAPSE = "posterior collapse"
DEAD_CODES = "dead codes"
OVERFITTING = "overfitting"

KINDS: dict[str, Kind] = {
    HAS_WON: Kind(
        ("judged",),
        "the discriminator has won: its loss is {judged:.1%} of what guessing costs",
        "a lower --lr; where the model has them, a lower --lr-discriminator, --label-smoothing 0.1, "
        "--instance-noise 0.1 or --loss bce",
    ),
    DIVERGES: Kind(
        ("judged",),
        "the discriminator diverges: its loss is {judged:,.0f} times what guessing costs",
        "a lower --lr; where the model has them, a lower --lr-discriminator or --loss bce",
    ),
    MODE_COLLAPSE: Kind(
        ("variety",),
        "mode collapse: most samples have a twin, {variety:.1%} as far away as training images are from each other",
        "a lower --lr, a larger --batch-size, another loss or seed",
    ),
    NOISE: Kind(
        ("roughness",),
        "the samples are noise: neighboring pixels differ {roughness:.1f} times as much as in training images",
        "a lower --lr",
    ),
    FAR: Kind(
        ("distance",),
        "the samples are unlike the data: {distance:.1f} times as far from training images as these from each other",
        "a lower --lr",
    ),
    POSTERIOR_COLLAPSE: Kind(
        ("active", "latents"),
        "posterior collapse: {active:,} of {latents:,} latents say anything of an image",
        "a lower --lr; where the model has it, a smaller --kl-weight",
    ),
    DEAD_CODES: Kind(
        ("used", "codes"),
        "dead codes: {used:,} of {codes:,} codes are in use",
        "fewer --codes, a higher --revival, or more images",
    ),
    OVERFITTING: Kind(
        ("train", "test"),
        "overfitting: the loss of training images is {train:.4g}, that of test images {test:.4g}",
        "more images, or, where the test loss rises, fewer --epochs or --steps; where the model has it, fewer --codes",
    ),
}


def in_words(kind: str, numbers: Numbers) -> str:
    """One line: what was seen, and what usually helps."""
    return f"{KINDS[kind].seen.format(**numbers)}; what usually helps: {KINDS[kind].helps}"
