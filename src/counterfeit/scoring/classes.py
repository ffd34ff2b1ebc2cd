"""The classes of generated images in terms of those of the real images, which may have another order or be more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from counterfeit.data.class_names import class_name
from counterfeit.errors import InputError
from counterfeit.system.words import first_few


@dataclass(frozen=True)
class Classes:
    """The classes that images were generated for.

    Attributes:
        labels: (n, seed) -> integers (n,), one for each image of a draw of n with this seed.
        names: names of the labels.
    """

    labels: Callable[[int, int], np.ndarray]
    names: tuple[str, ...]


def in_terms_of(real: Sequence[str], labels: np.ndarray, classes: Sequence[str], where: str) -> np.ndarray:
    """Labels (n,) in terms of the real classes, which may have another order or be more; see `places`.

    Raises:
        InputError: a class that the real images do not have.
    """
    found = places(real, classes, where)[labels]
    if found.max() >= len(real):
        raise InputError(f"{where} has the label {found.max()}, and the real images have 0 to {len(real) - 1}")
    return found


def places(real: Sequence[str], classes: Sequence[str], where: str) -> np.ndarray:
    """The real class (K,) of each class, matched by name, which may be spelled as in the folders of `sample`.

    If some names are not real classes but all names are whole numbers, as for an .npz file without names, they are the
    numbers of the real classes.

    Raises:
        InputError: a name that the real images do not have.
    """
    if by_number(real, classes):
        return np.array([int(name) for name in classes])
    known = {name: place for place, name in enumerate(real)}
    found = [known.get(name, known.get(class_name(name))) for name in classes]
    if None in found:
        unknown = classes[found.index(None)]
        raise InputError(f"{where} has the class {unknown!r}, which the real images do not have: {first_few(real)}")
    return np.array(found)


def by_number(real: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether the classes are whole numbers and not all of them are names of real classes."""
    return not set(classes) <= set(real) and all(name.isascii() and name.isdecimal() for name in classes)
