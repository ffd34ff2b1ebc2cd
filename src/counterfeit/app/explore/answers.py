"""From a request to images: each of these functions is computed in the one thread of `Newest`."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from counterfeit import latents
from counterfeit.app.explore import asked, drawn
from counterfeit.data import pixels
from counterfeit.data.rows import take
from counterfeit.errors import InputError
from counterfeit.exploring import Explorer
from counterfeit.models.base import Encodes, HasLatents
from counterfeit.runs.data import images_of

NEIGHBORS = 8
SIDE = 64  # pixels, of images in a strip to save
PAPER = 128  # gray between images of a strip


def png(images: np.ndarray, columns: int = 0, gap: int = 0, scale: int = 1) -> bytes:
    """Images uint8 (N, C, H, W), side by side in one PNG."""
    buffer = io.BytesIO()
    pixels.to_pil(pixels.grid(images, columns or len(images), gap, scale, PAPER)).save(buffer, format="PNG")
    return buffer.getvalue()


def point(explorer: Explorer, where: asked.Where) -> bytes:
    """The image at a place."""
    return png(explorer.decode(asked.place(explorer, where)[None], _label(explorer, where)))


def plane(explorer: Explorer, where: asked.Plane) -> bytes:
    """A grid of images, steps times steps, row by row."""
    center, origin = asked.latent(explorer, where.center), asked.place(explorer, where)
    across, down = (asked.step(explorer, center, direction) for direction in (where.across, where.down))
    u, v = (np.linspace(*ends, where.steps, dtype=np.float32) for ends in (where.u, where.v))
    z = latents.plane(origin, across, down, u, v)
    return png(explorer.decode(z.reshape(-1, *origin.shape), _label(explorer, where)), where.steps)


def morph(explorer: Explorer, between: asked.Morph) -> bytes:
    """A strip of images from a to b, both included, large enough to be looked at."""
    a, b = (asked.latent(explorer, point)[None] for point in (between.a, between.b))
    path = {"linear": latents.line, "spherical": latents.arc}[between.path]
    z = path(a, b, np.linspace(0, 1, between.steps, dtype=np.float32))[0]
    images = explorer.decode(z, _labels_between(explorer, between))
    return png(images, gap=2, scale=max(1, SIDE // images.shape[3]))


def samples(explorer: Explorer, which: asked.Samples) -> bytes:
    """The first n samples of a seed, in a row."""
    return png(explorer.run.sample(which.n, seed=which.seed, labels=_label(explorer, which)))


def latent(explorer: Explorer, where: asked.Where) -> dict[str, Any]:
    """The latent of a place."""
    return {"z": _numbers(asked.place(explorer, where))}


def about_image(explorer: Explorer, where: asked.Where) -> dict[str, Any]:
    """An image, its latent, and the training images nearest to it."""
    if isinstance(explorer.run.model, HasLatents):
        z = asked.place(explorer, where)
        return {"z": _numbers(z), **_known(explorer, explorer.decode(z[None], _label(explorer, where)))}
    if where.moves or not isinstance(where.center, asked.Sample):
        raise InputError(f"{explorer.run.model_name} has no latents to move in: ask for one of its samples")
    some = explorer.run.sample(where.center.index + 1, seed=where.center.seed, labels=_label(explorer, where))
    return {"z": None, **_known(explorer, some[-1:])}


def encoded(explorer: Explorer, given: asked.Picture) -> dict[str, Any]:
    """An image as the model sees it, its code, its reconstruction, and the training images nearest to it."""
    run, label = explorer.run, _label(explorer, given)
    if not isinstance(run.model, Encodes):
        raise InputError(f"{run.model_name} has no encoder: it cannot find the code of an image")
    if given.row is not None:
        image, label, name = _real(explorer, given.row)
    else:
        image = drawn.read(given.picture or "", run.data.shape, given.drawn, given.inverted)[None]
        name = "The drawing" if given.drawn else "The picture"
    code, again = run.encode(image, label), run.reconstruct(image, label)
    about = {"name": name, "z": _numbers(code[0]), "walks": isinstance(run.model, HasLatents)}
    return {**about, "again": _text(again), **_known(explorer, image)}


def _real(explorer: Explorer, row: int) -> tuple[np.ndarray, int | None, str]:
    """An image (1, C, H, W) of the test split, or of the training images where there is none; its label; its name."""
    model, splits = explorer.run.model, images_of(explorer.run.record, explorer.run.name)
    found = splits.get("test", splits["train"])
    row %= len(found)
    label = int(found.labels[row]) if model.classes and found.labels is not None else None
    return take(found.images, np.array([row])), label, f"Image {row} of {found.name}:{found.split}"


def _known(explorer: Explorer, image: np.ndarray) -> dict[str, Any]:
    """The image (1, C, H, W), and its nearest training images; a sentence instead where these are missing."""
    found: dict[str, Any] = {"image": _text(image)}
    try:
        near = explorer.nearest(image, NEIGHBORS)
        train = explorer.train
    except InputError as error:
        return found | {"missing": str(error)}
    rows = near.rows[0]
    labels = [""] * len(rows) if train.labels is None else [train.classes[train.labels[row]] for row in rows]
    about = [
        {"row": int(row), "distance": round(float(distance), 3), "label": label}
        for row, distance, label in zip(rows, near.distances[0], labels, strict=True)
    ]
    return found | {"near": about, "sheet": _text(take(train.images, rows))}


def _label(explorer: Explorer, given: asked.Asked) -> int | None:
    """The class that was asked for; the first one of a conditional model, where samples would take them in turn."""
    if not explorer.run.model.classes:
        return None
    return given.label or 0


def _labels_between(explorer: Explorer, between: asked.Morph) -> int | np.ndarray | None:
    """The class of all images of a morph, or of each: one in the middle is nearer to a."""
    label = _label(explorer, between)
    if label is None or between.label_b is None:
        return label
    first = -(-between.steps // 2)
    return np.repeat([label, between.label_b], [first, between.steps - first])


def _text(images: np.ndarray) -> str:
    return base64.b64encode(png(images)).decode()


def _numbers(z: np.ndarray) -> list[float]:
    """The numbers of a latent in the fewest digits from which float32 can be read back exactly."""
    return [float(str(number)) for number in z.ravel()]
