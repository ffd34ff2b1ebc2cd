"""Options out of words: tyro's reading of them, with its faults in one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, TypeVar, cast, get_type_hints

import tyro
from tyro.conf import FlagCreatePairsOff

from counterfeit.cli.help import OPTIONS, wrapped
from counterfeit.errors import InputError
from counterfeit.settings import option
from counterfeit.system.console import Page, result

T = TypeVar("T")
PROG = "counterfeit"
HELP = {"-h", "--help"}


def parse(kind: type[T], argv: Sequence[str], default: T | None = None) -> T:
    """Read a verb's options; --help prints and exits with 0, a fault becomes one line and an InputError."""
    prog = f"{PROG} {kind.__name__.lower()}"
    check_given(argv)
    box, page = io.StringIO(), Page()
    try:
        with contextlib.redirect_stderr(box), contextlib.redirect_stdout(page):
            made = tyro.cli(
                kind, prog=prog, args=list(argv), default=default, config=(FlagCreatePairsOff,), registry=OPTIONS
            )
            return cast(T, made)
    except SystemExit as exit:
        if exit.code in (0, None):
            result(wrapped(page.getvalue()), keep="\n\x1b")  # colors, in a terminal
            raise
    raise InputError(f"{_in_one_line(box.getvalue())} (see {prog} --help)")


def positional(argv: Sequence[str], kinds: Iterable[Any], wanted: Callable[[str], bool]) -> str | None:
    """The first word that is wanted and is no option's value; None where there is none.

    `kinds` are the dataclasses of the options that there may be: a flag takes no value.
    """
    flags = {option(name) for kind in kinds for name in _flags(kind)}
    flags |= {f"--no-{flag.removeprefix('--')}" for flag in flags} | HELP
    for before, word in zip(["", *argv], argv, strict=False):
        takes_it = before.startswith("-") and "=" not in before and before not in flags
        if word.strip() and not word.startswith("-") and not takes_it and wanted(word):
            return word
    return None


def _flags(kind: Any) -> Iterator[str]:
    """The fields of a dataclass of options that are on or off, those of options within it too."""
    for name, hint in get_type_hints(kind).items():
        if hint is bool:
            yield name
        elif is_dataclass(hint):
            yield from _flags(hint)


def typed(values: Mapping[str, T], argv: Sequence[str]) -> dict[str, T]:
    """The values whose options were typed, their defaults or not."""
    words = {word.partition("=")[0].replace("_", "-") for word in argv}
    words |= {word[:2] for word in argv if word.startswith("-") and word[1:2].isalpha()}  # -n50
    return {
        name: value for name, value in values.items() if words & {option(name), f"--no-{option(name)[2:]}", f"-{name}"}
    }


def check_given(argv: Sequence[str]) -> None:
    """InputError for an empty word, which is what the shell makes of "$OUT" where OUT is not set."""
    for before, word in zip(["", *argv], argv, strict=False):
        option, is_option, value = word.partition("=")
        if word.strip() and not (option.startswith("--") and is_option and not value.strip()):
            continue
        of = option if word.strip() else before
        what = of if of.startswith("-") else "an argument"
        raise InputError(f"{what} is empty (perhaps an unset shell variable): give it a value, or leave it out")


def _in_one_line(box: str) -> str:
    """The fault that tyro draws in a box: below its title, above the rules between its parts."""
    lines = [line.strip("│| ") for line in box.splitlines() if line.strip("│|─- ")]
    shown = [line for line in lines[1:] if not line.startswith(("╰", "+", "For full help", "Argument helptext"))]
    kept = shown[:3] if len(shown) > 1 and shown[1].endswith(":") else shown[:2]
    return re.sub(r"^Error parsing \w+: ", "", " ".join(kept))
