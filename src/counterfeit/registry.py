"""Names to things: the one way in which models, nets, losses and data sets are found."""

from __future__ import annotations

import difflib
from collections.abc import Callable, ItemsView, Iterable, Iterator, ValuesView
from typing import Generic, TypeVar

from counterfeit.errors import InputError
from counterfeit.system.arguments import shown

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'vae'?`, or all that are known where none is near."""
    known = list(known)
    close = difflib.get_close_matches(name.strip().casefold()[:100], known, n=1)
    near = alike(name, known) or (close[0] if close else None)
    return f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"


def alike(name: str, known: Iterable[str]) -> str | None:
    """The known name that differs in capitals, spaces, "-" and "_" only: `cifar10` for `CIFAR-10`."""
    return next((one for one in known if _letters(one) == _letters(name)), None)


def _letters(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


class Registry(Generic[T]):
    """A mapping from names to things of one kind; it keeps the order of registration.

    >>> nets = Registry("net")
    >>> nets.add("mlp", object())  # doctest: +ELLIPSIS
    <object object at ...>
    >>> nets["mpl"]
    Traceback (most recent call last):
    counterfeit.errors.InputError: no net named 'mpl'; did you mean 'mlp'?
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Register a thing under a name; a name that is taken raises ValueError."""
        if name in self._things:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._things[name] = thing
        return thing

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda thing: self.add(name, thing)

    def __getitem__(self, name: str) -> T:
        if not isinstance(name, str):
            raise InputError(f"a {self.kind} is called by its name, and {shown(name)} is none; {self.suggest('')}")
        if name in self._things:
            return self._things[name]
        raise InputError(f"no {self.kind} named {shown(name)}; {self.suggest(name)}")

    def named(self, typed: str) -> str:
        """The name that was meant: itself, or the one that differs in capitals, spaces, "-" and "_" only.

        What is like no name stays as it is.
        """
        return typed if typed in self._things else alike(typed, self._things) or typed

    def suggest(self, name: str) -> str:
        """The end of an error message: the nearest name, or all of them when none is near."""
        return nearest(name, self._things)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def items(self) -> ItemsView[str, T]:
        return self._things.items()

    def values(self) -> ValuesView[T]:
        return self._things.values()
