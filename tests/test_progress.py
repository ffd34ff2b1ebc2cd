"""The progress line of training, as a terminal shows it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from counterfeit.training import progress, trainer
from counterfeit.training.trainer import EpochEnded, Logged, Stepped


@pytest.fixture
def screen(monkeypatch) -> io.StringIO:
    """What a terminal of 100 columns gets."""
    page = io.StringIO()
    terminal = Console(file=page, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(progress, "stderr", lambda: terminal)
    return page


def test_there_is_no_speed_before_the_first_row_of_the_log(screen: io.StringIO) -> None:
    list(progress.show([Stepped(1, 100)], epochs=3))
    assert "epoch 1/3" in screen.getvalue() and "images/s" not in screen.getvalue()


@pytest.mark.parametrize("rate, shown", [(1799.2, "1,799 images/s"), (12.7, "13 images/s"), (0.4231, "0.42 images/s")])
def test_losses_and_speed_are_those_of_the_last_row(rate: float, shown: str, screen: io.StringIO) -> None:
    row = Logged(epoch=1, step=50, losses={"loss": 104.2}, images_per_s=rate)
    list(progress.show([Stepped(50, 100), row, EpochEnded(1, 50)], epochs=3))
    assert screen.getvalue().count(f"loss 104.2  {shown}") >= 2
    assert f"epoch   1/3  loss 104.2  {shown}\n" in screen.getvalue()  # the line that stays


@pytest.mark.parametrize(("unit", "shown"), [("nats per image", "test set, in nats per image: "), ("", "test set: ")])
def test_the_test_losses_have_their_unit_where_there_is_one(unit: str, shown: str, screen: io.StringIO) -> None:
    list(progress.show([trainer.Tested({"loss": 104.2, "kl": 25.125}, unit)], epochs=3))
    assert f"{shown}loss 104.2  kl 25.12\n" in screen.getvalue()
