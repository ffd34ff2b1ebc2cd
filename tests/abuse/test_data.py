"""Images from anywhere: arrays of any form under any name, files that are no images, folders of all kinds."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from ground import attempt, ground, judged
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

READERS = {
    "train": [
        "train",
        "vae",
        "--epochs",
        "1",
        "--batch-size",
        "4",
        "--encoder-width",
        "8",
        "--decoder-width",
        "8",
        "--data",
    ],
    "score": ["score", "run", "-n", "8", "--metrics", "fid", "--detector", "mnist-cnn", "--real"],
    "source": ["score", "-n", "8", "--metrics", "fid", "--detector", "mnist-cnn", "--real", "own.npz"],
    "stats": ["stats", "--detector", "mnist-cnn", "--out", "stats.npz"],
    "cas": ["cas", "-n", "8", "--real", "own.npz"],
}
PLAIN = [(8, 8, 8), (8, 1, 8, 8), (8, 8, 8, 3), (8, 3, 8, 8), (8, 7, 9)]
ODD = [
    (8, 8),
    (8,),
    (),
    (0, 8, 8),
    (1, 8, 8),
    (8, 0, 8),
    (8, 5, 9, 2),
    (8, 2, 8, 8),
    (8, 1, 1),
    (8, 1, 8, 8, 1),
    (2, 300, 2),
]
SHAPES = [*PLAIN, *ODD]
KINDS = ["u1", "i1", "i8", "u2", "f4", "f8", "f2", "?", "c8", "U3", "M8[s]", ">u1", ">f4"]
NAMES = ["images", "arr_0", "x_train", "X", "data", "train_images", "mu", "labels", "Images"]
LABELS = [
    [0, 1] * 4,
    [0] * 8,
    [-1] * 8,
    [0, 65535] * 4,
    [0, 10**12] * 4,
    ["a"] * 8,
    [0.5] * 8,
    [np.nan] * 8,
    [0, 1],
    [[0, 1]] * 8,
]
FORMATS = ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "ICO", "TGA"]
MODES = ["L", "RGB", "RGBA", "P", "1", "I;16", "LA", "CMYK", "F", "I", "YCbCr"]


def array(draw: st.DrawFn) -> np.ndarray:
    """An array of any form, filled with one of the usual things."""
    shape, kind = draw(st.sampled_from(SHAPES)), np.dtype(draw(st.sampled_from(KINDS)))
    filled = draw(st.sampled_from(["noise", "zeros", "nan"]))
    noise = np.random.default_rng(0).integers(0, 256, shape)
    if filled == "nan" and kind.kind in "fc":
        return np.full(shape, np.nan, kind)
    return np.zeros(shape, kind) if filled == "zeros" or kind.kind in "UM" else noise.astype(kind)


def archive(draw: st.DrawFn, path: Path) -> None:
    """An .npz file of one to three arrays, sometimes with labels, sometimes cut or turned."""
    members: dict[str, Any] = {draw(st.sampled_from(NAMES)): array(draw) for _ in range(draw(st.integers(1, 3)))}
    if draw(st.booleans()):
        members["labels"] = np.array(draw(st.sampled_from(LABELS)))
    save = draw(st.sampled_from([np.savez, np.savez_compressed]))
    box = io.BytesIO()
    save(box, **members)
    spoil(draw, path, box.getvalue())


def spoil(draw: st.DrawFn, path: Path, content: bytes) -> None:
    """Write a file as it is, or cut, or with one byte that is another."""
    how, place = (
        draw(st.sampled_from(["whole", "whole", "cut", "turn"])),
        draw(st.integers(0, max(0, len(content) - 1))),
    )
    content = content[:place] if how == "cut" else content
    turned = content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :] if how == "turn" else content
    path.write_bytes(turned)


def strange_zip(draw: st.DrawFn, path: Path) -> None:
    """Zip files that are no archives of arrays."""
    kind = draw(st.sampled_from(["text", "header", "huge", "pickle", "twice", "deep", "method"]))
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }"
    pad = lambda shape: (header % shape).ljust(127) + b"\n"  # noqa: E731
    method = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile(path, "w", method) as file:
        name = draw(st.sampled_from(["images.npy", "../images.npy", "images", "/images.npy", "images.npy/"]))
        content = {
            "text": b"hello",
            "header": pad(b"8, 8, 8") + bytes(10),
            "huge": pad(b"1000000000000, 28, 28"),
            "pickle": b"\x93NUMPY\x01\x00v\x00"
            + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117)
            + b"\n\x80\x04.",
            "twice": pad(b"8, 8, 8") + bytes(512),
            "deep": pad(b"8, " * 30),
            "method": pad(b"8, 8, 8") + bytes(512),
        }[kind]
        file.writestr(name, content)


def image(draw: st.DrawFn) -> bytes:
    """A file that Pillow wrote in any of its modes, of any small size."""
    size = draw(st.tuples(*[st.sampled_from([1, 2, 7, 8, 16, 33])] * 2))
    mode, kind = draw(st.sampled_from(MODES)), draw(st.sampled_from(FORMATS))
    box = io.BytesIO()
    try:
        Image.new(mode, size, 100 if mode in ("L", "P", "1", "I;16", "F", "I") else None).save(box, kind)
    except (OSError, ValueError, KeyError):
        Image.new("RGB", size, "red").save(box, "PNG")
    return box.getvalue()


def folder(draw: st.DrawFn, path: Path) -> None:
    """A folder of images, some of them in classes, among things that are none."""
    path.mkdir()
    names = st.sampled_from(
        ["a/{}.png", "{}.png", "b/{}.jpg", "train/a/{}.png", "test/a/{}.png", "{}.heic", ".{}.png", "c d/{}.PNG"]
    )
    pattern = [draw(names) for _ in range(draw(st.integers(1, 2)))]
    for i in range(draw(st.sampled_from([0, 1, 5, 9]))):
        place = path / pattern[i % len(pattern)].format(i)
        place.parent.mkdir(parents=True, exist_ok=True)
        spoil(draw, place, image(draw)) if i % 3 == 0 else place.write_bytes(image(draw))
    beside = draw(st.sampled_from(["", "", "pipe.png", "loop", "text.png", "dir.png"]))
    if beside == "pipe.png":
        os.mkfifo(path / beside)
    elif beside == "loop":
        (path / beside).symlink_to(path)
    elif beside == "text.png":
        (path / beside).write_text("hello")
    elif beside:
        (path / beside).mkdir()


@settings(max_examples=settings().max_examples * 2)
@given(
    data=st.data(),
    verb=st.sampled_from(list(READERS)),
    how=st.sampled_from([archive, archive, strange_zip, folder, folder]),
)
def test_images(data, verb, how, built, tmp_path_factory):
    with ground(built, tmp_path_factory.getbasetemp() / "place") as home:
        name = "given" if how is folder else "given.npz"
        how(data.draw, home / name)
        words = (
            [*READERS[verb][:1], name, *READERS[verb][1:]]
            if verb in ("source", "stats", "cas")
            else [*READERS[verb], name]
        )
        more = data.draw(st.sampled_from([[], [], ["--skip-bad"], ["--size", "8"]]))
        judged("data", attempt([*words, *more], home), ["run", "runs", "stats.npz"])
