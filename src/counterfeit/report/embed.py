"""PNG files as data: addresses, as small as the page has room for."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOM = 3_600_000  # bytes of all pictures in the page: with charts, tables and receipts it stays under 5 MB
# From the best to the smallest: colours in the palette (None: all there are) and sides beside the original's.
LEVELS = ((None, 1.0), (256, 1.0), (96, 1.0), (48, 0.75), (32, 0.5), (16, 0.33), (16, 0.2))
FIRST_SIDE = 1400  # pixels: a picture that is larger is scaled down, whatever room there is


@dataclass(frozen=True)
class Embedded:
    """A picture in the page.

    Attributes:
        uri: data:image/png;base64,…
        width, height: in pixels as it was drawn.
        small: whether its pixels are to be seen as squares: it was not scaled down.
    """

    uri: str
    width: int
    height: int
    small: bool


def embed(paths: Iterable[Path], room: int = ROOM) -> tuple[dict[Path, Embedded], list[str]]:
    """The pictures, all with the same economy, and a sentence on each that is not among them.

    The first level is taken at which all fit; where none does, the last pictures are left out.
    """
    opened: dict[Path, Image.Image] = {}
    made: dict[Path, Embedded] = {}
    faults = []
    for path in dict.fromkeys(paths):
        try:
            with Image.open(path) as image:
                opened[path] = image.convert("L" if image.mode in ("1", "L", "I", "I;16") else "RGB")
        except (OSError, ValueError) as error:
            faults.append(f"{path} cannot be shown: {getattr(error, 'strerror', None) or error}")
    for colours, scale in LEVELS:
        made = _up_to(opened, colours, scale, room)
        if len(made) == len(opened):
            return made, faults
    return made, [*faults, f"{len(opened) - len(made)} pictures are left out: the page would be too large"]


def _up_to(opened: dict[Path, Image.Image], colours: int | None, scale: float, room: int) -> dict[Path, Embedded]:
    """The pictures in their order, as many as there is room for."""
    made: dict[Path, Embedded] = {}
    for path, image in opened.items():
        one = _encoded(image, colours, scale)
        room -= len(one.uri)
        if room < 0:
            break
        made[path] = one
    return made


def _encoded(image: Image.Image, colours: int | None, scale: float) -> Embedded:
    width, height = image.size
    scale = min(scale, FIRST_SIDE / max(width, height))
    if scale < 1:
        image = image.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.LANCZOS)
    if colours is not None:
        image = image.quantize(colours, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Embedded(uri, width, height, scale == 1)
