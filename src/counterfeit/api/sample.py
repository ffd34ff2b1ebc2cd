"""The command `sample`: write samples of a run as an image grid, a folder of PNGs or arrays."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from counterfeit.data import pixels
from counterfeit.data.class_names import folder_names
from counterfeit.errors import RunError
from counterfeit.models import MODELS
from counterfeit.run import Labels, Run
from counterfeit.system import paths
from counterfeit.system.arguments import checked
from counterfeit.system.console import progress
from counterfeit.system.files import write_atomic
from counterfeit.system.isolation import alone
from counterfeit.system.memory import check_room
from counterfeit.training.sample_grids import MOST_COLUMNS


@checked
@alone
def sample(
    run: Run | str | Path,
    n: int = 64,
    *,
    label: Labels = None,
    seed: int = 0,
    out: str | Path | None = None,
    device: str = "auto",
) -> Path:
    """Write n samples and return their path; the Python form of `counterfeit sample`.

    Args:
        run: a Run or its folder, with a checkpoint.
        label: class name or number of all samples; by default a conditional model draws the classes in turn.
        seed: random seed; the same seed gives the same images.
        out: a picture of a grid of all samples (its ending is one of PICTURES), an .npz file (`images` uint8
            (n, C, H, W), for a conditional model also `labels` and the names `classes`), an .npy file (only images), or
            a new folder (one PNG per image, with one subfolder per class); by default a grid in the run's samples
            folder, or of a fetched run in NAME/samples.
        device: device to compute on, if `run` is a folder.

    Raises:
        InputError: n, label or out cannot be used.
        RunError: the run is damaged, or `out` cannot be written.
    """
    run = run if isinstance(run, Run) else Run(run, device)
    labels = run.labels(n, label)
    if out is None:
        of_label = "" if label is None else f"-label{folder_names([str(label)])[0]}"
        usual = MODELS[run.model_name].sampling.to_dict()
        changed = {name: value for name, value in run.options.to_dict().items() if value != usual.get(name)}
        of_options = "".join(f"-{folder_names([f'{name}{value}'])[0]}" for name, value in changed.items())
        out = run.folder.shown(run.out / "samples") / f"sample-n{n}{of_label}-seed{seed}{of_options}.png"
    path = Path(paths.typed(out))
    if run.data.path is not None and any(paths.same(path, place) for place in (run.data.path, run.config.data)):
        raise RunError(f"{path} holds the images that the run was trained on: pass another --out")
    write = _writer(str(out), path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, run, n, seed, labels)
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror or error}): pass another --out") from None
    return path


def _writer(typed: str, path: Path) -> Writer:
    """What writes such a file or folder. Raises RunError for an ending that is none of ours, or for what is there."""
    ending = path.suffix.lower()
    if ending in FILES or ending in PICTURES:
        if path.is_dir():
            raise RunError(f"{path} is a folder: pass a file, or a new folder without the ending {ending}")
        return FILES.get(ending, _write_picture)
    if ENDING.fullmatch(ending) and not path.is_dir() and not typed.endswith(("/", "\\")):
        raise RunError(
            f"{path} has an unknown ending: use {', '.join((*PICTURES, *FILES))}, "
            f"or for a new folder a name that ends in a slash: {path}/"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} already exists: pass a new folder, or a .png or .npz file")
    return _write_folder


def _write_picture(path: Path, run: Run, n: int, seed: int, labels: np.ndarray | None) -> None:
    """One grid; of a model of few classes that are taken in turn, a column each."""
    c, h, w = run.data.shape
    scale = max(1, 64 // w)
    check_room(2 * n * c * h * w * scale**2, f"a picture of {n:,} images", "take fewer, or a folder")
    batch = run.sample(n, seed=seed, labels=labels)
    in_turn = labels is not None and bool((labels == np.arange(n) % run.model.classes).all())
    columns = run.model.classes if in_turn and run.model.classes <= MOST_COLUMNS else None
    sheet = pixels.grid(batch, columns, scale=scale)
    kind, most = PICTURES[path.suffix.lower()]
    if max(sheet.shape) > most:
        high, wide, _ = sheet.shape
        raise RunError(f"{path} cannot hold a picture of {wide}x{high} pixels: use .png, or fewer images than {n}")
    buffer = io.BytesIO()
    pixels.to_pil(sheet).save(buffer, format=kind, **({"quality": 95} if kind == "JPEG" else {}))
    write_atomic(path, buffer.getvalue())


def _write_npz(path: Path, run: Run, n: int, seed: int, labels: np.ndarray | None) -> None:
    write_npz(path, run.sample(n, seed=seed, labels=labels), labels, run.data.classes)


def _write_npy(path: Path, run: Run, n: int, seed: int, labels: np.ndarray | None) -> None:
    """The images, uint8 (n, C, H, W), which is all that such a file can hold."""
    buffer = io.BytesIO()
    np.save(buffer, run.sample(n, seed=seed, labels=labels))
    write_atomic(path, buffer.getvalue())


def write_npz(path: Path, batch: np.ndarray, labels: np.ndarray | None, classes: Sequence[str]) -> None:
    """uint8 (N, C, H, W), and labels (N,) with the names of their classes or None, as an .npz, whole or not at all."""
    buffer = io.BytesIO()
    of_labels = {} if labels is None else {"labels": labels, "classes": np.array(classes)}
    arrays = {"images": batch, **of_labels}
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # one of numpy's own options is bool
    write_atomic(path, buffer.getvalue())


def _write_folder(path: Path, run: Run, n: int, seed: int, labels: np.ndarray | None) -> None:
    """One PNG an image, in a subfolder a class for a conditional model; the folder appears when it is complete."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as beside:
        whole = Path(beside) / path.name
        folders = [whole] if labels is None else [whole / name for name in folder_names(run.data.classes)]
        for place in [0] if labels is None else np.unique(labels):
            folders[place].mkdir(parents=True)
        digits, i = len(str(n - 1)), 0
        with progress(f"writing {n} images to {path}", n) as advance:
            for batch in run.sample_batches(n, seed=seed, labels=labels):
                for image in batch:
                    folder = folders[0 if labels is None else labels[i]]
                    pixels.to_pil(image.transpose(1, 2, 0)).save(folder / f"{i:0{digits}d}.png")
                    i += 1
                advance(len(batch))
        whole.replace(path)


Writer = Callable[[Path, Run, int, int, "np.ndarray | None"], None]
FILES: dict[str, Writer] = {".npz": _write_npz, ".npy": _write_npy}
# What Pillow writes: its name of each format, and the longest side that this can have
PICTURES = {
    ".png": ("PNG", 2**31 - 1),
    ".jpg": ("JPEG", 65_500),
    ".jpeg": ("JPEG", 65_500),
    ".webp": ("WEBP", 16_383),
    ".gif": ("GIF", 65_535),
    ".bmp": ("BMP", 2**31 - 1),
    ".tif": ("TIFF", 2**31 - 1),
    ".tiff": ("TIFF", 2**31 - 1),
}
ENDING = re.compile(r"\.[a-z][a-z0-9]{0,4}")  # of a file; a folder may be called v1.5 or a.longer-name
