"""What a run is where its user has not said: of few images, of which ten epochs are a few steps, or of a budget."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from counterfeit.models import ModelSettings
from counterfeit.models.sngan import SNGANSettings
from counterfeit.settings import LENGTHS

IMAGES = 5_000  # below, a discriminator that sees every image a hundred times knows them
STEPS = 5_000
EMA = 0.999


def helpful(config: ModelSettings, channels: int) -> dict[str, Any]:
    """Settings that keep a GAN from learning few images by heart, of those that the run has not; {} for other models.

    Args:
        channels: of the images: gray ones have no colors to change.
    """
    if getattr(config, "changes", None) != []:  # of models that have `augment`
        return {}
    changes = "color,translation,cutout" if channels > 1 else "translation,cutout"
    if isinstance(config, SNGANSettings):  # whose normalized discriminator tells nothing apart after all of them
        changes = "translation"
    return {"augment": changes} if config.ema else {"augment": changes, "ema": EMA}


def open_to(config: ModelSettings, given: Collection[str]) -> set[str]:
    """Names of the settings that `chosen` may choose, where the user gave these."""
    names = {"lr_decay", "schedule"} if config.budget else set()
    if set(LENGTHS).isdisjoint(given):
        names = {name for name in ("steps", "augment", "ema", "lr_decay", "schedule") if hasattr(config, name)}
    return names - {*given}


def chosen(config: ModelSettings, given: Collection[str], images: int, channels: int) -> dict[str, Any]:
    """Settings in place of the model's own, for a run of few images of which no length was given, or of a budget.

    Rates that decay by epochs are made for a number of them: where that is another, they fall on a line.

    Args:
        given: names of the settings that the user gave, which stay.
        images: how many there are to train on.
    """
    free, found = open_to(config, given), {}
    if "steps" in free and images < IMAGES:
        helps = helpful(config, channels)
        found = {"steps": STEPS, **{name: value for name, value in helps.items() if name in free}}
    if (found or config.budget) and config.lr_decay < 1 and free >= {"lr_decay", "schedule"}:
        found |= {"lr_decay": 1.0, "schedule": "linear"}
    return found
