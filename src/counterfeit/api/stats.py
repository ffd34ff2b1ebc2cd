"""The command `stats`: write the mean and covariance of the features of real images to a file, for `--real`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterfeit.data.rows import take
from counterfeit.detectors import probed
from counterfeit.errors import InputError, RunError
from counterfeit.metrics.frechet import Moments
from counterfeit.scoring import judge, statistics
from counterfeit.scoring.images import subset
from counterfeit.settings import ScoreConfig
from counterfeit.system import paths
from counterfeit.system.arguments import checked
from counterfeit.system.console import progress
from counterfeit.system.isolation import alone


@checked
@alone
def stats(source: Any, out: str | Path, *, n: int | None = None, seed: int = 0, **settings: Any) -> Path:
    """Write reference statistics of real images; the Python form of `counterfeit stats`.

    Args:
        source: "NAME", "NAME:train", "NAME:test", a folder, an .npz file or an array of images.
        out: the .npz file to write: `mu` (D,), `sigma` (D, D), and a record of the images and the detector.
        n: number of images, chosen at random by the seed; by default all.
        seed: random seed for choosing n of the images.
        **settings: `size`, `detector`, `weights`, `any_weights`, `protocol`, `compile`, `skip_bad`, `device`, as for
            `score`.

    Returns:
        The path of the file.

    Raises:
        InputError: an argument is wrong or missing, or the detector is a function, which a file cannot identify.
        RunError: the file cannot be written.
    """
    config, path = ScoreConfig.of({"real": source, "seed": seed, **settings}), Path(paths.typed(out))
    if path.suffix.lower() != ".npz":
        raise InputError(f"--out is {path}; statistics are written to an .npz file, such as {path.name or 'real'}.npz")
    if isinstance(source, (str, Path)) and paths.same(judge.split_of(source)[0], path):
        raise InputError(
            f"--out is {path}, which is the file of the images and would be overwritten: pass another file"
        )
    images, _, _ = judge.real_sides(judge.real_images(config, None), config.size, None)
    if len(images) < 2:
        raise InputError(f"{images.name} has 1 image; statistics need at least 2, and thousands to be reliable")
    n = len(images) if n is None else n
    if not 2 <= n <= len(images):
        raise InputError(f"-n is {n}; {images.name} has {len(images):,} images, so take 2 to {len(images)}")
    detector = judge.load_detector(config, images)
    if detector.weights_sha256 is None:
        raise InputError(
            f"detector {detector.name} is a function, which cannot be identified later: statistics need a named "
            "detector or an .onnx file"
        )
    if detector.custom:
        probed(detector, images.shape)
    moments: Moments | None = None
    with progress(f"{detector.name}: {n:,} images of {images.name}:{images.split}", n) as advance:
        for rows in subset(len(images), n, seed):
            part = Moments.of(detector(take(images.images, rows), advance).features)
            if moments is None:
                moments = part
            else:
                moments.merge(part)
    assert moments is not None
    about = {"digest": images.digest, "source": f"{Path(images.name).name}:{images.split}"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        statistics.write(path, moments, detector, images.shape, about)
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror or error}): pass another --out") from None
    return path
