"""One image file: read, examined by its header, and decoded to uint8 of one size."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError, features

from counterfeit.data.image_set import SMALLEST_SIDE

# A file is opened as one of these whatever its name says; Pillow knows more, and runs Ghostscript for one of them.
# Two formats are there only if Pillow was built with their libraries: AVIF since 11.3.
ENDINGS = {
    "PNG": ".png .apng",
    "JPEG": ".jpg .jpeg .jpe .jfif",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "DIB": ".dib",
    "GIF": ".gif",
    "TIFF": ".tif .tiff",
    "PPM": ".ppm .pgm .pbm .pnm",
    **({"AVIF": ".avif .avifs"} if "avif" in features.modules and features.check("avif") else {}),
    **({"JPEG2000": ".jp2 .j2k .j2c .jpx .jpf"} if features.check("jpg_2000") else {}),
}
FORMATS = tuple(ENDINGS)
EXTENSIONS = frozenset(ending for endings in ENDINGS.values() for ending in endings.split())
LONGEST = 8  # times the shorter side
MOST_BYTES = 1 << 30  # of a file, which is held in memory: 4 bytes for each of MOST_PIXELS fit in three times
MOST_PIXELS = 89_478_485  # where Pillow too begins to speak of a decompression bomb: 256 MiB of RGB
# Bytes that decoding takes for a pixel: Pillow holds 4, what is made of them another 4, and libraries' own buffers (the
# coefficients of a progressive JPEG, the canvas of a WebP) as much again.
PIXEL = 12
# Bytes of memory that Pillow asks for at once for a large image. Its 16 MiB glibc may keep when they are freed, in each
# thread, and four images of 88 million pixels leave 1.4 GiB; more than 32 MiB it returns at once.
BLOCK = 1 << 26
STRIP = 1 << 20  # pixels that are converted at a time
# A JPEG is decoded at 1/2, 1/4 or 1/8, which its format allows, if that leaves this many times the wanted size: the
# scaled images then differ from those of the whole by 0.2 of 255 levels on average and by 5 at most, and 12 megapixels
# are at 64x64 in a tenth of the time. At twice the size it would be 0.5 and 9. (benchmarks/bombs.py)
ENOUGH = 4

# How to turn the stored pixels upright, by EXIF orientation; 1 is upright. (ImageOps.exif_transpose does the same but
# writes the EXIF block anew, which fails on the malformed blocks that many cameras write.)
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What decodes and scales: another version may round otherwise, so that its pixels are others.
DECODER = {
    "pillow": PIL.__version__,
    "libjpeg": features.version("jpg") or "none",
    "libwebp": features.version("webp") or "none",
    "libavif": (features.version("avif") if "AVIF" in ENDINGS else None) or "none",
    "openjpeg": features.version("jpg_2000") or "none",
}
# How every image is brought to one form, in the words of receipts.
RULES = {
    "crop": "centered square",
    "filter": "lanczos",
    "transparency": "on white",
    "16_bits": "divided by 257",
    "jpeg": f"decoded at 1/2 to 1/8 where {ENOUGH} times the size is left",
}
EIGHT_BITS = ((np.arange(1 << 16) + 128) // 257).astype(np.uint8)  # of 16, rounded: 65535 becomes 255


class Room:
    """Bytes that several threads may hold together; one that wants more than there are has them all to itself."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Wait until there is room, and hold it while the block runs."""
        wanted = min(wanted, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()


# Of all threads together: the files' contents, and the pixels of four photos of 20 megapixels. In this order only, so
# that nobody waits for who waits for them.
CONTENTS, PIXELS = Room(1 << 28), Room(1 << 30)


class BadPicture(Exception):
    """A file that cannot be used as an image; the message is the fault in a few words."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself: height and width in pixels, whether it is grey, whether it holds several frames."""

    size: tuple[int, int]
    grey: bool
    several_frames: bool


class Decoded(NamedTuple):
    """An image: uint8 (C, H, W); and if it is stored with 16 bits, its lowest and highest value there, 0 to 65,535."""

    pixels: np.ndarray
    deep: tuple[int, int] | None


@contextmanager
def content_of(path: str | Path) -> Iterator[bytes]:
    """All of a file, for as long as the block runs. Raises BadPicture if it cannot be read, or cannot be an image."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
            raise BadPicture("it is not a file")
        if found.st_size > MOST_BYTES:
            raise BadPicture(f"the file has more than {MOST_BYTES >> 20:,} MiB")
    except OSError as error:
        raise BadPicture(_fault(error)) from error
    with CONTENTS.taken(found.st_size):
        yield read(path)


def read(path: str | Path) -> bytes:
    """All of a file. Raises BadPicture if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadPicture(_fault(error)) from error


def examine(content: bytes) -> Header:
    """Parse the header only. Raises BadPicture for a file that is not an image, or one of a size or kind refused."""
    try:
        if not content:
            raise BadPicture("the file is empty")
        with io.BytesIO(content) as file, Image.open(file, formats=FORMATS) as image:
            short, long = sorted(image.size)
            if short * long > MOST_PIXELS:
                raise BadPicture(f"{image.width}x{image.height} is more than {MOST_PIXELS:,} pixels")
            if short < SMALLEST_SIDE:
                raise BadPicture(f"{image.width}x{image.height}: the shorter side is under {SMALLEST_SIDE} pixels")
            if long > LONGEST * short:
                raise BadPicture(f"{image.width}x{image.height}: the longer side is over {LONGEST} times the shorter")
            if image.mode == "F":
                raise BadPicture("its pixels are floats, whose range is not known")
            return Header((image.height, image.width), _is_grey(image), getattr(image, "is_animated", False))
    except (BadPicture, MemoryError):  # the second is no fault of the file
        raise
    except Exception as error:  # Pillow's parsers raise anything at all on a malformed file
        raise BadPicture(_fault(error)) from error


def decode(content: bytes, size: int | None, channels: int) -> Decoded:
    """The centred square of the upright image scaled to uint8 (channels, size, size), 1 channel grey or 3 RGB.

    Without a size it is the whole image as it is, upright. Transparent images lie on white; of several frames it is the
    first; 16 bits of grey become 8; a JPEG that is much larger is decoded at a part of its size, see ENOUGH. Waits for
    room in memory. Raises BadPicture.
    """
    try:
        with io.BytesIO(content) as file, Image.open(file, formats=FORMATS) as image:
            whole = None  # Pillow turns a TIFF as it loads it
            if size is not None and image.format in ("JPEG", "MPO"):
                whole = image.size
                image.draft(None, (ENOUGH * size, ENOUGH * size))
            # Of a progressive JPEG the coefficients are held, all of them at whatever part of its size it is decoded.
            width, height = whole if whole and image.info.get("progressive") else image.size
            with PIXELS.taken(PIXEL * width * height):
                try:
                    return _decoded(image, size, channels, whole)
                finally:
                    image.close()  # frees its pixels before others get the room
    except (BadPicture, MemoryError):  # the second is no fault of the file
        raise
    except Exception as error:  # as above
        raise BadPicture(_fault(error)) from error


def _decoded(image: Image.Image, size: int | None, channels: int, whole: tuple[int, int] | None) -> Decoded:
    if Image.core.get_block_size() < BLOCK:
        Image.core.set_block_size(BLOCK)
    deep = _is_deep(image)
    image.load()
    flat, values = _flat(image, "L" if channels == 1 else "RGB", deep)
    fitted = flat if size is None else squared(flat, size, whole)
    orientation = image.getexif().get(ORIENTATION, 1)
    if orientation in UPRIGHT:
        fitted = fitted.transpose(UPRIGHT[orientation])
    return Decoded(np.asarray(fitted).reshape(fitted.height, fitted.width, channels).transpose(2, 0, 1), values)


def squared(image: Image.Image, size: int, whole: tuple[int, int] | None = None) -> Image.Image:
    """The centred square scaled to (size, size) by Pillow's LANCZOS, which filters when it shrinks.

    `whole` is the width and height of what `image` is an exact half, quarter or eighth of, the last pixels of which may
    stand for fewer: the square is that of the whole.
    """
    width, height = whole or image.size
    scale = -(-width // image.width)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left / scale, top / scale, (left + side) / scale, (top + side) / scale)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)


def _is_grey(image: Image.Image) -> bool:
    """As stored: an RGB image whose pixels happen to be grey is not."""
    if image.mode in ("P", "PA"):
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


def _is_deep(image: Image.Image) -> bool:
    """Whether it is stored with 16 bits a channel, which Pillow can tell only before it loads the pixels."""
    codecs = [
        (tile[0], tile[3]) for tile in getattr(image, "tile", ())
    ]  # such as ("zip", "RGB;16B") or ("ppm", ("RGB", 65535))
    return image.mode.startswith("I") or any(
        ";16" in str(how) or (codec == "ppm" and how[-1] > 255) for codec, how in codecs
    )


def _flat(image: Image.Image, mode: str, deep: bool) -> tuple[Image.Image, tuple[int, int] | None]:
    """The image in this mode, on white, and if it is deep its lowest and highest value: a strip at a time.

    So it is held twice at most, where every step of a conversion would make another whole one.
    """
    if image.mode == mode and not deep and not image.has_transparency_data:
        return image, None
    flat = Image.new(mode, image.size)
    rows = max(1, STRIP // image.width)
    ranges = []
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if deep:
            ranges.append(_values(strip))
        flat.paste(_on_white(_eight_bits(strip)).convert(mode), (0, top))
    return flat, (min(low for low, _ in ranges), max(high for _, high in ranges)) if deep else None


def _values(image: Image.Image) -> tuple[int, int]:
    """Lowest and highest value of an image stored with 16 bits. Of color Pillow keeps the higher 8, alpha apart."""
    pixels = np.asarray(image)
    if image.mode.startswith("I"):
        return int(pixels.min()), int(pixels.max())
    colors = pixels[..., :3]
    return int(colors.min()) << 8, int(colors.max()) << 8 | 255


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey (modes I;16 and I) scaled to 8 bits; Pillow's own conversion would clip at 255."""
    if not image.mode.startswith("I"):
        return image
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise BadPicture("its pixels are 32-bit integers, whose range is not known")
    return Image.fromarray(EIGHT_BITS[pixels])


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba).convert("RGB")


def _fault(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image in a format known here"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MOST_PIXELS:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"it is damaged: {' '.join(str(error).split()) or type(error).__name__}"
