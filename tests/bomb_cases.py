"""Files that are more than they look like, as strangers send them: tables of name -> (how it is made, what is said)."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 12, 12), np.uint8)
GIB = 1 << 30


def npy_header(shape: object, descr: object = "|u1", version: tuple[int, int] = (1, 0)) -> bytes:
    """The header of an .npy file that declares anything."""
    text = str({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz_of(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """An .npz file of these contents, whatever they are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def patched(content: bytes, at: int, value: bytes) -> bytes:
    """The zip with bytes changed in both headers of each member, `at` counted from the flags."""
    found = bytearray(content)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            found[start + flags + at : start + flags + at + len(value)] = value
    return bytes(found)


def zeros(unpacked: int) -> bytes:
    """An .npz file of so many bytes of black images, deflated 1,000 to 1, made without holding them."""
    n, file = unpacked // 4096, io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_header((n, 64, 64)))
        for _ in range(n // 4096):
            member.write(bytes(4096 * 4096))
    return file.getvalue()


# .npz files: what is in them, and words of the one line that refuses them.
NPZ: dict[str, tuple[Callable[[], bytes], str]] = {
    "declares 10^12 images": (lambda: npz_of({"images": npy_header((10**12, 8, 8)) + bytes(64)}), "is declared as"),
    "declares 2^70 images": (lambda: npz_of({"images": npy_header((2**35, 2**35, 8)) + bytes(64)}), "is declared as"),
    "declares -1 images": (lambda: npz_of({"images": npy_header((-1, 8, 8)) + bytes(64)}), "its shape is (-1, 8, 8)"),
    "declares 10^12 labels": (
        lambda: npz_of({"images": npy(IMAGES), "labels": npy_header((10**12,), "<i8")}),
        "labels",
    ),
    "declares floats of 10^9 bytes": (lambda: npz_of({"images": npy_header((4, 8, 8), "|V1000000000")}), "declared as"),
    "names of 10^9 letters": (
        lambda: npz_of(
            {"images": npy(IMAGES), "labels": npy(np.arange(4)), "classes": npy_header((4,), "<U1000000000")}
        ),
        "classes",
    ),
    "zeros": (lambda: zeros(320 << 20), "100 times"),
    "encrypted": (lambda: patched(npz_of({"images": npy(IMAGES)}), 0, b"\1\0"), "is encrypted"),
    "bzip2": (lambda: npz_of({"images": npy(IMAGES)}, zipfile.ZIP_BZIP2), "another method (12)"),
    "lzma": (lambda: npz_of({"images": npy(IMAGES)}, zipfile.ZIP_LZMA), "another method (14)"),
    "an unknown method": (lambda: patched(npz_of({"images": npy(IMAGES)}), 2, b"\x63\0"), "another method (99)"),
    "objects": (lambda: npz_of({"images": npy_header((4,), "|O") + b"cos\nsystem\n"}), "pickled"),
    "objects in fields": (lambda: npz_of({"images": npy_header((4,), [("a", "|O")]) + bytes(64)}), "pickled"),
    "a header that is code": (lambda: npz_of({"images": npy_header("__import__('os')")}), "cannot be read"),
    "a deep header": (lambda: npz_of({"images": npy_header("(" * 9000)}), "cannot be read"),
    "a long header": (lambda: npz_of({"images": npy_header((4,) * 100_000, version=(2, 0))}), "cannot be read"),
    "a header cut short": (lambda: npz_of({"images": npy_header((4, 12, 12))[:40]}), "cannot be read"),
    "content cut short": (lambda: npz_of({"images": npy(IMAGES)[:-9]}), "is declared as"),
    "a flipped length": (lambda: patched(npz_of({"images": npy(IMAGES)}), 16, b"\xff\xff\xff\x7f"), "images"),
    "no arrays": (lambda: npz_of({}), "no array 'images'"),
    "100,000 arrays": (lambda: npz_of({str(i): b"" for i in range(2000)}), "2,000 arrays"),
    "labels 0 and 65535": (
        lambda: npz_of({"images": npy(IMAGES), "labels": npy(np.array([0, 0, 65535, 0]))}),
        "only 2 occur",
    ),
    "labels of words": (lambda: npz_of({"images": npy(IMAGES), "labels": npy(np.array(list("abcd")))}), "whole"),
    "labels of 10^18": (
        lambda: npz_of({"images": npy(IMAGES), "labels": npy(np.array([0, 0, 10**18, 0]))}),
        "number the classes",
    ),
}


def huge(path: Path, mode: str, side: int = 9400, **options: object) -> Path:
    """A picture of 88 million pixels, all of one value, in a file of some hundred KB."""
    Image.new(mode, (side, side)).save(path, **options)
    return path


# Pictures at the limit of pixels: (ending, mode, options of Pillow's writer).
HUGE: dict[str, tuple[str, str, dict[str, object]]] = {
    "PNG, RGB": ("png", "RGB", {"compress_level": 1}),
    "PNG, RGBA": ("png", "RGBA", {"compress_level": 1}),
    "PNG, 16 bits": ("png", "I;16", {"compress_level": 1}),
    "JPEG": ("jpg", "RGB", {}),
    "progressive JPEG": ("jpg", "RGB", {"progressive": True}),
}


def deep_tree(root: Path, depth: int) -> Path:
    """A file so many folders down; made step by step, for its whole path may be longer than the system takes."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    path = root / "/".join(["d"] * depth) / "a.png"
    Image.new("RGB", (16, 16)).save(path)
    return path


def many_classes(root: Path, count: int) -> Path:
    """So many subfolders with one picture each, which are links to one file."""
    first = root / "first.png"
    Image.new("RGB", (8, 8)).save(first)
    for i in range(count):
        (root / f"class-{i:05d}").mkdir()
        os.link(first, root / f"class-{i:05d}" / "1.png")
    first.unlink()
    return root
