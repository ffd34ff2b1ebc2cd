"""Files of a folder that cannot be used: each fault named, and left out where that is asked for."""

import struct
import threading
import warnings
import zlib

import pytest
from PIL import Image

import counterfeit as cf
from counterfeit import data
from folder_cases import NOISE, plain, put, refused


def png_header(width, height):
    """The beginning of a PNG that says it is so large."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data_begins = struct.pack(">I", 1000) + b"IDAT"
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + data_begins


def truncated(name, **options):
    def make(root):
        path = put(root / name, Image.fromarray(NOISE), **options)
        path.write_bytes(path.read_bytes()[:-400])

    return make


BAD = {
    "truncated.png": (truncated("truncated.png"), "damaged"),
    "truncated.jpg": (truncated("truncated.jpg", quality=95), "damaged"),
    "truncated.bmp": (truncated("truncated.bmp"), "damaged"),
    "text.png": (lambda root: (root / "text.png").write_text("hello"), "not an image"),
    "empty.png": (lambda root: (root / "empty.png").write_bytes(b""), "empty"),
    "dot.png": (lambda root: put(root / "dot.png", plain(0, (1, 1), "L")), "1x1"),
    "thin.png": (lambda root: put(root / "thin.png", plain(0, (20, 7), "L")), "under 8 pixels"),
    "strip.png": (lambda root: put(root / "strip.png", plain(0, (10_000, 10), "L")), "over 8 times"),
    "long.png": (lambda root: put(root / "long.png", plain(0, (10, 81), "L")), "over 8 times"),
    "bomb.png": (lambda root: (root / "bomb.png").write_bytes(png_header(20_000, 20_000)), "pixels"),
    "little-bomb.png": (lambda root: (root / "little-bomb.png").write_bytes(png_header(10_000, 10_000)), "pixels"),
    "float.tif": (lambda root: put(root / "float.tif", plain(0.5, mode="F")), "floats"),
    "wide.tif": (lambda root: put(root / "wide.tif", plain(70_000, mode="I")), "32-bit"),
    "minus.tif": (lambda root: put(root / "minus.tif", plain(-1, mode="I")), "32-bit"),
    "link.png": (lambda root: (root / "link.png").symlink_to("nowhere"), "No such file"),
    "loop.png": (lambda root: (root / "loop.png").symlink_to("loop.png"), "symbolic links"),
    "script.png": (
        lambda root: (root / "script.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        "not",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(root, name, capsys):
    make, fault = BAD[name]
    put(root / "a.png")
    put(root / "z.png", plain((1, 1, 1)))
    make(root)
    for size in (None, 16):
        refused(root, root / name, fault, "fix or remove it, or pass --skip-bad", size=size)
    capsys.readouterr()
    loaded = data.load(root, skip_bad=True)
    assert len(loaded) == 2
    said = capsys.readouterr().err
    assert "bad files skipped: 1: " in said and name in said and fault in said
    data.load(root, skip_bad=True)  # from the cache, and said again
    assert name in capsys.readouterr().err


def test_limits_of_good_files(root):
    put(root / "a.png", plain(0, (8, 64)))
    put(root / "b.png", plain(0, (80, 10)))
    put(root / "c.JPEG", plain(0, (16, 16)))
    assert data.load(root).shape == (3, 8, 8)


def test_bad_files_decide_neither_size_nor_channels(root, capsys):
    for i in range(70):  # more than is read at once
        put(root / f"{i}.png", plain(i, (40, 50), "L"))
    path = put(root / "zz.png", Image.fromarray(NOISE))  # 20 pixels, RGB, and its header is sound
    path.write_bytes(path.read_bytes()[:-400])
    (root / "text.png").write_text("hello")
    loaded = data.load(root, skip_bad=True)
    assert loaded.images.shape == (70, 1, 40, 40)
    assert sorted(loaded.images[:, 0, 0, 0].tolist()) == list(range(70))
    assert (
        "bad files skipped: 2: text.png (it is not an image in a format known here), zz.png" in capsys.readouterr().err
    )


def test_nothing_to_use(root):
    refused(root, root, "no images", ".png")
    (root / "notes.txt").write_text("hello")
    put(root / ".hidden.png")
    refused(root, root, "no images")
    (root / "a.png").write_text("hello")
    refused(root, "a.png")
    refused(root, root, "none of its 1 image files can be used: a.png (it is not an image", skip_bad=True)


def test_many_bad_files_are_counted(root, capsys):
    put(root / "good.png")
    for i in range(9):
        (root / f"bad{i}.png").write_bytes(b"")
    data.load(root, skip_bad=True)
    said = capsys.readouterr().err
    assert "bad files skipped: 9: bad0.png (the file is empty), bad1.png" in said and "…" in said
    assert "bad3" not in said


def test_nothing_is_warned_of(root):
    (root / "bomb.png").write_bytes(png_header(10_000, 10_000))
    put(root / "a.png")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.load(root, skip_bad=True)
    assert caught == []


@pytest.mark.parametrize("name", ["empty.png", "truncated.png"])
def test_no_thread_is_left_when_a_folder_is_refused(root, name):
    """Though the error, which holds the frames that it went through, is still at hand."""
    put(root / "a.png")
    BAD[name][0](root)
    before = threading.enumerate()
    with pytest.raises(cf.InputError) as error:
        data.load(root)
    assert threading.enumerate() == before, error.value
