"""The docstrings below the fields of dataclasses of settings, which Python itself does not keep: help texts."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any


def text(kind: Any, name: str) -> str | None:
    """The docstring of a field in one line; None for nested options, which tyro describes by their class.

    A field that a subclass declares again keeps the text of its base unless it has one of its own.
    """
    return next((found[name] for found in map(_texts, kind.__mro__) if name in found), None)


@cache
def _texts(kind: Any) -> dict[str, str]:
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):  # a class that was made while running, or a built-in one
        return {}
    # tyro's own parser keeps each line break that is followed by an indented line.
    [body] = ast.parse(textwrap.dedent(source)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in pairwise(body.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = " ".join(words.split())
    return found
