"""PNG files as data: URIs, compressed until they fit into the page."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from counterfeit.system import reading

ROOM = 3_600_000  # bytes of all images in the page: with charts, tables and receipts it stays under 5 MB
# From best to smallest: number of palette colors (None: all of them) and scale relative to the original size.
LEVELS = ((None, 1.0), (256, 1.0), (96, 1.0), (48, 0.75), (32, 0.5), (16, 0.33), (16, 0.2))
MOST_BYTES = 512 << 20  # of a file
MOST_PIXELS = 1 << 27  # the largest that `counterfeit report` draws: 5 rows of 20 images with a side of 1,024 pixels
FIRST_SIDE = 1400  # pixels: a larger image is scaled down, however much room there is


@dataclass(frozen=True)
class Embedded:
    """An image in the page.

    Attributes:
        uri: data:image/png;base64,…
        width, height: size in pixels before any scaling.
        small: whether the browser should show its pixels as squares; true if it was not scaled down.
    """

    uri: str
    width: int
    height: int
    small: bool


class Picture(NamedTuple):
    """An image, scaled down to FIRST_SIDE if it was larger, with the width and height that it has in its file."""

    image: Image.Image
    width: int
    height: int


def embed(paths: Iterable[Path], room: int = ROOM) -> tuple[dict[Path, Embedded], list[str]]:
    """Embed the images, all at the same level of compression; also return one sentence for each that is missing.

    Uses the first level at which all images fit. If they fit at no level, the last images are left out.
    """
    opened: dict[Path, Picture] = {}
    made: dict[Path, Embedded] = {}
    faults = []
    for path in dict.fromkeys(paths):
        try:
            opened[path] = _opened(path)
        except MemoryError:
            raise
        except Exception as error:  # Pillow's parsers can raise anything on a malformed file
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            faults.append(f"{path} cannot be shown: {reason}")
    for colors, scale in LEVELS:
        made = _up_to(opened, colors, scale, room)
        if len(made) == len(opened):
            return made, faults
    return made, [*faults, f"{len(opened) - len(made)} pictures are left out: the page would be too large"]


def _opened(path: Path) -> Picture:
    """Open a PNG file and scale it down to FIRST_SIDE. Raises OSError, or whatever Pillow raises."""
    content = reading.content(path, MOST_BYTES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # files that are too large are reported below
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"{width}x{height} is more than {MOST_PIXELS:,} pixels")
            plain = image.convert("L" if image.mode in ("1", "L", "I", "I;16") else "RGB")
    return Picture(_scaled(plain, FIRST_SIDE / max(width, height)), width, height)


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _up_to(opened: dict[Path, Picture], colors: int | None, scale: float, room: int) -> dict[Path, Embedded]:
    """Embed the images in order, as many as there is room for."""
    made: dict[Path, Embedded] = {}
    for path, picture in opened.items():
        one = _encoded(picture, colors, scale)
        room -= len(one.uri)
        if room < 0:
            break
        made[path] = one
    return made


def _encoded(picture: Picture, colors: int | None, scale: float) -> Embedded:
    scale = min(scale, FIRST_SIDE / max(picture.width, picture.height))
    image = _scaled(picture.image, scale * picture.width / picture.image.width)
    if colors is not None:
        image = image.quantize(colors, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Embedded(uri, picture.width, picture.height, scale == 1)
