"""The verb `sample`: from a run to a picture, a folder of PNGs or an .npz file."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from counterfeit import images, paths
from counterfeit.console import progress
from counterfeit.data.class_names import folder_names
from counterfeit.errors import RunError
from counterfeit.files import write_atomic
from counterfeit.isolation import alone
from counterfeit.run import Labels, Run


@alone
def sample(run: Run, n: int = 64, *, label: Labels = None, seed: int = 0, out: str | Path | None = None) -> Path:
    """Write n samples and return where they are.

    Args:
        run: a run with a checkpoint.
        label: one label for all, a class's name or number; by default a conditional model takes each in turn.
        seed: same seed, same images.
        out: a .png file (one grid), an .npz file (`images` uint8 (n, C, H, W), of a conditional model also `labels`
            and the names `classes`), or a new folder (one PNG an image, in a subfolder a class); by default a grid in
            the run's samples folder.

    Raises:
        InputError: n, label or out cannot be used.
        RunError: the run is damaged, or `out` cannot be written.
    """
    labels = run.labels(n, label)
    if out is None:
        of_label = "" if label is None else f"-label{folder_names([str(label)])[0]}"
        out = run.folder.shown(run.folder.samples) / f"sample-n{n}{of_label}-seed{seed}.png"
    path = Path(paths.typed(out))
    if run.data.path is not None and paths.same(path, run.data.path):
        raise RunError(f"{path} holds the images that the run was trained on: pass another --out")
    if path.suffix.lower() not in (".png", ".npz") and path.exists() and (path.is_file() or any(path.iterdir())):
        raise RunError(f"{path} exists already: name a new folder, or a .png or .npz file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        match path.suffix.lower():
            case ".png":
                batch = run.sample(n, seed=seed, labels=labels)
                columns = run.model.classes if label is None and run.model.classes else None
                images.save_png(path, images.grid(batch, columns, scale=max(1, 64 // batch.shape[-1])))
            case ".npz":
                write_npz(path, run.sample(n, seed=seed, labels=labels), labels, run.data.classes)
            case _:
                _write_folder(path, run, n, seed, labels)
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror or error}): pass another --out") from None
    return path


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
                    images.to_pil(image.transpose(1, 2, 0)).save(folder / f"{i:0{digits}d}.png")
                    i += 1
                advance(len(batch))
        whole.replace(path)
