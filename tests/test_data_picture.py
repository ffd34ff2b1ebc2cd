"""One image file: every mode, orientation and size. Expected pixels are worked out by hand."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from counterfeit import data
from counterfeit.data import picture
from folder_cases import NOISE, plain, put


def decode(path: Path, size: int, channels: int) -> np.ndarray:
    return picture.decode(picture.read(path), (size, size), channels).pixels


def color(path: Path, channels=3):
    """The one color of the image decoded at 8x8."""
    pixels = decode(path, 8, channels)
    assert pixels.shape == (channels, 8, 8) and pixels.dtype == np.uint8
    assert (pixels == pixels[:, :1, :1]).all()
    return tuple(pixels[:, 0, 0].tolist())


@pytest.mark.parametrize(
    ("name", "image", "rgb", "gray"),
    [
        ("rgb.png", plain((200, 100, 50)), (200, 100, 50), False),
        ("gray.png", plain(77, mode="L"), (77, 77, 77), True),
        ("gray.jpg", plain(128, mode="L"), (128, 128, 128), True),
        ("one-bit.png", plain(1, mode="1"), (255, 255, 255), True),
        ("half-clear.png", plain((255, 0, 0, 128), mode="RGBA"), (255, 127, 127), False),
        ("all-clear.png", plain((255, 0, 0, 0), mode="RGBA"), (255, 255, 255), False),
        ("half-clear-gray.png", plain((0, 128), mode="LA"), (127, 127, 127), True),
        ("clear.webp", plain((0, 0, 0, 0), mode="RGBA"), (255, 255, 255), False),
        ("cmyk.tif", plain((0, 255, 255, 0), mode="CMYK"), (255, 0, 0), False),
        ("colors.gif", plain((0, 0, 255)), (0, 0, 255), False),
        ("16-bit.png", Image.fromarray(np.full((16, 16), 65535, np.uint16)), (255,) * 3, True),
        ("16-bit-middle.png", Image.fromarray(np.full((16, 16), 128 * 257, np.uint16)), (128,) * 3, True),
        ("16-bit-up.tif", Image.fromarray(np.full((16, 16), 129, np.uint16)), (1, 1, 1), True),
        ("16-bit-down.tif", Image.fromarray(np.full((16, 16), 128, np.uint16)), (0, 0, 0), True),
        ("32-bit.tif", Image.fromarray(np.full((16, 16), 257 * 9, np.int32)), (9, 9, 9), True),
        ("bitmap.bmp", plain((1, 2, 3)), (1, 2, 3), False),
        ("map.ppm", plain((1, 2, 3)), (1, 2, 3), False),
    ],
)
def test_modes(root, name, image, rgb, gray):
    path = put(root / name, image)
    assert picture.examine(path.read_bytes()) == picture.Header((16, 16), gray, False)
    assert color(path) == rgb
    if gray:
        assert color(path, channels=1) == rgb[:1]


def test_ycbcr(root):
    path = put(root / "a.tif", plain((76, 85, 255), mode="YCbCr"), compression="tiff_lzw")
    assert np.abs(np.array(color(path)) - (254, 0, 0)).max() <= 1  # JPEG's red


def test_16_bit_pgm_of_big_endian(root):
    (root / "a.pgm").write_bytes(b"P5 8 8 65535\n" + struct.pack(">H", 0x8080) * 64)
    assert color(root / "a.pgm", 1) == (128,)


def test_palettes(root):
    image = plain(1, mode="P")
    image.putpalette([0, 0, 0, 250, 120, 60])
    assert color(put(root / "palette.png", image)) == (250, 120, 60)
    assert color(put(root / "clear.png", image, transparency=1)) == (255, 255, 255)
    image.putpalette([9, 9, 9, 40, 40, 40])
    assert picture.examine(put(root / "gray.png", image).read_bytes()).gray
    assert color(root / "gray.png", 1) == (40,)


def test_several_frames(root, capsys):
    frames = [plain((255, 0, 0)), plain((0, 255, 0)), plain((0, 0, 255))]
    for name in ("a.gif", "b.webp", "c.png"):
        put(
            root / name,
            frames[0],
            save_all=True,
            append_images=frames[1:],
            **({"lossless": True} if "w" in name else {}),
        )
    put(root / "d.png", frames[0])
    loaded = data.load(root)
    assert (loaded.images == np.array([255, 0, 0])[:, None, None]).all()
    assert "with several frames: 3; the first frame of each is used" in capsys.readouterr().err
    data.load(root)
    assert "several frames" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(root, name, orientation):
    quarters = np.kron([[0, 80], [160, 240]], np.ones((32, 32))).astype(np.uint8)
    image = Image.fromarray(quarters).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    put(root / name, image, exif=exif)
    with Image.open(root / name) as stored:
        stored.load()  # a TIFF is turned here by Pillow itself
        upright = ImageOps.exif_transpose(stored).convert("L").resize((8, 8), Image.Resampling.BOX)
    difference = decode(root / name, 8, 1)[0].astype(int) - np.asarray(upright)
    assert abs(difference[[1, 1, 6, 6], [1, 6, 1, 6]]).max() < 12  # the middles of the quarters


def test_malformed_exif_is_no_fault(root):
    put(root / "a.jpg", plain((0, 0, 0)), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    put(root / "b.jpg", plain((0, 0, 0)))
    assert (data.load(root).images == 0).all()


def test_the_center_is_kept(root):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    for name, image in (("wide.png", wide), ("tall.png", wide.transpose(1, 0, 2))):
        pixels = decode(put(root / name, Image.fromarray(image)), 8, 3)
        assert abs(pixels[:, 2:-2, 2:-2].astype(int) - 200).max() <= 4  # the filter reaches over the cut at the edge


def test_pixels_are_untouched_where_nothing_is_scaled(root):
    path = put(root / "a.png", Image.fromarray(NOISE[:16, :21]))
    assert np.array_equal(decode(path, 16, 3), NOISE[:16, 2:18].transpose(2, 0, 1))
    path = put(root / "b.png", Image.fromarray(NOISE[:16, :16]))
    assert np.array_equal(decode(path, 16, 3), NOISE[:16, :16].transpose(2, 0, 1))


def test_shrinking_filters_and_growing_is_smooth(root):
    checks = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    small = decode(put(root / "a.png", Image.fromarray(checks)), 16, 1)
    assert abs(small.astype(int) - 127).max() <= 2  # a gray, where a bare sample would be black or white
    ramp = np.tile(np.linspace(50, 200, 8).astype(np.uint8), (8, 1))
    large = decode(put(root / "b.png", Image.fromarray(ramp)), 64, 1)[0].astype(int)
    assert len(np.unique(large[0])) > 40
    assert (np.diff(large[0, 6:-6]) >= 0).all()
