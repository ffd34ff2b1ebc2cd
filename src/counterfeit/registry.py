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
        self._more: Callable[[], None] | None = None

    def add(self, name: str, thing: T) -> T:
        """Register a thing under a name. Raises InputError, a ValueError: the name is taken."""
        if name in self._things:
            raise InputError(f"a {self.kind} named {shown(name)} is registered already: choose another name")
        self._things[name] = thing
        return thing

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda thing: self.add(name, thing)

    def remove(self, name: str) -> None:
        """Forget a thing."""
        del self._things[name]

    def arrange(self, names: Iterable[str]) -> None:
        """Put the things in the order of these names, others after them."""
        self._things = {name: self._things.pop(name) for name in names} | self._things

    def find_more(self, more: Callable[[], None]) -> None:
        """Call `more`, which adds things, once: when a name is missed, or all things are wanted."""
        self._more = more

    def complete(self) -> Registry[T]:
        """This registry, with all that `find_more` finds; to go through it is to meet what has been found so far."""
        more, self._more = self._more, None
        if more is not None:
            more()
        return self

    def __getitem__(self, name: str) -> T:
        if not isinstance(name, str):
            raise InputError(f"a {self.kind} is called by its name, and {shown(name)} is none; {self.suggest('')}")
        if name in self:
            return self._things[name]
        raise InputError(f"no {self.kind} named {shown(name)}; {self.suggest(name)}")

    def named(self, typed: str) -> str:
        """The name that was meant: itself, or the one that differs in capitals, spaces, "-" and "_" only.

        What is like no name stays as it is.
        """
        return typed if typed in self else alike(typed, self._things) or typed

    def suggest(self, name: str) -> str:
        """The end of an error message: the nearest name, or all of them when none is near."""
        return nearest(name, self.complete())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._things or name in self.complete()._things)

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def items(self) -> ItemsView[str, T]:
        return self._things.items()

    def values(self) -> ValuesView[T]:
        return self._things.values()
