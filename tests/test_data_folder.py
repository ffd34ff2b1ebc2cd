"""Folders of images: every mode and fault, scaling, labels, the cache. Expected pixels are worked out by hand."""

import os
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from counterfeit import data
from counterfeit.data import picture
from counterfeit.errors import DataError, InputError

rng = np.random.default_rng(0)
NOISE = rng.integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "photos"
    path.mkdir()
    return path


def plain(colour, size=(16, 16), mode="RGB"):
    return Image.new(mode, size, colour)


def put(path: Path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or plain((10, 20, 30))).save(path, **options)
    return path


def colour(path: Path, channels=3):
    """The one colour of the image decoded at 8x8."""
    pixels = picture.decode(path, 8, channels)
    assert pixels.shape == (channels, 8, 8) and pixels.dtype == np.uint8
    assert (pixels == pixels[:, :1, :1]).all()
    return tuple(pixels[:, 0, 0].tolist())


def refused(path, *parts, **options):
    with pytest.raises(DataError) as caught:
        data.load(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message, message


# --- one file


@pytest.mark.parametrize(
    ("name", "image", "rgb", "grey"),
    [
        ("rgb.png", plain((200, 100, 50)), (200, 100, 50), False),
        ("grey.png", plain(77, mode="L"), (77, 77, 77), True),
        ("grey.jpg", plain(128, mode="L"), (128, 128, 128), True),
        ("one-bit.png", plain(1, mode="1"), (255, 255, 255), True),
        ("half-clear.png", plain((255, 0, 0, 128), mode="RGBA"), (255, 127, 127), False),
        ("all-clear.png", plain((255, 0, 0, 0), mode="RGBA"), (255, 255, 255), False),
        ("half-clear-grey.png", plain((0, 128), mode="LA"), (127, 127, 127), True),
        ("clear.webp", plain((0, 0, 0, 0), mode="RGBA"), (255, 255, 255), False),
        ("cmyk.tif", plain((0, 255, 255, 0), mode="CMYK"), (255, 0, 0), False),
        ("colours.gif", plain((0, 0, 255)), (0, 0, 255), False),
        ("16-bit.png", Image.fromarray(np.full((16, 16), 65535, np.uint16)), (255,) * 3, True),
        ("16-bit-middle.png", Image.fromarray(np.full((16, 16), 128 * 257, np.uint16)), (128,) * 3, True),
        ("16-bit-up.tif", Image.fromarray(np.full((16, 16), 129, np.uint16)), (1, 1, 1), True),
        ("16-bit-down.tif", Image.fromarray(np.full((16, 16), 128, np.uint16)), (0, 0, 0), True),
        ("32-bit.tif", Image.fromarray(np.full((16, 16), 257 * 9, np.int32)), (9, 9, 9), True),
        ("bitmap.bmp", plain((1, 2, 3)), (1, 2, 3), False),
        ("map.ppm", plain((1, 2, 3)), (1, 2, 3), False),
    ],
)
def test_modes(root, name, image, rgb, grey):
    path = put(root / name, image)
    assert picture.examine(path) == picture.Header(16, grey, False)
    assert colour(path) == rgb
    if grey:
        assert colour(path, channels=1) == rgb[:1]


def test_ycbcr(root):
    path = put(root / "a.tif", plain((76, 85, 255), mode="YCbCr"), compression="tiff_lzw")
    assert np.abs(np.array(colour(path)) - (254, 0, 0)).max() <= 1  # JPEG's red


def test_16_bit_pgm_of_big_endian(root):
    (root / "a.pgm").write_bytes(b"P5 8 8 65535\n" + struct.pack(">H", 0x8080) * 64)
    assert colour(root / "a.pgm", 1) == (128,)


def test_palettes(root):
    image = plain(1, mode="P")
    image.putpalette([0, 0, 0, 250, 120, 60])
    assert colour(put(root / "palette.png", image)) == (250, 120, 60)
    assert colour(put(root / "clear.png", image, transparency=1)) == (255, 255, 255)
    image.putpalette([9, 9, 9, 40, 40, 40])
    assert picture.examine(put(root / "grey.png", image)).grey
    assert colour(root / "grey.png", 1) == (40,)


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
    assert "hold several frames: 3; the first frame of each is used" in capsys.readouterr().err
    data.load(root)
    assert "frames" not in capsys.readouterr().err


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
    difference = picture.decode(root / name, 8, 1)[0].astype(int) - np.asarray(upright)
    assert abs(difference[[1, 1, 6, 6], [1, 6, 1, 6]]).max() < 12  # the middles of the quarters


def test_malformed_exif_is_no_fault(root):
    put(root / "a.jpg", plain((0, 0, 0)), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    put(root / "b.jpg", plain((0, 0, 0)))
    assert (data.load(root).images == 0).all()


def test_the_centre_is_kept(root):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    for name, image in (("wide.png", wide), ("tall.png", wide.transpose(1, 0, 2))):
        pixels = picture.decode(put(root / name, Image.fromarray(image)), 8, 3)
        assert abs(pixels[:, 2:-2, 2:-2].astype(int) - 200).max() <= 4  # the filter reaches over the cut at the edge


def test_pixels_are_untouched_where_nothing_is_scaled(root):
    path = put(root / "a.png", Image.fromarray(NOISE[:16, :21]))
    assert np.array_equal(picture.decode(path, 16, 3), NOISE[:16, 2:18].transpose(2, 0, 1))
    path = put(root / "b.png", Image.fromarray(NOISE[:16, :16]))
    assert np.array_equal(picture.decode(path, 16, 3), NOISE[:16, :16].transpose(2, 0, 1))


def test_shrinking_filters_and_growing_is_smooth(root):
    checks = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    small = picture.decode(put(root / "a.png", Image.fromarray(checks)), 16, 1)
    assert abs(small.astype(int) - 127).max() <= 2  # a grey, where a bare sample would be black or white
    ramp = np.tile(np.linspace(50, 200, 8).astype(np.uint8), (8, 1))
    large = picture.decode(put(root / "b.png", Image.fromarray(ramp)), 64, 1)[0].astype(int)
    assert len(np.unique(large[0])) > 40
    assert (np.diff(large[0, 6:-6]) >= 0).all()


# --- bad files


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
        refused(root, root / name, fault, "mend or remove it, or pass --skip-bad", size=size)
    capsys.readouterr()
    loaded = data.load(root, skip_bad=True)
    assert len(loaded) == 2
    said = capsys.readouterr().err
    assert "bad files left out: 1: " in said and name in said and fault in said
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
        "bad files left out: 2: text.png (it is not an image in a format known here), zz.png" in capsys.readouterr().err
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
    assert "bad files left out: 9: bad0.png (the file is empty), bad1.png" in said and "…" in said
    assert "bad3" not in said


def test_nothing_is_warned_of(root):
    (root / "bomb.png").write_bytes(png_header(10_000, 10_000))
    put(root / "a.png")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.load(root, skip_bad=True)
    assert caught == []


# --- the folder


def test_any_tree(root):
    names = ["b.png", "a.PNG", "deep/er/c.webp", "deep/d.jpg", ".hidden/x.png", "deep/._d.jpg", "notes.txt", "e.svg"]
    for i, name in enumerate(names):
        path = root / name
        if path.suffix in (".txt", ".svg"):
            path.write_text("hello")
        else:
            put(root / "temporary.png", plain((i * 10,) * 3, (20 + i, 30)))
            path.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(root / "temporary.png") as image:
                image.save(path, "png")
            (root / "temporary.png").unlink()
    loaded = data.load(str(root))
    assert loaded.images.shape == (4, 3, 20, 20)
    assert loaded.images[:, 0, 0, 0].tolist() == [10, 0, 30, 20]  # a.PNG, b.png, deep/d.jpg, deep/er/c.webp
    assert (loaded.name, loaded.split, loaded.labels, loaded.classes) == (str(root), "train", None, ())
    assert data.splits(root) == ("train",)
    refused(root, "'test'", split="test")
    refused(root, "labels", labels=[0, 1, 2, 3])


@pytest.mark.parametrize(
    ("names", "classes", "labels"),
    [
        (["cat/1.png", "cat/more/2.png", "ape/1.png"], ("ape", "cat"), [0, 1, 1]),
        (["b/1.png", "a/1.png", "c/1.png", "a/2.png"], ("a", "b", "c"), [0, 0, 1, 2]),
        (["cat/1.png", "cat/2.png"], (), None),
        (["cat/1.png", "ape/1.png", "stray.png"], (), None),
        (["1.png", "2.png"], (), None),
    ],
)
def test_labels(root, names, classes, labels):
    for name in names:
        put(root / name)
    loaded = data.load(root)
    assert loaded.classes == classes
    assert (None if loaded.labels is None else loaded.labels.tolist()) == labels
    assert labels is None or loaded.labels.dtype == np.int64
    assert data.load(root).classes == classes  # from the cache


def test_a_class_without_a_good_file_is_none(root):
    put(root / "a/1.png")
    put(root / "c/1.png")
    put(root / "b/1.png").write_bytes(b"")
    loaded = data.load(root, skip_bad=True)
    assert (loaded.classes, loaded.labels.tolist()) == (("a", "c"), [0, 1])


def test_grey_only_when_all_are(root):
    put(root / "a.png", plain(5, mode="L"))
    put(root / "b.png", plain(1, mode="1"))
    assert data.load(root).shape == (1, 16, 16)
    put(root / "c.png", plain((9, 9, 9)))
    loaded = data.load(root)
    assert loaded.shape == (3, 16, 16)
    assert loaded.images[:, :, 0, 0].tolist() == [[5] * 3, [255] * 3, [9] * 3]


def test_size(root):
    put(root / "a.png", plain(0, (200, 100)))
    put(root / "b.png", plain(0, (90, 300)))
    assert data.load(root).shape == (3, 64, 64)
    assert data.load(root, size=128).shape == (3, 128, 128)
    assert data.load(root, size=8).shape == (3, 8, 8)
    put(root / "c.png", plain(0, (30, 25)))
    assert data.load(root).shape == (3, 25, 25)
    for size in (0, 7, 1025, -8, 32.0, "32", True):
        with pytest.raises(InputError, match="size is .* 8 to 1024"):
            data.load(root, size=size)


def test_links(root, tmp_path):
    put(tmp_path / "elsewhere" / "1.png")
    (root / "a").symlink_to(tmp_path / "elsewhere")
    put(root / "b" / "1.png")
    (root / "b" / "up").symlink_to(root)  # a loop
    assert data.load(root).classes == ("a", "b")
    assert len(data.load(root)) == 2


# --- the cache


def test_cached_by_what_the_files_are(root, capsys, cache):
    put(root / "a.png", plain((1, 2, 3)))
    put(root / "b.png")
    first = data.load(root)
    assert "converting" in capsys.readouterr().err
    assert isinstance(first.images, np.memmap) and not first.images.flags.writeable
    again = data.load(root)
    assert capsys.readouterr().err == ""
    assert again.digest == first.digest
    assert first.digest == data.load(np.array(first.images)).digest  # the content's digest, as of any data

    os.utime(root / "a.png", ns=(1, 1))
    assert data.load(root).digest == first.digest
    assert "converting" in capsys.readouterr().err
    put(root / "a.png", plain((3, 2, 1)))
    assert data.load(root).digest != first.digest
    (root / "b.png").rename(root / "0.png")
    changed = data.load(root)
    assert changed.images[:, 0, 0, 0].tolist() == [10, 3]
    assert first.images[:, 0, 0, 0].tolist() == [1, 10]  # the older data set is untouched
    assert {path.suffix for path in (cache / "folders").iterdir()} == {"", ".lock"}


@pytest.mark.parametrize("damage", ["images.npy", "about.json", "labels.npy"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None])
def test_damaged_cache_is_made_again(root, cache, capsys, damage, content):
    put(root / "a/1.png")
    put(root / "b/1.png")
    first = data.load(root)
    expected, digest = np.array(first.images), first.digest
    del first
    (path,) = (cache / "folders").glob(f"*/{damage}")
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    capsys.readouterr()
    again = data.load(root)
    assert np.array_equal(again.images, expected) and again.digest == digest
    assert ("is damaged" in capsys.readouterr().err) == (content is not None)


def test_failure_leaves_nothing_behind(root, cache):
    put(root / "a.png")
    path = put(root / "b.png", Image.fromarray(NOISE))
    path.write_bytes(path.read_bytes()[:-400])
    refused(root, path)
    assert {file.suffix for file in (cache / "folders").iterdir()} == {".lock"}


def child(root):
    code = "import sys; from counterfeit import data; print(data.load(sys.argv[1]).digest)"
    environment = os.environ | {"PYTHONPATH": str(Path(data.__file__).parents[2])}
    command = [sys.executable, "-c", code, str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def large(root):
    """A folder whose conversion takes a second or so."""
    pixels = rng.integers(0, 256, (1500, 1500, 3), np.uint8)
    put(root / "0.png", Image.fromarray(pixels), compress_level=1)
    for i in range(1, 16):
        os.link(root / "0.png", root / f"{i}.png")
    return root


def test_two_processes_convert_once(large):
    processes = [child(large), child(large)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert len({out for out, _ in outputs}) == 1 and outputs[0][0], outputs
    assert sum("converting" in err for _, err in outputs) == 1, outputs


def test_killed_while_converting(large, cache):
    process = child(large)
    while not list((cache / "folders").glob("*.making/images.npy")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(data.load(large)) == 16
    assert list((cache / "folders").glob("*.making")) == []


# --- folders larger than memory


def pictures_of(root, count):
    """So many files, 200 to a subfolder, all the same small picture."""
    first = put(root / "first.png", plain((1, 2, 3), (8, 8)))
    for i in range(count):
        path = root / f"{i // 200:03d}" / f"a-name-of-an-image-{i:06d}.png"
        path.parent.mkdir(exist_ok=True)
        os.link(first, path)
    first.unlink()
    return root


def peak(function):
    """The most bytes that Python and numpy held at once while it ran."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    """A list of the further 2,800 files would be 400 KB or more, and their pixels 540 KB."""
    few, many = (pictures_of(tmp_path / name, count) for name, count in (("few", 200), ("many", 3000)))
    data.load(pictures_of(tmp_path / "first", 1))  # what is imported once
    grown = [peak(lambda root=root: data.load(root)) for root in (few, many)]
    assert grown[1] - grown[0] < 200_000, f"converting: {grown}"
    grown = [peak(lambda root=root: data.load(root)) for root in (few, many)]
    assert grown[1] - grown[0] < 100_000, f"opening: {grown}"


def test_the_order_is_that_of_the_whole_names(root):
    names = ["a/z.png", "a-b.png", "a.png", "a/b/c.png", "a0.png", "B.png", "a/b.png"]
    for i, name in enumerate(names):
        put(root / name, plain((i,) * 3))
    assert data.load(root).images[:, 0, 0, 0].tolist() == [names.index(name) for name in sorted(names)]


def test_a_folder_that_changes_while_it_is_converted_is_refused(root, cache, monkeypatch):
    put(root / "a.png")

    def changing(path, **options):
        put(root / "b.png")
        return picture.decode(path, **options)

    monkeypatch.setattr("counterfeit.data.folder.decode", changing)
    refused(root, root, "was changed while it was converted; run the command again")
    assert {file.suffix for file in (cache / "folders").iterdir()} == {".lock"}
