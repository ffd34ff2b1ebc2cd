"""Names to things: the one way in which models, nets, losses and data sets are found."""

from __future__ import annotations

import difflib
from collections.abc import Callable, ItemsView, Iterator, ValuesView
from typing import Generic, TypeVar

from counterfeit.errors import InputError

T = TypeVar("T")


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
        if name in self._things:
            return self._things[name]
        raise InputError(f"no {self.kind} named {name!r}; {self.suggest(name)}")

    def suggest(self, name: str) -> str:
        """The end of an error message: the nearest name, or all of them when none is near."""
        near = difflib.get_close_matches(name, self._things, n=1)
        return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self._things)}"

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def items(self) -> ItemsView[str, T]:
        return self._things.items()

    def values(self) -> ValuesView[T]:
        return self._things.values()
