"""The script that made the shipped detectors: it runs, learns, repeats itself, and its files load."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.detectors.small_cnn import load_small_cnn

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import train_detectors as script  # noqa: E402


def test_it_learns_digits_the_same_way_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two epochs of 800 digits instead of eight of 60,000; a guess would be right for 10 %."""
    digits = cf.load_data("mnist5k")
    shuffled = np.random.default_rng(0).permutation(len(digits))
    parts = {"train": shuffled[:800], "test": shuffled[1500:2000]}

    def part(_, split: str) -> cf.ImageSet:
        rows = parts[split]
        return dataclasses.replace(digits, images=digits.images[rows], labels=digits.labels[rows])

    monkeypatch.setattr(script.data, "load", part)
    recipe = dataclasses.replace(script.RECIPES["mnist"], epochs=2, batch_size=25)
    cards = []
    for _ in range(2):
        network, right = script.train("mnist", recipe)
        script.write(network, right, "mnist", recipe, 1.0, tmp_path)
        cards.append(load_small_cnn("mnist-cnn", tmp_path)[1])
    assert cards[0].test_accuracy > 0.7
    assert cards[0].sha256 == cards[1].sha256
    assert cards[0].recipe["epochs"] == 2
