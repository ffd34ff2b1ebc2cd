"""uint8 <-> float and grids."""

from __future__ import annotations

import numpy as np
import torch

from counterfeit.data.pixels import grid, to_float, to_uint8


def test_every_byte_survives_the_round_trip() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(every)), every)
    assert to_float(every).min() == 0 and to_float(every).max() == 1


def test_rounding_is_to_the_nearest_and_clamps() -> None:
    x = torch.tensor([-0.1, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.5])
    assert to_uint8(x).tolist() == [0, 0, 1, 255, 255]
    assert x[0] == torch.tensor(-0.1), "the input is left as it is"


def test_a_grid_holds_every_image_in_reading_order() -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, 1).repeat(4, 2).repeat(6, 3)
    sheet = grid(images, columns=3, gap=1, scale=2)
    assert sheet.shape == (2 * 9 + 1, 3 * 13 + 1, 3)
    for i in range(5):
        row, column = divmod(i, 3)
        cell = sheet[1 + row * 9 : 9 + row * 9, 1 + column * 13 : 13 + column * 13]
        assert (cell == i).all()
    assert (sheet[10:, 27:] == 255).all(), "an empty cell stays white"
