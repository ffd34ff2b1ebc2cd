"""One image file: read, examined by its header, and decoded to uint8."""

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

# A file is opened as one of these formats, whatever its extension. Pillow knows more, and runs Ghostscript for one of
# them. Two formats exist only if Pillow was built with their libraries: JPEG 2000, and AVIF (since Pillow 11.3).
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
LONGEST = 8  # largest ratio of the longer to the shorter side
MOST_BYTES = 1 << 30  # bytes of a file, held in memory: three times 4 bytes for each of MOST_PIXELS
MOST_PIXELS = 89_478_485  # where Pillow also begins to warn of a decompression bomb: 256 MiB of RGB
# Memory for decoding, in bytes per pixel: Pillow needs 4, the converted copy another 4, and the libraries' own buffers
# (the coefficients of a progressive JPEG, the canvas of a WebP) as much again.
PIXEL = 12
# Size of the memory blocks, in bytes, in which Pillow allocates a large image. glibc may keep freed blocks of the
# default 16 MiB, per thread, so that four images of 88 million pixels leave 1.4 GiB; blocks over 32 MiB are returned at
# once.
BLOCK = 1 << 26
STRIP = 1 << 20  # pixels converted at a time
# The JPEG format allows decoding at 1/2, 1/4 or 1/8 of the size. This is used if the result is still at least this many
# times the requested size: the scaled images then differ from those of full decoding by 0.2 of 255 levels on average
# and by at most 5, and 12 megapixels are scaled to 64x64 in a tenth of the time. With a factor of 2, it would be 0.5
# and 9 levels. (benchmarks/bombs.py)
ENOUGH = 4

# Transpositions that turn the stored pixels upright, by EXIF orientation; 1 is upright. (ImageOps.exif_transpose does
# the same but rewrites the EXIF block, which fails on the malformed blocks written by many cameras.)
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
ON_ITS_SIDE = (5, 6, 7, 8)  # whose stored rows are columns
# Versions of the libraries that decode and scale: another version may round differently and give other pixels.
DECODER = {
    "pillow": PIL.__version__,
    "libjpeg": features.version("jpg") or "none",
    "libwebp": features.version("webp") or "none",
    "libavif": (features.version("avif") if "AVIF" in ENDINGS else None) or "none",
    "openjpeg": features.version("jpg_2000") or "none",
}
# How every image is converted to a common form, in the words of receipts.
RULES = {
    "crop": "centered square",  # or OBLONG
    "filter": "lanczos",
    "transparency": "on white",
    "16_bits": "divided by 257",
    "jpeg": f"decoded at 1/2 to 1/8 where {ENOUGH} times the size is left",
}
OBLONG = "centered, in the shape of the size"
EIGHT_BITS = ((np.arange(1 << 16) + 128) // 257).astype(np.uint8)  # 16-bit values rounded to 8 bits: 65535 becomes 255


class Room:
    """A memory budget in bytes shared by several threads; a request for more than the budget gets all of it."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Wait for free memory, and hold it while the block runs."""
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


# Budgets for all threads together: the contents of files, and the pixels of four photos of 20 megapixels. They are
# taken in this order only, so that threads never wait for each other in a circle.
CONTENTS, PIXELS = Room(1 << 28), Room(1 << 30)


class BadPicture(Exception):
    """A file that cannot be used as an image; the message is the fault in a few words."""


@dataclass(frozen=True)
class Header:
    """What a header says: (height, width) in pixels, whether it is grayscale, whether it has several frames."""

    size: tuple[int, int]
    gray: bool
    several_frames: bool


class Decoded(NamedTuple):
    """An image, uint8 (C, H, W), and the lowest and highest value, 0 to 65,535, if it is stored with 16 bits."""

    pixels: np.ndarray
    deep: tuple[int, int] | None


@contextmanager
def content_of(path: str | Path) -> Iterator[bytes]:
    """Read a file; its memory is reserved while the block runs. Raises BadPicture if it is unreadable or too large."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):  # reading from a pipe would wait
            raise BadPicture("it is not a file")
        if found.st_size > MOST_BYTES:
            raise BadPicture(f"the file has more than {MOST_BYTES >> 20:,} MiB")
    except OSError as error:
        raise BadPicture(_fault(error)) from error
    with CONTENTS.taken(found.st_size):
        yield read(path)


def read(path: str | Path) -> bytes:
    """The content of a file. Raises BadPicture if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadPicture(_fault(error)) from error


def examine(content: bytes) -> Header:
    """Parse the header only. Raises BadPicture unless it is an image of an accepted format, size and mode."""
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
            return Header((image.height, image.width), _is_gray(image), getattr(image, "is_animated", False))
    except (BadPicture, MemoryError):  # MemoryError is not the file's fault
        raise
    except Exception as error:  # Pillow's parsers may raise anything on a malformed file
        raise BadPicture(_fault(error)) from error


def decode(content: bytes, size: tuple[int, int] | None, channels: int) -> Decoded:
    """Decode an image: the middle of the upright image, in the shape of `size`, scaled to uint8 (channels, *size).

    If `size` is None, it is the whole upright image without scaling. Transparent images are put on white; of several
    frames, the first is used; 16-bit grayscale is reduced to 8 bits; a much larger JPEG is decoded at reduced size, see
    ENOUGH. Waits until there is enough memory. Raises BadPicture.

    Args:
        content: the bytes of the file.
        size: (height, width) in pixels, or None.
        channels: 1 for grayscale, 3 for RGB.
    """
    try:
        with io.BytesIO(content) as file, Image.open(file, formats=FORMATS) as image:
            whole = None  # Pillow rotates a TIFF when it loads it
            if size is not None and image.format in ("JPEG", "MPO"):
                whole = image.size
                image.draft(None, (ENOUGH * max(size), ENOUGH * max(size)))
            # A progressive JPEG needs memory for all of its coefficients, even when it is decoded at reduced size.
            width, height = whole if whole and image.info.get("progressive") else image.size
            with PIXELS.taken(PIXEL * width * height):
                try:
                    return _decoded(image, size, channels, whole)
                finally:
                    image.close()  # frees its pixels before other threads get the memory
    except (BadPicture, MemoryError):  # MemoryError is not the file's fault
        raise
    except Exception as error:  # see above
        raise BadPicture(_fault(error)) from error


def _decoded(image: Image.Image, size: tuple[int, int] | None, channels: int, whole: tuple[int, int] | None) -> Decoded:
    if Image.core.get_block_size() < BLOCK:
        Image.core.set_block_size(BLOCK)
    deep = _is_deep(image)
    image.load()
    flat, values = _flat(image, "L" if channels == 1 else "RGB", deep)
    orientation = image.getexif().get(ORIENTATION, 1)
    stored = size[::-1] if size and orientation in ON_ITS_SIDE else size
    fitted = flat if stored is None else cropped(flat, stored, whole)
    if orientation in UPRIGHT:
        fitted = fitted.transpose(UPRIGHT[orientation])
    return Decoded(np.asarray(fitted).reshape(fitted.height, fitted.width, channels).transpose(2, 0, 1), values)


def cropped(image: Image.Image, size: tuple[int, int], whole: tuple[int, int] | None = None) -> Image.Image:
    """The middle of an image, as large as it can be in the shape of `size`, scaled to that.

    By Pillow's LANCZOS, which filters when it shrinks.

    Args:
        size: (height, width) in pixels.
        whole: the original width and height if `image` is a JPEG decoded at 1/2, 1/4 or 1/8. The last pixels may then
            stand for fewer original ones, so the middle is that of the original.
    """
    width, height = whole or image.size
    scale = -(-width // image.width)
    # In whole pixels, rounded down for the place; a square's side is the shorter one.
    w, h = min(width, round(height * size[1] / size[0])), min(height, round(width * size[0] / size[1]))
    left, top = (width - w) // 2, (height - h) // 2
    box = (left / scale, top / scale, (left + w) / scale, (top + h) / scale)
    return image.resize(size[::-1], Image.Resampling.LANCZOS, box=box)


def _is_gray(image: Image.Image) -> bool:
    """Whether an image is stored as grayscale; an RGB image that happens to be gray is not."""
    if image.mode in ("P", "PA"):
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


def _is_deep(image: Image.Image) -> bool:
    """Whether an image is stored with 16 bits per channel, which Pillow knows only before it loads the pixels."""
    # Codecs with arguments, such as ("zip", "RGB;16B") or ("ppm", ("RGB", 65535)).
    codecs = [(tile[0], tile[3]) for tile in getattr(image, "tile", ())]
    return image.mode.startswith("I") or any(
        ";16" in str(how) or (codec == "ppm" and how[-1] > 255) for codec, how in codecs
    )


def _flat(image: Image.Image, mode: str, deep: bool) -> tuple[Image.Image, tuple[int, int] | None]:
    """Convert to `mode` on white, in strips; also return the lowest and highest value if the image is deep.

    In strips, at most two copies are in memory at once; otherwise every step of the conversion would make another.
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
    """Lowest and highest value of a 16-bit image, without alpha. Of color images, Pillow keeps the higher 8 bits."""
    pixels = np.asarray(image)
    if image.mode.startswith("I"):
        return int(pixels.min()), int(pixels.max())
    colors = pixels[..., :3]
    return int(colors.min()) << 8, int(colors.max()) << 8 | 255


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grayscale (modes I;16 and I) to 8 bits; Pillow's own conversion would clip at 255."""
    if not image.mode.startswith("I"):
        return image
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise BadPicture("its pixels are 32-bit integers, whose range is not known")
    return Image.fromarray(EIGHT_BITS[pixels])


def in_eight_bits(image: Image.Image) -> Image.Image:
    """A whole image of 8 bits and without transparency, as files are read. Raises BadPicture."""
    if image.mode == "F":
        raise BadPicture("its pixels are 32-bit floats, whose range is not known")
    return _on_white(_eight_bits(image))


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
