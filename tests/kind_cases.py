"""Runs of every kind of model, trained in seconds: to be sampled, explored and shown."""

from __future__ import annotations

import fcntl
from pathlib import Path

import numpy as np

import counterfeit as cf
from counterfeit.models import MODELS
from counterfeit.settings import having
from loop_cases import KINDS, quick

TRAINED_WELL = ("ae", "vae", "cvae")  # in small batches, so that their latents decide something


def of_every_kind(home: Path) -> dict[str, cf.Run]:
    """One of each of `KINDS`, on 600 real digits in a file, in this folder.

    Whichever process of the tests comes first trains them: `home` is a folder that all of them have.
    """
    home.mkdir(exist_ok=True)
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = home / "digits.npz"
        if not file.exists():
            data = cf.load_data("mnist5k")
            np.savez(file, images=data.images[::8][:600], labels=data.labels[::8][:600])
        for name in KINDS:
            if not (home / name).exists():
                epochs, images = (2, 10) if name in TRAINED_WELL else (1, 100)
                # A layer of 4 channels, as the smallest have, is computed as if for images, which takes longer.
                small = quick(name, images) | ({"width": 8} if "width" in having(MODELS[name].settings) else {})
                cf.train(name, file, out=home / name, epochs=epochs, quiet=True, device="cpu", ema=0.5, **small)
    return {name: cf.load(home / name) for name in KINDS}
