"""Help texts for tyro: the docstring of each option as one paragraph, which breaks only where the line is full."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from typing import Annotated, Any, get_type_hints

import tyro
from tyro.conf import arg
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from counterfeit.system.console import terminal_width
from counterfeit.system.field_texts import text

OPTIONS = ConstructorRegistry()


@OPTIONS.struct_rule
def options(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The fields of a dataclass of options, as tyro reads them except for the help texts."""
    kind = info.type
    if not is_dataclass(kind):
        return None
    hints = get_type_hints(kind, include_extras=True)
    made = tuple(
        StructFieldSpec(name, _shown(hints[name]), _default(field, info.default), partial(text, kind, name))
        for field in sorted(fields(kind), key=lambda field: field.kw_only is True)  # as its constructor has them
        for name in [field.name]
    )
    return StructConstructorSpec(kind, made)


def _shown(hint: Any) -> Any:
    """The type of a field; a flag is off unless it is given, so it needs no `(default: False)`."""
    if hint is bool:
        return Annotated[bool, arg(help_behavior_hint="")]
    notes = getattr(hint, "__metadata__", ())
    made = [note.constructor_factory() for note in notes if getattr(note, "constructor_factory", None)]
    parts: Any = (*made, *notes)
    return Annotated[parts] if made else hint  # `arg(constructor=str)` reads a value of any type as str


def _default(field: Any, given: Any) -> Any:
    """The default of a field: from the instance of defaults if there is one, otherwise from the class."""
    if is_dataclass(given):
        return getattr(given, field.name)
    if field.default_factory is not MISSING:
        return field.default_factory()
    return tyro.MISSING if field.default is MISSING else field.default


def wrapped(page: str) -> str:
    """A help page whose lines above the boxes, which tyro does not wrap, are wrapped to the terminal too.

    Titles of boxes within others lose the outer name: `inception options`.
    """
    width = terminal_width()
    page = re.sub(r"╭─ (\w+\.)(\w+ options )", lambda found: f"╭─ {found[2]}{'─' * len(found[1])}", page)
    return "\n".join(textwrap.fill(line, width) if line[:1].isalnum() else line for line in page.splitlines())


def columns(rows: Sequence[tuple[str, str]]) -> str:
    """Names and what they mean in two columns, in lines of the terminal's width."""
    width, start = terminal_width(), max(len(name) for name, _ in rows) + 5
    lines = [
        textwrap.fill(f"  {name}".ljust(start) + meaning, width, subsequent_indent=" " * start)
        for name, meaning in rows
    ]
    return "\n".join(lines)
