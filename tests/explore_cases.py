"""Runs to explore, trained in seconds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from loop_cases import quick


def trained(names: Iterable[str], home: Path, test_cache: Path) -> dict[str, cf.Run]:
    """Each on 500 real digits in a file; those that encode in small batches, so that their latents decide something."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        data = cf.load_data("mnist5k")
    file = home / "digits.npz"
    np.savez(file, images=data.images[::10], labels=data.labels[::10])
    return {
        name: cf.train(
            name,
            file,
            out=home / name,
            epochs=2 if name in ("ae", "vae", "cvae") else 1,
            quiet=True,
            device="cpu",
            **quick(name, 10 if name in ("ae", "vae", "cvae") else 100),
        )
        for name in names
    }
