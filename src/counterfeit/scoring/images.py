"""Everything that can be scored, in one form: a source of uint8 images in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from counterfeit import data as datasets
from counterfeit.data import ImageSet
from counterfeit.data.form import Form, form_at, form_of, formed, is_gray
from counterfeit.data.rows import take
from counterfeit.errors import InputError
from counterfeit.sampling import BLOCK
from counterfeit.scoring.classes import Classes
from counterfeit.system.console import say
from counterfeit.system.distributed import ALONE, Group

BATCH = 1000
# Largest number of real images used from a set, to limit the memory for features and the search for neighbors. It is
# the size of the largest named data set, so the values of named data sets use all of their images.
MOST_REAL = 60_000


@dataclass(frozen=True)
class Images:
    """Generated images, drawn from a generator or from an existing set.

    Attributes:
        name: for the receipt, such as a path.
        most: number of images; None if any number can be drawn.
        draw: (n, seed, group) -> batches of uint8 (≤ BATCH, C, H, W), n images in total, of which each process of the
            group gets its share. Another seed is an independent draw from a generator, or another subset of a set.
        digest: SHA-256 of a set of images, or of the weights of a run; None for another generator.
        shape: (C, H, W) if known before anything is drawn.
        labels: n -> the labels (n,) for which `draw(n, …)` generates, or None.
        classes: names of the labels; () if there are no labels.
        known: the classes of the images, for metrics of one class at a time; None if they have none. A labeled set has
            them too, though nothing was asked to draw them: `labels` are those that a model was given.
        form: sizes and channels as stored and as compared, for the receipt; see `data.form.described`. For a callable
            they are known only after a draw.
        kind: origin of the images: "run", "function", or the kind of an ImageSet.
        about: other facts for the receipt, JSON types.
    """

    name: str
    most: int | None
    draw: Callable[[int, int, Group], Iterator[np.ndarray]]
    digest: str | None = None
    labels: Callable[[int], np.ndarray | None] = lambda n: None
    shape: tuple[int, int, int] | None = None
    form: dict[str, Any] = field(default_factory=dict)
    kind: str = "function"
    about: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    known: Classes | None = None

    @classmethod
    def of_set(cls, images: ImageSet) -> Images:
        """Use an existing set of images; n < all takes a seeded subset."""

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            for rows in subset(len(images), n, seed, group):
                yield take(images.images, rows)

        def labels(n: int, seed: int) -> np.ndarray:
            assert images.labels is not None
            return images.labels[np.concatenate(list(subset(len(images), n, seed)))]

        about = conversion(images)
        return cls(
            images.name,
            len(images),
            draw,
            images.digest,
            shape=images.shape,
            form=form_of(images),
            kind=images.kind,
            about=about,
            known=None if images.labels is None else Classes(labels, images.classes),
        )

    @classmethod
    def of_callable(cls, function: Callable[[int, int], Any], fit: Callable[[ImageSet], ImageSet]) -> Images:
        """Use the user's own generator: function(n, seed) returns n images as a uint8 array, the same in every process.

        `fit` converts them to the form in which they are compared.
        """
        name = getattr(function, "__name__", type(function).__name__)
        form: dict[str, Any] = {}

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            images = fit(replace(datasets.load(function(n, seed)), name=f"{name}()"))
            if len(images) != n:
                raise InputError(f"{name}({n}, {seed}) gave {len(images)} images; it must give {n}")
            form.update(form_of(images))
            for rows in subset(n, n, seed, group):
                yield take(images.images, rows)

        return cls(name, None, draw, form=form)

    @classmethod
    def of(
        cls, source: Any, like: ImageSet, skip_bad: bool = False, size: int | str | None = None, any_size: bool = False
    ) -> Images:
        """Make `Images` from a folder, .npz file, array, loaded set or callable, in the form of the real images.

        Raises DataError or InputError if they cannot be read or do not fit the real images; see `paired`.
        """
        if callable(source):
            return cls.of_callable(source, lambda images: paired(at_size(images, size), like, any_size))
        return cls.of_set(paired(generated(source, size, skip_bad), like, any_size))

    def at_size(self, size: int | str | None) -> Images:
        """The same images, resized when they are drawn."""
        if self.shape is None or size is None:
            return self
        form = Form(size)

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            return (form(batch) for batch in self.draw(n, seed, group))

        return replace(self, draw=draw, shape=form.shape(self.shape), form=form_at(self.shape, size))


def conversion(images: ImageSet) -> dict[str, Any]:
    """How a folder's files were converted to these images: transparency, decoder, …. Empty if they were not."""
    return {"conversion": dict(images.conversion)} if images.conversion else {}


def generated(source: Any, size: int | str | None = None, skip_bad: bool = False, labels: Any = None) -> ImageSet:
    """Load generated images from a folder, .npz file or array, in their own size or resized.

    Args:
        source: a folder, .npz file or array, or a loaded set, which is only resized.
        labels: labels of an array.
    """
    if not isinstance(source, ImageSet):
        place = datasets.locate(source)
        if len(datasets.splits(source)) > 1:
            say(f"{place.name}: it has several splits; train is used for the generated images")
        files = place.has_files
        read = partial(datasets.load, size=size or datasets.NATIVE, skip_bad=skip_bad) if files else datasets.load
        source = read(source, labels=labels)
    return at_size(source, size)


def at_size(images: ImageSet, size: int | str | None) -> ImageSet:
    """Resize images; None leaves them as they are. Folders are usually read at this size already."""
    return formed(images, Form(size))


def paired(images: ImageSet, like: ImageSet, any_size: bool = False) -> ImageSet:
    """Convert generated images to a form comparable with the real ones: to grayscale if RGB channels are all equal.

    Raises:
        InputError: they have other sizes, unless the detector accepts `any_size`, or other channels.
    """
    if like.shape[0] == 1 and images.shape[0] == 3 and is_gray(images):
        images = as_gray(images)
    check_form(images.name, images.shape, like, any_size)
    return images


def as_gray(images: ImageSet) -> ImageSet:
    """Convert RGB images with equal channels to grayscale."""
    say(f"{images.name}: its images are stored as RGB but are gray; they are compared as gray images")
    return formed(images, Form(gray=True))


def check_form(name: str, shape: tuple[int, int, int], like: ImageSet, any_size: bool = False) -> None:
    """Raise InputError if generated images (C, H, W) cannot be compared with the real ones as they are."""
    both = f"{name} has images of {in_words(shape)} and the real ones, {like.name}, are {in_words(like.shape)}"
    if shape[0] != like.shape[0]:
        fix = "in color" if shape[0] == 3 else "in gray"
        raise InputError(f"{both}: color and gray images cannot be compared; pass real images {fix} as --real")
    if shape[1:] != like.shape[1:]:
        side = min(*shape[1:], *like.shape[1:])
        if not any_size:
            raise InputError(f"{both}: pass --size {side} to resize both to one size")
        say(f"{both}: each is brought to the detector's size from its own; --size {side} brings both to one size first")


def used(images: ImageSet) -> int:
    """How many images of a real set are used: all, or a seeded choice of MOST_REAL if there are more."""
    return min(len(images), MOST_REAL)


def classes_of(images: ImageSet) -> np.ndarray | None:
    """The classes of the `used` images of a real set, integers (n,); None if it has no labels."""
    if images.labels is None:
        return None
    return images.labels[np.concatenate(list(subset(len(images), used(images), 0)))]


def subset(total: int, n: int, seed: int, group: Group = ALONE) -> Iterator[np.ndarray]:
    """Yield row numbers of n of `total` images in ascending batches: all of them, or a seeded choice.

    In a group of several processes, each gets its share.
    """
    rows = np.arange(total) if n >= total else np.sort(np.random.default_rng(seed).permutation(total)[:n])
    rows = rows[group.shares(len(rows), BLOCK)[group.rank]]
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def in_words(shape: tuple[int, int, int]) -> str:
    """A shape (C, H, W) in words, such as `28x28 gray`."""
    c, h, w = shape
    return f"{h}x{w} {'gray' if c == 1 else 'RGB'}"
