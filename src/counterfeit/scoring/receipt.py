"""The parts of a receipt that every score has in the same form: what was scored, against what, and where."""

from __future__ import annotations

from typing import Any

import torch

from counterfeit.data import ImageSet
from counterfeit.data.form import form_of
from counterfeit.runs.provenance import provenance
from counterfeit.scoring.images import Images, used


def of_images(fakes: Images, n: int, seed: int, repeats: int) -> dict[str, Any]:
    """Of generated images."""
    return {"name": fakes.name, "n": n, "seed": seed, "repeats": repeats, "digest": fakes.digest, "form": fakes.form}


def of_real(images: ImageSet) -> dict[str, Any]:
    """Of the real images that are compared with."""
    return {**(of_bounded(images) or {}), "form": form_of(images)}


def of_set(images: ImageSet | None) -> dict[str, Any] | None:
    """Of a split of real images, which are all used; None where there is none."""
    if images is None:
        return None
    return {"name": images.name, "split": images.split, "n": len(images), "digest": images.digest}


def of_bounded(images: ImageSet | None) -> dict[str, Any] | None:
    """The same, and where there are too many to use them all, of how many the n are a choice, and its seed."""
    whole = of_set(images)
    if images is None or whole is None or used(images) == len(images):
        return whole
    return {**whole, "n": used(images), "of": len(images), "seed": 0}


def of_floor(images: ImageSet | None, n: int, seed: int) -> dict[str, Any] | None:
    """Of the split that n real images stand in for generated ones from, all or a choice by the seed."""
    floor = of_set(images)
    return floor and {**floor, "n": min(n, floor["n"]), "seed": seed}


def made_here(device: torch.device) -> dict[str, Any]:
    """Versions, machine, time, command and code revision of this process."""
    here = provenance(device)
    return {name: here[name] for name in ("versions", "machine", "time", "command", "code_revision")}
