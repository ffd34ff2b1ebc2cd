"""Archives of images: what a folder of the same files is, and nothing that a stranger would like."""

import gzip
import io
import os
import random
import shutil
import struct
import tarfile
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bomb_cases import patched
from counterfeit import data
from counterfeit.data import archive, members, tar_members, walk, zip_members
from folder_cases import put, refused

NAMES = ["ape/2.png", "ape/10.jpg", "cat/1.PNG", "cat/more/b.bmp", "cat/more.png"]
KINDS = ["zip", "stored.zip", "tar", "tar.gz", "tgz"]


def noisy(root: Path, names=NAMES) -> Path:
    for i, name in enumerate(names):
        put(root / name, Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 24 + i, 3), np.uint8)))
    return root


def packed(root: Path, path: Path, top="", names=None) -> Path:
    """The files below `root` in an archive, in an order that is not theirs, with what packers add to them."""
    files = names or sorted(p for p in root.rglob("*") if p.is_file())
    random.Random(0).shuffle(files)
    if path.suffix == ".zip":
        how = zipfile.ZIP_STORED if "stored" in path.name else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", how) as archive:
            archive.writestr("__MACOSX/._1.png", b"no image")
            for file in files:
                archive.write(file, top + file.relative_to(root).as_posix())
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        archive.add(root, "./", recursive=False)
        for file in files:
            archive.add(file, f"./{top}{file.relative_to(root).as_posix()}")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_the_folder_of_its_files(root, tmp_path, kind, capsys):
    noisy(root)
    (root / "notes.txt").write_text("hello")
    folder = data.load(root, size=16)
    capsys.readouterr()
    for top in ("", "holiday/photos/"):
        found = data.load(packed(root, tmp_path / f"{len(top)}.{kind}", top), size=16)
        assert (found.digest, found.classes, found.labels.tolist()) == (folder.digest, ("ape", "cat"), [0, 0, 1, 1, 1])
        assert found.images.filename == folder.images.filename  # the same files are the same conversion
        assert (found.kind, found.sizes) == ("archive", folder.sizes)
        assert (
            f"0.{kind}: skipped files with other endings than those of images: 1 .txt" in capsys.readouterr().err or top
        )
    os.environ["COUNTERFEIT_CACHE"] += "-2"  # read from the archive, not found
    again = data.load(tmp_path / f"0.{kind}", size=16)
    assert again.digest == folder.digest and again.images.filename != folder.images.filename
    assert not [name for name in os.listdir(os.environ["COUNTERFEIT_CACHE"]) if name != "folders"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_train_and_test_in_an_archive_are_two_splits(root, tmp_path, kind):
    noisy(root / "Train", NAMES)
    noisy(root / "test", NAMES[1:4])
    path = packed(root, tmp_path / f"own.{kind}", "own/")
    assert data.splits(path) == data.splits(root) == ("train", "test")
    for split in ("train", "test"):
        of_folder, found = data.load(root, split), data.load(path, split)
        assert (found.digest, found.split, found.name) == (of_folder.digest, split, str(path))
    put(root / "val" / "ape" / "1.png")
    refused(packed(root, tmp_path / f"more.{kind}"), "looks like splits, but contains Train, test, val")


def test_an_unchanged_archive_is_not_read_again(root, tmp_path, monkeypatch):
    monkeypatch.setattr(walk, "TICK", -(10**18))
    monkeypatch.setattr("counterfeit.data.archive.TICK", -(10**18))
    path = packed(noisy(root), tmp_path / "a.tar.gz")
    first = data.load(path)
    monkeypatch.setattr("counterfeit.data.archive._opened", None)  # would fail
    assert data.load(path).digest == first.digest
    monkeypatch.undo()
    os.environ["COUNTERFEIT_CACHE"] = str(tmp_path / "cache")
    (root / "ape/2.png").unlink()
    assert len(data.load(packed(root, path))) == len(first) - 1


def test_no_archive_is_held_in_memory(root, tmp_path):
    """24 files of half a MiB: four are read at a time."""
    for i in range(24):
        put(root / f"{i}.bmp", Image.fromarray(np.random.default_rng(i).integers(0, 256, (416, 416, 3), np.uint8)))
    for kind in ("stored.zip", "tar.gz"):
        path = packed(root, tmp_path / f"a.{kind}")
        tracemalloc.start()
        data.load(path, size=8 + len(kind))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 7 << 20


# --- names and places, against Python's own modules


def test_the_files_of_a_zip_are_those_that_zipfile_lists(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"a comment"
        archive.writestr("ünï/日本.png", b"a" * 1000)
        with archive.open("wide.png", "w", force_zip64=True) as file:
            file.write(b"b" * 500)
        archive.writestr(zipfile.ZipInfo("folder/"), b"")
        for i in range(3000):
            archive.writestr(f"{i}.png", bytes([i % 256]) * 10)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())  # a program that unpacks itself
    monkeypatch.setattr(zip_members, "PIECE", 1 << 16)
    whole = members.Packed(path)
    found = {one.name: one for one in zip_members.zip_members(whole, "a.zip")}
    with zipfile.ZipFile(path) as archive:
        expected = [info for info in archive.infolist() if not info.is_dir()]
        assert list(found) == [info.filename for info in expected]
        for info in expected[:50]:
            one = found[info.filename]
            assert (one.size, one.packed, one.check) == (info.file_size, info.compress_size, info.CRC)
            with whole.content(one, zip_members.zip_offset(whole, one)) as content:
                assert content == archive.read(info)


def test_a_zip_with_64_bit_numbers(root, tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    path = packed(noisy(root), tmp_path / "a.zip")
    assert b"PK\6\6" in path.read_bytes()
    assert data.load(path).digest == data.load(root).digest


def test_of_two_files_of_one_name_the_last_is_taken_as_unpacking_does(root, tmp_path):
    first, second = put(root / "1.png"), put(root / "2.png", Image.new("RGB", (16, 16), "white"))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for file in (first, second):
            archive.add(file, "same.png")
    assert data.load(tmp_path / "a.tar").images.min() == 255


# --- strangers


def zip_of(name="a.png", content=b"x", how=zipfile.ZIP_STORED, mode=0):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        info = zipfile.ZipInfo(name)
        info.compress_type, info.external_attr = how, mode << 16
        archive.writestr(info, content)
    return file.getvalue()


def tar_of(name="a.png", content=b"x", end=True, **header):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in header.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(content))
        length = archive.offset
    return file.getvalue() if end else file.getvalue()[:length]


def backwards(name, size=-512):
    """A .tar whose second file has a size below 0, of 256 as a base: the next would be the same again."""
    info = tarfile.TarInfo(name)
    info.size = size
    return tar_of(content=PNG, end=False) + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def zip64_of(offset):
    """A .zip that says in 64 bits that its directory begins at `offset`, and so shifts all that it lists."""
    whole = zip_of()
    end = whole.rfind(b"PK\5\6")
    count, length = struct.unpack_from("<HI", whole, end + 10)
    wide = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, offset)
    return whole[:end] + wide + struct.pack("<4sIQI", b"PK\6\7", 0, end, 1) + whole[end:]


def long_name(declared):
    """A header that says that a name of so many bytes follows."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, declared
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(2048)


PNG = io.BytesIO()
Image.new("RGB", (16, 16)).save(PNG, "png")
PNG = PNG.getvalue()
STRANGE = {
    "up.zip": (zip_of("../../a.png"), "'../../a.png', a path out of the archive"),
    "windows.zip": (zip_of("..\\a.png"), "a path out of the archive"),
    "drive.zip": (zip_of("C:\\a.png"), "a path out of the archive"),
    "root.tar": (tar_of("/etc/a.png"), "'/etc/a.png', a path out of the archive"),
    "up.tar": (tar_of("a/../../b.png"), "a path out of the archive"),
    "lines.tar": (tar_of("a\nb.png", PNG), r"'a\nb.png', whose name has a control character"),
    "encrypted.zip": (patched(zip_of(), 0, b"\1\0"), "is encrypted; unpack it with its password"),
    "lzma.zip": (zip_of(how=zipfile.ZIP_LZMA), "lzma.zip: a.png: it is compressed by another method (14)"),
    "link.zip": (zip_of(mode=0o120777), "a.png: it is a link"),
    "link.tar": (tar_of(type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0), "a.png: it is a link"),
    "device.tar": (tar_of(type=tarfile.CHRTYPE, size=0), "a.png: it is a link"),
    "back.tar": (backwards("b.png"), "archive (at byte 1,024 a file of -512 bytes); download or pack it again"),
    "hidden.tar": (backwards(".b.png"), "archive (at byte 1,024 a file of -512 bytes)"),
    "far back.tar": (backwards("b.txt", -(1 << 80)), "at byte 1,024 a file of -1,208,"),
    "name back.tar": (long_name(-512), "a header of -512 bytes"),
    "wide.zip": (zip64_of((1 << 64) - 1), "its directory lists a file that is not within it"),
    "no.zip": (b"not an archive", "cannot be read as a .zip archive (it has no directory at its end"),
    "empty.zip": (b"", "cannot be read as a .zip archive"),
    "no.tar": (b"not an archive" * 100, "cannot be read as a .tar archive"),
    "empty.tar": (b"", "cannot be read as a .tar archive"),
    "no.tgz": (b"\x1f\x8bnot an archive", "cannot be read as a .tar archive"),
    "cut.tgz": (gzip.compress(tar_of(content=os.urandom(5000)))[:4000], "cannot be read as a .tar archive"),
    "unmarked.tar": (tar_of(content=PNG, end=False), "it is cut short or damaged at byte 1,024"),
    "cut.tar": (tar_of(content=bytes(5000))[:3000], "cannot be read as a .tar archive (unexpected end of data)"),
    "cut.zip": (zip_of(content=bytes(500))[:-10], "as if it were cut short"),
    "names.tar": (long_name(1 << 32), "a header of 4,294,967,296 bytes"),
    "texts.zip": (zip_of("a.txt"), "has no images; they are files ending in"),
    "nothing.zip": (b"PK\5\6" + bytes(18), "has no images"),
    "sum.zip": (patched(zip_of(content=PNG, how=8), 8, b"!!!!"), "a.png: it is damaged: its content is not that of"),
    "far.zip": (b"PK\5\6" + struct.pack("<4xHHIIH", 9, 9, 1 << 30, 1 << 30, 0), "not where it should be"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_archives_of_strangers(cache, tmp_path, name):
    content, fault = STRANGE[name]
    (tmp_path / name).write_bytes(content)
    tracemalloc.start()
    refused(tmp_path / name, name, fault)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".png"]


def test_bombs(cache, tmp_path, monkeypatch):
    for module in (members, tar_members):
        monkeypatch.setattr(module, "AT_EASE", 1 << 20)
    zeros = bytes(2 << 20)
    (tmp_path / "a.zip").write_bytes(zip_of(content=zeros, how=zipfile.ZIP_DEFLATED))
    refused(tmp_path / "a.zip", "a.png: it unpacks from 2,0", "bytes to 2,097,152, over 100 times as many")
    (tmp_path / "a.tgz").write_bytes(gzip.compress(tar_of(content=zeros)))
    refused(tmp_path / "a.tgz", "bytes to more than 1,048,576, and is not read")
    small = patched(zip_of(content=zeros, how=zipfile.ZIP_DEFLATED), 16, b"\x64\0\0\0")  # says 100 bytes
    (tmp_path / "b.zip").write_bytes(small)
    refused(tmp_path / "b.zip", "a.png: it is damaged: its content is not that of its check sum")
    monkeypatch.setattr(archive, "MOST_MEMBERS", 2)
    for ending in ("{}.png", "{}.txt", ".{}.png", "{}.cls"):
        for kind in ("zip", "tar"):
            for i in range(3):
                put(tmp_path / "many" / f"{i}.bmp").rename(tmp_path / "many" / ending.format(i))
            refused(packed(tmp_path / "many", tmp_path / f"c.{kind}"), "holds more than 2 files")
            shutil.rmtree(tmp_path / "many")


def test_any_cut_and_any_flipped_byte_is_one_line_or_what_was_packed(root, tmp_path):
    folder = data.load(put(root / "a/1.png").parents[1] and noisy(root, ["a/1.png", "b/2.png"]))
    for kind in ("zip", "tar"):
        whole = packed(root, tmp_path / f"whole.{kind}").read_bytes()
        rng = np.random.default_rng(0)
        for i in range(60):
            at = int(rng.integers(1, len(whole)))
            flipped = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
            path = tmp_path / f"{i}.{kind}"
            path.write_bytes(whole[:at] if i % 2 else flipped)
            try:
                found = data.load(path)
            except data.DataError as error:
                assert "\n" not in str(error)
            else:
                assert found.images.shape[1:] == folder.images.shape[1:]


def test_bad_files_in_an_archive_are_named_or_skipped(root, tmp_path, capsys):
    noisy(root)
    (root / "cat/bad.png").write_bytes(b"no image")
    path = packed(root, tmp_path / "a.tar")
    refused(
        path, f"{path}: cat/bad.png: it is not an image in a format known here; fix or remove it, or pass --skip-bad"
    )
    assert len(data.load(path, skip_bad=True)) == len(NAMES)
    assert "bad files skipped: 1: cat/bad.png" in capsys.readouterr().err


def test_only_an_image_that_is_encrypted_matters(root, tmp_path):
    noisy(root)
    (root / "zz.txt").write_text("a secret")
    whole = packed(root, tmp_path / "a.zip", names=sorted(p for p in root.rglob("*") if p.is_file())).read_bytes()
    for name, is_image in (("zz.txt", False), ("cat/1.PNG", True)):
        flags = whole.rindex(name.encode()) - 46 + 8
        (tmp_path / "a.zip").write_bytes(whole[:flags] + b"\1" + whole[flags + 1 :])
        if is_image:
            with pytest.raises(data.DataError) as caught:
                data.load(tmp_path / "a.zip")
            line = f"{tmp_path / 'a.zip'} is encrypted; unpack it with its password, and pass the folder"
            assert str(caught.value) == line
        else:
            assert data.load(tmp_path / "a.zip").digest == data.load(root).digest


def test_pipes_and_other_archives(cache, tmp_path):
    before = set(threading.enumerate())
    os.mkfifo(tmp_path / "pipe.zip")
    refused(tmp_path / "pipe.zip", "pipe.zip is a pipe, socket or device")
    for name in ("a.7z", "a.tar.xz", "a.rar"):
        (tmp_path / name).write_bytes(b"x")
        refused(tmp_path / name, f"{name} is no archive that is read here: pack its images as .zip or .tar")
    refused(tmp_path / "none.zip", "there is no folder or file at")
    assert set(threading.enumerate()) <= before


@pytest.mark.full  # reading is asked above, and training on a folder in test_own_folder.py
def test_training_and_scoring_on_archives(root, tmp_path, command):
    """As a user would: train on a .zip, score against a .tar; in run.json it is an archive, which may have moved."""
    for i in range(30):
        put(
            root / f"{i % 2}" / f"{i:03d}.png",
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (16, 16), np.uint8)),
        )
    path, tar = packed(root, tmp_path / "pictures.zip"), packed(root, tmp_path / "pictures.tar")
    quick = ["--holdout", 0.2, "--batch-size", 8, "--out", tmp_path / "run"]
    trained = command("train", "vae", "--data", path, "--epochs", 1, *quick)
    assert trained.code == 0, trained.err
    scored = command("score", path, "--real", tar, "--size", 28, "--metrics", "fid", "--detector", "mnist-cnn")
    assert scored.code == 0, scored.err
    path.rename(tmp_path / "moved.zip")
    again = command("train", "vae", "--data", tmp_path / "moved.zip", "--epochs", 1, "--resume", *quick)
    assert again.code == 0, again.err
    assert data.label("here/photos.tar.gz") == "photos" and data.label("mnist.zip") == "mnist-archive"
    unreadable = command("train", "vae", "--data", tmp_path / "a.zip", "--out", tmp_path / "other")
    assert unreadable.code == 2 and "there is no folder or file at" in unreadable.err
