"""What can be scored, in one form: something that gives uint8 images in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from counterfeit import data as datasets
from counterfeit.data import ImageSet
from counterfeit.data.form import Form, form_at, form_of, formed, is_grey
from counterfeit.data.rows import take
from counterfeit.errors import InputError
from counterfeit.sampling import BLOCK
from counterfeit.system.console import say
from counterfeit.system.distributed import ALONE, Group

BATCH = 1000
# Real images that a set is represented by, so that the memory for features and the search for neighbours are bounded:
# as many as the largest named data set has, whose numbers are of all its images.
MOST_REAL = 60_000


@dataclass(frozen=True)
class Images:
    """Generated images, drawn or at hand.

    Attributes:
        name: for the receipt, such as a path.
        most: how many there are; None where as many as one likes can be drawn.
        draw: (n, seed, group) -> batches of uint8 (≤ BATCH, C, H, W), n images in all, of which each process of the
            group gets its share; another seed is an independent draw of a generator, and another subset of images at
            hand.
        digest: SHA-256 of images at hand, of a run that of its weights, None for another generator.
        shape: (C, H, W) where it is known before anything is drawn.
        labels: n -> the labels (n,) that `draw(n, …)` generates for, or None.
        classes: the labels' names; () where there are no labels.
        form: sizes and channels as stored and as compared, for the receipt, see `data.form.described`; of a callable
            they are known once it has been drawn from.
        kind: what they come from: "run", "function", or the kind of an ImageSet.
        about: further facts for the receipt, JSON types.
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

    @classmethod
    def of_set(cls, images: ImageSet) -> Images:
        """Images at hand; n < all takes a seeded subset."""

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            for rows in subset(len(images), n, seed, group):
                yield take(images.images, rows)

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
        )

    @classmethod
    def of_callable(cls, function: Callable[[int, int], Any], fit: Callable[[ImageSet], ImageSet]) -> Images:
        """A generator of the user's: function(n, seed) gives n images as a uint8 array, the same in every process.

        `fit` brings them to the form in which they are compared.
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
        cls, source: Any, like: ImageSet, skip_bad: bool = False, size: int | None = None, any_size: bool = False
    ) -> Images:
        """A folder, .npz file, array, loaded set or callable, in a form that can be compared with the real images'.

        Raises DataError or InputError where they cannot be read or do not fit the real images; see `paired`.
        """
        if callable(source):
            return cls.of_callable(source, lambda images: paired(at_size(images, size), like, any_size))
        return cls.of_set(paired(generated(source, size, skip_bad), like, any_size))

    def at_size(self, size: int | None) -> Images:
        """The same, brought to a size as they are drawn."""
        if self.shape is None or size is None:
            return self
        form = Form(size)

        def draw(n: int, seed: int, group: Group) -> Iterator[np.ndarray]:
            return (form(batch) for batch in self.draw(n, seed, group))

        return replace(self, draw=draw, shape=form.shape(self.shape), form=form_at(self.shape, size))


def conversion(images: ImageSet) -> dict[str, Any]:
    """How a folder's files became these images: transparency, decoder, …. Empty for what is taken as it is."""
    return {"conversion": dict(images.conversion)} if images.conversion else {}


def generated(source: Any, size: int | None = None, skip_bad: bool = False, labels: Any = None) -> ImageSet:
    """Generated images at hand: a folder, .npz file or array, of their own size or brought to another.

    Args:
        source: these, or a set that was loaded already, which is given back at that size.
        labels: an array's.
    """
    if not isinstance(source, ImageSet):
        place = datasets.locate(source)
        if len(datasets.splits(source)) > 1:
            say(f"{place.name}: it has several splits; train is used for the generated images")
        folder = place.kind == "folder"
        read = partial(datasets.load, size=size or datasets.NATIVE, skip_bad=skip_bad) if folder else datasets.load
        source = read(source, labels=labels)
    return at_size(source, size)


def at_size(images: ImageSet, size: int | None) -> ImageSet:
    """Images brought to a size, or as they are where that is None; a folder's are read at a size from their files."""
    return formed(images, Form(size))


def paired(images: ImageSet, like: ImageSet, any_size: bool = False) -> ImageSet:
    """Generated images in a form that can be compared with the real ones': RGB that is grey throughout as grey.

    Raises:
        InputError: they are of other sizes, unless the detector brings `any_size` to its own, or in other colors.
    """
    if like.shape[0] == 1 and images.shape[0] == 3 and is_grey(images):
        images = as_grey(images)
    check_form(images.name, images.shape, like, any_size)
    return images


def as_grey(images: ImageSet) -> ImageSet:
    """RGB images whose channels are equal, as grey ones."""
    say(f"{images.name}: its images are stored as RGB but are grey; they are compared as grey images")
    return formed(images, Form(grey=True))


def check_form(name: str, shape: tuple[int, int, int], like: ImageSet, any_size: bool = False) -> None:
    """InputError where generated images (C, H, W) cannot be compared with the real ones as they are."""
    both = f"{name} has images of {in_words(shape)} and the real ones, {like.name}, are {in_words(like.shape)}"
    if shape[0] != like.shape[0]:
        fix = "in color" if shape[0] == 3 else "in grey"
        raise InputError(f"{both}: color and grey images cannot be compared; pass real images {fix} as --real")
    if shape[1:] != like.shape[1:]:
        side = min(*shape[1:], *like.shape[1:])
        if not any_size:
            raise InputError(f"{both}: pass --size {side} to resize both to one size")
        say(f"{both}: each is brought to the detector's size from its own; --size {side} brings both to one size first")


def used(images: ImageSet) -> int:
    """How many of a set of real images are compared with: all, or of more than MOST_REAL a seeded choice of so many."""
    return min(len(images), MOST_REAL)


def subset(total: int, n: int, seed: int, group: Group = ALONE) -> Iterator[np.ndarray]:
    """Row numbers of n of `total` images in ascending batches: all of them, or a seeded choice.

    Of several processes each gets its share.
    """
    rows = np.arange(total) if n >= total else np.sort(np.random.default_rng(seed).permutation(total)[:n])
    rows = rows[group.shares(len(rows), BLOCK)[group.rank]]
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def in_words(shape: tuple[int, int, int]) -> str:
    """`28x28 grey`."""
    c, h, w = shape
    return f"{h}x{w} {'grey' if c == 1 else 'RGB'}"
