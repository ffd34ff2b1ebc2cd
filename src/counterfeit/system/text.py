"""Text that reaches a terminal, a log or a file of another encoding: harmless there, and always writable.

Names of files, classes and data sets come from strangers, and a terminal obeys some characters instead of showing them.
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from typing import Any

# Control characters (escape sequences begin with one, and "\r" writes over a line), marks that turn the direction of
# what follows, spaces of no width, line separators, and what stands for bytes that are not text in a file's name.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]")

# What we print ourselves, and what stands for it where an encoding lacks it.
_PLAIN = {
    "±": "+-",
    "–": "-",
    "—": "--",
    "−": "-",
    "…": "...",
    "×": "x",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "²": "2",
    "’": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "·": ".",
    "─": "-",
    "━": "-",
    "│": "|",
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
}

PLAIN = "counterfeit-plain"  # an error handler for encoding, by its name


def harmless(text: str, keep: str = "") -> str:
    r"""The text with characters that a terminal obeys written as in Python, such as \x1b or \n.

    Args:
        keep: characters that stay, such as "\n" in a table.
    """
    return _OBEYED.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), _as_letters(text))


def utf8(text: str) -> bytes:
    """As UTF-8, for a file; what stands in the text for bytes that are none is written as Python does, \\xff."""
    return encodable(_as_letters(text), "utf-8").encode()


def _as_letters(text: str) -> str:
    """The text with a name in it that was read under a locale without its letters as what it is."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        with suppress(UnicodeError):
            return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
        return text


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not text: as Python keeps it
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    """For `codecs.register_error`: what stands for the characters that an encoding lacks, all of it ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or _in_ascii(char) for char in lacking), error.end


def _in_ascii(char: str) -> str:
    return _escaped(char) if not char.isascii() else char


codecs.register_error(PLAIN, _in_plain)


def encodable(text: str, encoding: str | None) -> str:
    """The text with what an encoding lacks replaced as the handler PLAIN does; an unknown one is taken as ASCII."""
    try:
        return text.encode(encoding or "ascii", PLAIN).decode(encoding or "ascii")
    except LookupError:
        return text.encode("ascii", PLAIN).decode("ascii")


def reason(error: Any) -> str:
    """An exception as the part of a line: what the system says of it, else its own words, else its class."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    known = said if isinstance(error, (OSError, ValueError)) and said else f"{type(error).__name__}: {said}"
    return known.removesuffix(": ")[:300]
