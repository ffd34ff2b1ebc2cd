"""A user's folder: 500 real images of mixed sizes, modes and formats, trained on end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import counterfeit as cf

# mode -> how a gray digit becomes an image of that mode, and the format it is stored in
KINDS = {
    "L": (lambda i: i, "png"),
    "RGB": (lambda i: i.convert("RGB"), "jpg"),
    "RGBA": (lambda i: Image.merge("RGBA", [i, i, i, i.point(lambda v: 255 - v // 2)]), "png"),
    "LA": (lambda i: Image.merge("LA", [i, i]), "png"),
    "P": (lambda i: i.convert("P"), "gif"),
    "1": (lambda i: i.convert("1"), "png"),
    "CMYK": (lambda i: i.convert("CMYK"), "jpg"),
    "I;16": (lambda i: Image.fromarray(np.asarray(i).astype(np.uint16) * 257), "png"),
    "webp": (lambda i: i.convert("RGB"), "webp"),
    "bmp": (lambda i: i.convert("RGB"), "bmp"),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, test_cache) -> Path:
    """500 real digits in a subfolder a class, sides 20 to 90 pixels, ten kinds of file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        data = cf.load_data("mnist5k")
    home = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    kinds = list(KINDS.items())
    for i, index in enumerate(range(0, 5000, 10)):
        kind, (convert, suffix) = kinds[i % len(kinds)]
        folder = home / str(data.labels[index])
        folder.mkdir(exist_ok=True)
        digit = Image.fromarray(data.images[index, 0]).resize(tuple(int(v) for v in rng.integers(20, 90, 2)))
        convert(digit).save(folder / f"{i:03d}-{kind.replace(';', '')}.{suffix}")
    return home


@pytest.mark.parametrize(("model", "size"), [("vae", 20), ("dcgan", 32), ("cvae", 24)])
def test_a_mixed_folder_trains_end_to_end(model: str, size: int, pictures: Path, command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--size", size] if size != 20 else []  # 20 is the smallest image's side: the default
    trained = command("train", model, "--data", pictures, "--epochs", 2, "--batch-size", 100, "--out", out, *options)
    assert trained.code == 0, trained.err
    run = cf.load(out)
    assert run.data.n == 500 and len(run.data.classes) == 10
    images = run.sample(16)
    assert images.shape == (16, 3, size, size)
    assert images.std() > 1
    assert command("sample", out, "-n", 9, "--out", tmp_path / "grid.png").code == 0
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.mode == "RGB"
    assert np.isfinite([row[k] for row in run.log for k in row if "loss" in k]).all()
