"""What metrics compute from the real and training images alone: the same whatever is compared with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar

T = TypeVar("T")
Sets = tuple[Literal["real", "train"], ...]


class Keep(Protocol):
    """Returns the result of `make`, from an earlier time if it is there."""

    def __call__(self, what: str, of: Sets, kind: type[T], make: Callable[[], T]) -> T:
        """Return what `make` returns: a `kind`, a dataclass whose fields are all arrays.

        `what` describes it for people, and names everything that determines it besides the images of `of`.
        """


def computed(what: str, of: Sets, kind: type[T], make: Callable[[], T]) -> T:
    """Compute it."""
    return make()
