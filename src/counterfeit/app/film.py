"""The sample grids of a run, of the same noise at every epoch, one after the other: as a film."""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from counterfeit.app.view import grid
from counterfeit.errors import InputError
from counterfeit.runs import RunFolder
from counterfeit.system import reading

MOST_FRAMES = 150
MOST_BYTES, MOST_SIDE = 64 << 20, 8400  # of a picture: a grid of 512-pixel images is 8210 wide
SHOWN_SIDE = 1100  # pixels, to which larger ones are shrunk: a grid of 64-pixel images is 1042 wide
PATIENCE = 60.0  # seconds to wait for another film
FRAME, LAST = 120, 1500  # milliseconds
_making = threading.Lock()  # one at a time, as each takes memory


def gif(folder: RunFolder, epochs: Sequence[int]) -> bytes:
    """An animated GIF of at most MOST_FRAMES sample grids, evenly spread. Raises InputError: it has none."""
    if not epochs:
        raise InputError("there are no sample grids yet")
    n = min(MOST_FRAMES, len(epochs))
    chosen = (epochs[round(i * (len(epochs) - 1) / max(1, n - 1))] for i in range(n))
    frames = (frame(grid(folder, epoch)) for epoch in chosen)  # each is read when it is written
    times = [FRAME] * (n - 1) + [LAST]
    if not _making.acquire(timeout=PATIENCE):
        raise InputError("other films are being made: wait for them")
    try:
        buffer = io.BytesIO()
        next(frames).save(buffer, "GIF", save_all=True, append_images=frames, duration=times, loop=0, disposal=1)
        return buffer.getvalue()
    finally:
        _making.release()


def frame(path: Path) -> Image.Image:
    """A picture of a bounded size, with the colors that a GIF has. Raises InputError."""
    try:
        content = reading.content(path, MOST_BYTES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is looked at below
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                if max(image.size) > MOST_SIDE:
                    raise ValueError(f"it is larger than {MOST_SIDE} pixels")
                shown = image.convert("L" if image.mode in ("1", "L") else "RGB")
        # By a whole number, so that pixels, which a grid has doubled, stay crisp as long as they can.
        return shown.reduce(math.ceil(max(shown.size) / SHOWN_SIDE)).quantize(128, dither=Image.Dither.NONE)
    except Exception as error:  # Pillow's parsers can raise anything on a malformed file
        raise InputError(f"{path.name} cannot be shown ({error})") from None
