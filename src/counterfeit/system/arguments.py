"""Check what a caller passes against the annotations, so that a wrong type is reported at the boundary, in one line.

Public functions are `@checked`, and settings go through `fitted` field by field. Equivalent types are accepted: numpy
scalars for Python's, a tensor for an array, a `torch.device` for its name, a tuple for a list.
"""

from __future__ import annotations

import functools
import inspect
import os
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from counterfeit.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

MOST = 2**63 - 1  # the largest integer that torch and numpy compute with
WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    type(None): "None",
    os.PathLike: "a path",
    Sequence: "a list",
    Mapping: "a dict",
    Callable: "a function",
    "ndarray": "an array of numbers",
}
UNIONS = (typing.Union, types.UnionType)


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a public function: convert its arguments to the annotated types, or raise InputError for the wrong one.

    Arguments annotated `Any` are not checked.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # raises TypeError in Python's own words
        kinds = _kinds(function)
        for name, value in bound.arguments.items():
            kind = kinds.get(name, Any)
            if signature.parameters[name].kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
                bound.arguments[name] = fitted(value, kind, f"{_name(function, args)}: {name}")
        return function(*bound.args, **bound.kwargs)

    return call


def fitted(value: Any, kind: Any, what: str) -> Any:
    """Convert a value to an annotated type.

    Args:
        value: what the caller passed.
        kind: a class, a union, `Literal`, `tuple[...]` or `Sequence[...]`. The value must be an instance of any other
            class.
        what: name of the value, for the message.

    Raises:
        InputError: the value is of another type.
    """
    try:
        return _fit(value, kind)
    except _Misfit as error:
        raise InputError(f"{what} is {shown(value)}; it must be {str(error) or words(kind)}") from None


def listed(value: Any, what: str) -> list[str]:
    """Names as a list, from a list of names or one string with commas.

    Raises InputError for anything else, or if there is no name.
    """
    items = [value] if isinstance(value, str) else fitted(value, Sequence[str], what)
    names = [name.strip() for item in items for name in item.split(",")]
    if not all(names) or not names:
        raise InputError(f"{what} is {shown(value)}; it must be one or more names, as a list or with commas between")
    return names


def shown(value: Any) -> str:
    """A value as it appears in a message: short and on one line, whatever it is."""
    text = reprlib.Repr()
    text.maxother = text.maxstring = text.maxlong = 60
    if hasattr(value, "shape") and hasattr(value, "dtype"):  # its repr may be long, or have to wait for a device
        return f"{type(value).__name__} {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    try:
        found = " ".join(text.repr(value).split())
    except Exception:  # a user's class may have a repr that fails; Python refuses to print an integer of 5,000 digits
        found = ""
    kind = (
        ""
        if isinstance(value, (str, int, float, list, tuple, dict, set, type(None)))
        else f", a {type(value).__name__}"
    )
    return f"{found}{kind}" if found else f"a {type(value).__name__}"


def words(kind: Any) -> str:
    """A type in words for a person: `a whole number or None`."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return words(inside[0])
    if origin in UNIONS:
        return " or ".join(dict.fromkeys(words(one) for one in inside))
    if origin is typing.Literal:
        return " or ".join(repr(one) for one in inside)
    if origin is tuple and Ellipsis not in inside:
        return f"{len(inside)} of these: {' and '.join(dict.fromkeys(words(one) for one in inside))}"
    if origin is tuple or origin is Sequence:
        return f"a list (each {words(inside[0])})"
    if origin is dict:
        return "a dict" + (f" (each value {words(inside[1])})" if inside[1] is not Any else "")
    name = getattr(origin or kind, "__name__", str(kind))
    return WORDS.get(origin or kind) or WORDS.get(name) or ("a path" if name == "Path" else f"a {name}")


class _Misfit(Exception):
    """The value is not of the type; the text says what it should be if that is more than the type."""


def _fit(value: Any, kind: Any) -> Any:
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or isinstance(kind, TypeVar):
        return value
    if origin is typing.Annotated:
        return _fit(value, inside[0])
    if origin in UNIONS:
        return _one_of(value, inside)
    if origin is typing.Literal:
        return value if isinstance(value, str) and value in inside else _refuse()
    if origin is tuple or origin is Sequence:
        return _items(value, origin, inside)
    if origin is dict:
        return _pairs(value, inside)
    special = SPECIAL.get(origin or kind) or SPECIAL.get(getattr(kind, "__name__", ""))
    if special:
        return special(value)
    return value if isinstance(value, origin or kind) else _refuse()


def _refuse(why: str = "") -> typing.NoReturn:
    raise _Misfit(why)


def _one_of(value: Any, kinds: Iterable[Any]) -> Any:
    why = ""
    for kind in kinds:
        try:
            return _fit(value, kind)
        except _Misfit as error:
            why = why or str(error)
    return _refuse(why)


def _items(value: Any, origin: Any, inside: tuple[Any, ...]) -> Any:
    """Fit each item of a list, tuple or one-dimensional array; a string or a mapping is refused."""
    if getattr(value, "ndim", None) == 1:
        value = _plain(value.tolist)
    if not isinstance(value, (list, tuple, range)):
        _refuse()
    if origin is tuple and Ellipsis not in inside:
        return (
            tuple(_fit(*pair) for pair in zip(value, inside, strict=True)) if len(value) == len(inside) else _refuse()
        )
    items = [_fit(one, inside[0]) for one in value]
    return tuple(items) if origin is tuple else items


def _pairs(value: Any, inside: tuple[Any, ...]) -> Any:
    """Check the types of a dict's keys and values."""
    if not isinstance(value, dict):
        _refuse()
    for pair in value.items():
        for one, kind in zip(pair, inside, strict=True):
            _fit(one, kind)
    return value


def _scalar(value: Any) -> Any:
    """A numpy scalar or a 0-dimensional tensor as a Python number; anything else unchanged."""
    if type(value).__module__.partition(".")[0] in ("numpy", "torch") and getattr(value, "shape", None) == ():
        return _plain(value.item)
    return value


def _plain(read: Callable[[], Any]) -> Any:
    """Read an array's content as Python objects. This fails for a tensor on the device "meta", which has no content."""
    try:
        return read()
    except Exception:
        return _refuse()


def _int(value: Any) -> int:
    value = _scalar(value)
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse()
    return int(value) if abs(value) <= MOST else _refuse("a whole number of at most 2^63 - 1")


def _float(value: Any) -> float:
    value = _scalar(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        _refuse()
    return float(value) if isinstance(value, float) or abs(value) <= MOST else _refuse("a number of at most 2^63 - 1")


def _bool(value: Any) -> bool:
    value = _scalar(value)
    return value if isinstance(value, bool) else _refuse()


def _str(value: Any) -> str:
    if type(value).__name__ == "device" and type(value).__module__ == "torch":
        value = str(value)
    return _text(str.__str__(value)) if isinstance(value, str) else _refuse()


def _path(value: Any) -> Any:
    if not isinstance(value, os.PathLike):
        _refuse()
    text = os.fspath(value)
    if not isinstance(text, str):
        _refuse("a path as text, not as bytes")
    _text(text)
    return value


def _text(text: str) -> str:
    """Refuse text that no file name, name or option can contain."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        _refuse("text that can be written as UTF-8")
    return text if "\0" not in text else _refuse("text without a zero byte")


def _array(value: Any) -> Any:
    """A numpy array of numbers or strings, from an array, a tensor or a list. Memory maps stay memory maps."""
    import numpy as np

    if isinstance(value, (str, bytes)) or value is None:
        _refuse()
    try:
        value = value.detach().cpu().numpy() if hasattr(value, "detach") else value
        found = value if isinstance(value, np.ndarray) or hasattr(value, "__array__") else np.asarray(value)
    except Exception:  # rows of different lengths, a tensor of a type that numpy lacks, a user's class
        _refuse("an array of numbers, with rows of one length")
    return found if getattr(found, "dtype", np.dtype(object)).kind in "biufUS" else _refuse()


SPECIAL: dict[Any, Callable[[Any], Any]] = {
    int: _int,
    float: _float,
    bool: _bool,
    str: _str,
    os.PathLike: _path,
    "Path": lambda value: Path(_path(value)),
    "ndarray": _array,
    Callable: lambda value: value if callable(value) else _refuse(),
}


@functools.cache
def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    """The resolved annotations, which `from __future__ import annotations` stores as text."""
    return typing.get_type_hints(function, include_extras=True)


def fields_of(kind: type[Any]) -> dict[str, Any]:
    """The annotations of a dataclass, by field name."""
    return _kinds(cast(Any, kind))


def _name(function: Callable[..., Any], args: Sequence[Any]) -> str:
    """As who calls it knows it: a method by the class of its object, which may have inherited it."""
    within, _, name = function.__qualname__.rpartition(".")
    owner = type(args[0]).__name__ if within and args and not within.endswith("<locals>") else within
    return ".".join(filter(None, (owner, name))).removesuffix(".__init__")
