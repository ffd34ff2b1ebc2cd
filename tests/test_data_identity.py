"""Content is identity: what a folder, its conversion and a file of the cache hold is what they are taken for."""

import json
import os
import re
import shutil
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterfeit import data
from counterfeit.data import convert, folder, picture, stored, walk
from counterfeit.data.cache import sealed, unsealed
from counterfeit.data.rows import take
from counterfeit.errors import DataError
from counterfeit.system.files import stamp
from folder_cases import bitmaps, plain, put

SHIPS, NOISE = (np.random.default_rng(seed).integers(0, 256, (6, 16, 16, 3), np.uint8) for seed in (1, 2))


def pixels(root: Path) -> np.ndarray:
    """The folder's images as (N, H, W, C)."""
    return np.array(data.load(root).images).transpose(0, 2, 3, 1)


@pytest.fixture
def settled(monkeypatch):
    """As if no file had been changed within the last tick of the file system's clock."""
    monkeypatch.setattr(walk, "TICK", -(10**18))


@pytest.fixture
def reads(monkeypatch):
    """The files that are read."""
    paths, read = [], picture.read
    monkeypatch.setattr(picture, "read", lambda path: paths.append(os.path.basename(path)) or read(path))
    return paths


# --- folders


def test_two_folders_of_equal_names_sizes_and_times_are_two(root, tmp_path, settled):
    ships, noise = bitmaps(root / "ships", SHIPS), bitmaps(root / "noise", NOISE)
    assert [p.stat().st_size for p in ships.iterdir()] == [p.stat().st_size for p in noise.iterdir()]
    for _ in range(2):  # converted, and from the cache
        assert np.array_equal(pixels(ships), SHIPS) and np.array_equal(pixels(noise), NOISE)
    ships.rename(tmp_path / "away")
    noise.rename(root / "ships")  # and at one path, one after the other
    assert np.array_equal(pixels(root / "ships"), NOISE)


def test_so_are_two_whose_files_were_also_written_at_the_same_moment(root, monkeypatch):
    """Unpacked side by side: all that differs is the inode."""
    monkeypatch.setattr(walk, "stamp", lambda found: (*stamp(found)[:4], 1))
    ships, noise = bitmaps(root / "ships", SHIPS), bitmaps(root / "noise", NOISE)
    assert np.array_equal(pixels(ships), SHIPS) and np.array_equal(pixels(noise), NOISE)


def blacken(path: Path) -> None:
    """Write the pixels of a BMP file anew, in place, and put its time back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(54)  # behind the header
        file.write(bytes(before.st_size - 54))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_edited_in_place_with_its_time_put_back_is_noticed(root, settled):
    bitmaps(root, SHIPS)
    assert np.array_equal(pixels(root), SHIPS)
    time.sleep(0.05)  # longer than a tick of the kernel's clock, so that the change shows
    blacken(root / "3.bmp")
    assert np.array_equal(pixels(root), np.where(np.arange(6)[:, None, None, None] == 3, 0, SHIPS))


def test_a_change_within_a_tick_of_the_clock_is_noticed(root, monkeypatch):
    """It leaves every stamp as it was, so that a folder changed a moment ago is read again."""
    bitmaps(root, SHIPS)
    now = time.time_ns()
    monkeypatch.setattr(walk, "stamp", lambda found: (1, found.st_ino, found.st_size, 10**18, now))
    assert np.array_equal(pixels(root), SHIPS)
    blacken(root / "3.bmp")
    assert (pixels(root)[3] == 0).all()


def test_an_unchanged_folder_is_opened_without_a_look_into_its_files(root, settled, reads, capsys):
    bitmaps(root, SHIPS)
    first = data.load(root)
    assert sorted(reads) == sorted([f"{i}.bmp" for i in range(6)] * 2)  # examined, and decoded
    reads.clear()
    capsys.readouterr()
    for _ in range(2):
        assert data.load(root).digest == first.digest
    assert reads == [] and capsys.readouterr().err == ""
    root.rename(root.with_name("moved"))
    assert data.load(root.with_name("moved")).digest == first.digest and reads == []


def test_files_changed_a_moment_ago_are_read_again_and_then_known(root, monkeypatch, reads, capsys):
    bitmaps(root, SHIPS)
    data.load(root)
    reads.clear()
    capsys.readouterr()
    data.load(root)
    assert len(reads) == 6 and "converting" not in capsys.readouterr().err
    monkeypatch.setattr(walk, "TICK", 0)
    time.sleep(0.05)
    data.load(root)
    reads.clear()
    data.load(root)
    assert reads == []


@pytest.mark.parametrize("bad", [False, True])
def test_a_conversion_that_takes_longer_than_a_tick_is_known_at_once(root, monkeypatch, reads, bad):
    """All good files are read a second time, to decode them; a bad one is not, and may have been made good since."""
    bitmaps(root, SHIPS)
    if bad:
        (root / "x.bmp").write_bytes(b"none")
    clock = iter(range(time.time_ns(), time.time_ns() + 10**12, walk.TICK))
    monkeypatch.setattr(folder.time, "time_ns", lambda: next(clock))
    data.load(root, skip_bad=bad)
    reads.clear()
    data.load(root, skip_bad=bad)
    assert len(reads) == 7 * bad


@pytest.mark.parametrize("how", ["copied", "touched", "linked"])
def test_the_same_content_is_converted_once(root, settled, how, capsys, tmp_path):
    bitmaps(root, SHIPS)
    first = data.load(root)
    capsys.readouterr()
    other = root
    if how == "touched":
        for path in root.iterdir():
            os.utime(path)
    else:
        other = Path(
            shutil.copytree(root, tmp_path / "other", copy_function=os.link if how == "linked" else shutil.copy)
        )
    again = data.load(other)
    assert (again.digest, again.images.filename) == (first.digest, first.images.filename)
    assert "converting" not in capsys.readouterr().err


@pytest.mark.parametrize("change", ["name", "order of contents", "size", "skip_bad", "decoder"])
def test_what_makes_another_conversion(root, settled, change, capsys, monkeypatch):
    bitmaps(root, SHIPS)
    data.load(root)
    capsys.readouterr()
    options = {"size": {"size": 12}, "skip_bad": {"skip_bad": True}}.get(change, {})
    if change == "name":
        (root / "5.bmp").rename(root / "6.bmp")
    elif change == "order of contents":
        (root / "0.bmp").rename(root / "x")
        (root / "1.bmp").rename(root / "0.bmp")
        (root / "x").rename(root / "1.bmp")
    elif change == "decoder":
        monkeypatch.setitem(folder.DECODER, "pillow", "another")
    loaded = data.load(root, **options)
    assert "converting" in capsys.readouterr().err
    assert loaded.conversion["size"] == (12 if change == "size" else 16)


def test_a_file_that_changes_between_the_two_readings_is_noticed_even_if_no_stamp_shows_it(root, monkeypatch):
    bitmaps(root, SHIPS)
    monkeypatch.setattr(walk, "stamp", lambda found: (1, 1, 1, 1, 1))

    def changed_before(*given):
        blacken(root / "3.bmp")
        return convert.convert(*given)

    monkeypatch.setattr(folder, "convert", changed_before)
    with pytest.raises(DataError, match="was changed while it was converted; run the command again"):
        data.load(root)
    monkeypatch.setattr(folder, "convert", convert.convert)
    assert (pixels(root)[3] == 0).all()


def test_a_subfolder_is_a_folder_of_its_own(root):
    for split, images in (("train", SHIPS), ("test", NOISE)):
        for i, image in enumerate(images):
            put(root / split / "ab"[i % 2] / f"{i}.png", Image.fromarray(image))
    for split, images in (("train", SHIPS), ("test", NOISE)):
        loaded = data.load(root / split)
        assert loaded.classes == ("a", "b") and loaded.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert np.array_equal(pixels(root / split), images[[0, 2, 4, 1, 3, 5]])


def test_a_file_that_is_too_much_for_this_machine_is_no_bad_file(root, monkeypatch):
    put(root / "a.png")
    monkeypatch.setattr(Image.Image, "resize", lambda *given, **options: (_ for _ in ()).throw(MemoryError()))
    monkeypatch.setattr(Image.Image, "load", lambda image: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        data.load(root, skip_bad=True)


def test_a_file_larger_than_any_image_and_a_pipe_are_not_read(root, monkeypatch):
    put(root / "a.png")
    put(root / "b.bmp", plain(0, (64, 64)))
    os.mkfifo(root / "c.png")
    monkeypatch.setattr(picture, "MOST_BYTES", 10_000)
    assert len(data.load(root, skip_bad=True)) == 1


def test_how_the_files_were_brought_to_one_form_is_kept(root, settled):
    put(root / "a.png", plain(7, (40, 30), "L"))
    put(root / "b.png", plain((7, 7, 7), (99, 120)))
    for _ in range(2):
        conversion = data.load(root, size=20).conversion
        assert conversion["size"] == 20 and conversion["shorter_sides"] == "30 to 99"
        assert (conversion["stored"], conversion["filter"], conversion["crop"], conversion["transparency"]) == (
            "gray and RGB",
            "lanczos",
            "centered square",
            "on white",
        )
        assert conversion["pillow"] == Image.__version__
    assert data.load(SHIPS).conversion is None


# --- what is in the cache


@pytest.fixture
def made(root, cache):
    """A converted folder of two classes, and where it lies in the cache."""
    for i, image in enumerate(SHIPS):
        put(root / "ab"[i % 2] / f"{i}.png", Image.fromarray(image))
    return root, Path(str(data.load(root).images.filename)).parent


def resealed(about: Path, **facts):
    about.write_text(sealed({**unsealed(about.read_bytes()), **facts}))


def flip(path: Path) -> None:
    """One bit of the last byte."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def exchange(path: Path, array: np.ndarray) -> None:
    np.save(path, array)


DAMAGES = {
    "a bit of an image": lambda home: flip(home / "images.npy"),
    "a bit of a label": lambda home: flip(home / "labels.npy"),
    "other images": lambda home: exchange(home / "images.npy", NOISE.transpose(0, 3, 1, 2).copy()),
    "another shape": lambda home: exchange(home / "images.npy", np.load(home / "images.npy").reshape(6, 3, 8, 32)),
    "fewer": lambda home: exchange(home / "images.npy", np.load(home / "images.npy")[:5]),
    "another dtype": lambda home: exchange(home / "images.npy", np.load(home / "images.npy").astype(np.float64)),
    "signed": lambda home: exchange(home / "images.npy", np.load(home / "images.npy").view(np.int8)),
    "other labels": lambda home: exchange(home / "labels.npy", np.zeros(6, np.int64)),
    "an object": lambda home: exchange(home / "images.npy", np.array([{}], object)),
    "a list": lambda home: (home / "about.json").write_text("[]"),
    "null": lambda home: (home / "about.json").write_text("null"),
    "a number": lambda home: (home / "about.json").write_text("3"),
    "nothing known": lambda home: (home / "about.json").write_text("{}"),
    "bytes": lambda home: (home / "about.json").write_bytes(b"\xff\xfe"),
    "deep": lambda home: (home / "about.json").write_text("[" * 100_000),
    "other types": lambda home: (home / "about.json").write_text(
        json.dumps({"digest": 5, "classes": 7, "left_out": [], "files": None, "notes": 1})
    ),
    "another class": lambda home: (home / "about.json").write_text(
        (home / "about.json").read_text().replace('"a"', '"c"')
    ),
    "another digest": lambda home: (home / "about.json").write_text(
        (home / "about.json").read_text().replace('"digest": "', '"digest": "0')
    ),
    "the conversion of another folder": lambda home: resealed(home / "about.json", key="0" * 32),
    "sealed without files": lambda home: resealed(home / "about.json", files=3),
    "sealed without notes": lambda home: resealed(home / "about.json", notes=None),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("trusted", [True, False])
def test_a_conversion_that_is_not_what_was_stored_is_named_and_made_again(made, damage, trusted, capsys, monkeypatch):
    root, home = made
    if trusted:
        monkeypatch.setattr(walk, "TICK", -(10**18))
        data.load(root)
    expected = data.load(root)
    images, labels = np.array(expected.images), expected.labels
    time.sleep(0.02)  # longer than a tick: this process looked at the files already
    DAMAGES[damage](home)
    capsys.readouterr()
    again = data.load(root)
    said = capsys.readouterr().err
    assert f"{home} is damaged (" in said and "creating it again" in said
    assert np.array_equal(again.images, images) and again.labels.tolist() == labels.tolist()
    assert again.images.dtype == np.uint8 and again.labels.dtype == np.int64
    assert (again.classes, again.digest) == (("a", "b"), expected.digest)
    data.load(root)
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"0" * 31, b"../../../../etc/passwd/../../../..", b"\xff" * 32, b"f" * 32])
def test_a_wrong_note_of_the_content_is_not_followed(made, content, settled, cache):
    root, _ = made
    expected = data.load(root).digest
    (known,) = (path for path in (cache / "folders/known").iterdir() if not path.suffix)
    known.write_bytes(content)
    assert data.load(root).digest == expected
    assert known.read_bytes() != content


def test_a_stored_array_is_hashed_once_in_a_process_and_again_if_its_file_was_touched(made, monkeypatch):
    root, home = made
    images = data.load(root).images
    monkeypatch.setattr(stored, "PIECE", 0)  # whatever is hashed now is found to be empty
    assert np.array_equal(take(images, np.arange(6)), SHIPS[[0, 2, 4, 1, 3, 5]].transpose(0, 3, 1, 2))
    time.sleep(0.02)
    os.utime(home / "images.npy")
    with pytest.raises(DataError, match="its content is not what was stored"):
        take(images, np.arange(6))


@pytest.mark.parametrize("how", ["replaced", "written in place", "its time put back"])
def test_an_array_that_is_changed_under_a_running_process_is_not_used(made, how):
    root, home = made
    images = data.load(root).images
    path = home / "images.npy"
    before = path.stat()
    time.sleep(0.02)
    if how == "replaced":
        np.save(home / "other.npy", NOISE.transpose(0, 3, 1, 2))
        os.replace(home / "other.npy", path)
    else:
        flip(path)
    if how == "its time put back":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match="images.npy cannot be read .its content is not what was stored.; run the"):
        take(images, np.arange(6))


def test_an_array_that_is_replaced_by_its_like_is_used_on(made):
    root, home = made
    images = data.load(root).images
    shutil.copy(home / "images.npy", home / "copy.npy")
    os.replace(home / "copy.npy", home / "images.npy")
    assert np.array_equal(take(images, np.arange(6)), np.array(images))


def test_a_seal_holds_all_that_is_sealed():
    facts = {"key": "k", "classes": ["é", "b"], "notes": [], "conversion": {"size": 3}}
    text = sealed(facts)
    assert unsealed(text.encode()) == facts
    for broken in (
        text.replace('"k"', '"l"'),
        text.replace("3", "4"),
        text.replace('"notes": []', '"notes": [1]'),
        "{}",
        "7",
    ):
        with pytest.raises(ValueError, match="not what was written"):
            unsealed(broken.encode())


# --- what a folder is easily taken for


def deep(root: Path, low: int, high: int, n: int = 3) -> None:
    """Gray PNG files of 16 bits that hold these values and what lies between them."""
    for i in range(n):
        values = np.linspace(low, high, 256).astype(np.uint16).reshape(16, 16)
        put(root / f"{i}.png", Image.fromarray(np.roll(values, i)))


@pytest.mark.parametrize(
    ("low", "high", "levels"),
    [(0, 4095, 17), (0, 1023, 5), (30_000, 34_000, 16), (0, 255, 2), (0, 0, 1), (0, 32_000, 126)],
)
def test_16_bit_images_of_a_small_range_are_said_each_time(root, low, high, levels, capsys, settled):
    deep(root, low, high)
    for _ in range(2):
        loaded = data.load(root)
        said = capsys.readouterr().err
        assert f"{root}: 16-bit files: 3, whose values are {low:,} to {high:,} of 0 to 65,535" in said
        assert f"they use {levels} of 256 levels" in said
    assert len(np.unique(loaded.images)) == levels
    assert loaded.conversion["deep"] == 3 and loaded.conversion["16_bits"] == "divided by 257"


def test_16_bit_images_of_the_whole_range_are_not(root, capsys):
    deep(root, 0, 4095)
    put(root / "9.png", Image.fromarray(np.full((16, 16), 65535, np.uint16)))  # the range is that of all files
    assert data.load(root).conversion["deep"] == 4
    assert "16-bit" not in capsys.readouterr().err


def test_dark_16_bit_images_among_bright_ones_of_8_bits_are_said(root, capsys):
    deep(root, 0, 4095)
    put(root / "9.png", plain(255, mode="L"))
    data.load(root)
    assert "16-bit files: 3, whose values are 0 to 4,095" in capsys.readouterr().err


def png_of_16_bits(values: np.ndarray, color_type: int) -> bytes:
    """Uint16 (H, W, C) as PNG, which Pillow cannot write in color."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rgb.png", png_of_16_bits(np.full((9, 9, 3), 4095), 2)),
        ("clear.png", png_of_16_bits(np.full((9, 9, 4), [4095, 4095, 4095, 65535]), 6)),
        ("gray and clear.png", png_of_16_bits(np.full((9, 9, 2), [4095, 65535]), 4)),
        ("map.ppm", b"P6 8 8 65535\n" + struct.pack(">H", 4095) * 192),
        ("map.pgm", b"P5 8 8 65535\n" + struct.pack(">H", 4095) * 64),
    ],
)
def test_so_are_those_of_color(root, name, content, capsys):
    (root / name).write_bytes(content)
    assert data.load(root).images.max() <= 16
    said = capsys.readouterr().err
    # Of color Pillow gives 8 bits; a netpbm file's are rounded, 4095 to 16, which may come from 4,351 as well.
    assert re.search(r"16-bit files: 1, whose values are 4,0\d\d|3,840", said) and re.search(
        r" to 4,(095|351) of", said
    )


def test_a_netpbm_file_that_says_its_range_is_stretched_to_it(root, capsys):
    (root / "a.pgm").write_bytes(b"P5 8 8 4095\n" + struct.pack(">HH", 0, 4095) * 32)
    (root / "b.ppm").write_bytes(b"P6 8 8 4095\n" + struct.pack(">HH", 0, 4095) * 96)
    assert data.load(root).images.max() == 255
    assert "16-bit" not in capsys.readouterr().err


def test_stray_files_beside_class_folders_are_named_each_time(root, capsys, settled):
    for name in ("cat/1.png", "ape/1.png"):
        put(root / name)
    data.load(root)
    assert "no classes, because" not in capsys.readouterr().err
    for i in range(5):
        put(root / f"stray{i}.png")
    for _ in range(2):
        assert data.load(root).labels is None
        said = capsys.readouterr().err
        assert (
            "no classes, because image files lie beside the subfolders: 5: stray0.png, stray1.png, stray2.png, …"
            in said
        )
    shutil.rmtree(root / "ape")  # one subfolder makes no classes with or without strays
    data.load(root)
    assert "because" not in capsys.readouterr().err
