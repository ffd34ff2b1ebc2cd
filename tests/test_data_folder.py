"""Folders of images: labels, sizes, the cache, more than memory holds."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterfeit import data
from counterfeit.data import picture
from counterfeit.errors import InputError
from folder_cases import NOISE, plain, put, refused


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


def test_gray_only_when_all_are(root):
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
    for size in (0, 7, 1025, -8, "7x32", "32x", "0x", "wide", 32.5, True):
        says = "8 to 1024" if type(size) in (int, str) else "must be"
        with pytest.raises(InputError, match=f"size is .*{says}"):
            data.load(root, size=size)


def test_links(root, tmp_path):
    put(tmp_path / "elsewhere" / "1.png")
    (root / "a").symlink_to(tmp_path / "elsewhere")
    put(root / "b" / "1.png")
    (root / "b" / "up").symlink_to(root)  # a loop
    assert data.load(root).classes == ("a", "b")
    assert len(data.load(root)) == 2


# --- the cache


def left_in(cache):
    """What lies beside each other where conversions are made, by suffix; a conversion has none."""
    return Counter(path.suffix for path in (cache / "folders").iterdir() if path.name != "known")


def test_cached_by_what_the_files_are(root, capsys, cache):
    put(root / "a.png", plain((1, 2, 3)))
    put(root / "b.png")
    first = data.load(root)
    assert "converting" in capsys.readouterr().err
    assert isinstance(first.images, np.memmap) and not first.images.flags.writeable
    again = data.load(root)
    assert "converting" not in capsys.readouterr().err
    assert again.digest == first.digest
    assert first.digest == data.load(np.array(first.images)).digest  # the content's digest, as of any data

    os.utime(root / "a.png", ns=(1, 1))
    assert data.load(root).digest == first.digest
    assert "converting" not in capsys.readouterr().err
    put(root / "a.png", plain((3, 2, 1)))
    assert data.load(root).digest != first.digest
    (root / "b.png").rename(root / "0.png")
    changed = data.load(root)
    assert changed.images[:, 0, 0, 0].tolist() == [10, 3]
    assert first.images[:, 0, 0, 0].tolist() == [1, 10]  # the older data set is untouched
    assert left_in(cache) == {"": 3, ".lock": 3}


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
    assert left_in(cache) == {".lock": 1}


def child(root):
    code = "import sys; from counterfeit import data; print(data.load(sys.argv[1]).digest)"
    environment = os.environ | {"PYTHONPATH": str(Path(data.__file__).parents[2])}
    command = [sys.executable, "-c", code, str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def large(root):
    """A folder whose conversion takes a second or so."""
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
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


def test_memory_does_not_grow_with_the_number_of_files(tmp_path, cache):
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

    monkeypatch.setattr("counterfeit.data.convert.decode", changing)
    refused(root, root, "was changed while it was converted; run the command again")
    assert left_in(cache) == {".lock": 1}
