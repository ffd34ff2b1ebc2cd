"""Text for terminals, logs and files of other encodings: made harmless, and always writable.

Names of files, classes and data sets may come from strangers, and a terminal interprets some characters as commands.
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from typing import Any

# Control characters (escape sequences begin with one, and "\r" overwrites a line), marks that change the direction of
# the text, spaces without width, line separators, and surrogates for bytes in a file name that are not text.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]")

# Characters that we print ourselves, and their replacements in encodings that lack them.
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

PLAIN = "counterfeit-plain"  # name of an error handler for encoding


def harmless(text: str, keep: str = "") -> str:
    r"""The text with each character that a terminal obeys written as a Python escape, such as \x1b or \n.

    Args:
        text: any text.
        keep: characters to keep, such as "\n" in a table.
    """
    return _OBEYED.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), _as_letters(text))


def utf8(text: str) -> bytes:
    """Encode text as UTF-8 for a file; surrogates for bytes that are not text are written as Python escapes, \\xff."""
    return encodable(_as_letters(text), "utf-8").encode()


def _as_letters(text: str) -> str:
    """Restore the letters of a file name that was read under a locale which lacks them."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        with suppress(UnicodeError):
            return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
        return text


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not text, stored by Python as a surrogate
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    """Error handler for `codecs.register_error`: ASCII replacements for the characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or _in_ascii(char) for char in lacking), error.end


def _in_ascii(char: str) -> str:
    return _escaped(char) if not char.isascii() else char


codecs.register_error(PLAIN, _in_plain)


def encodable(text: str, encoding: str | None) -> str:
    """The text with characters that the encoding lacks replaced as PLAIN does; an unknown encoding means ASCII."""
    try:
        return text.encode(encoding or "ascii", PLAIN).decode(encoding or "ascii")
    except LookupError:
        return text.encode("ascii", PLAIN).decode("ascii")


def reason(error: Any) -> str:
    """An exception as part of a line: the system's message, or else the exception's own message, or else its class."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    known = said if isinstance(error, (OSError, ValueError)) and said else f"{type(error).__name__}: {said}"
    return known.removesuffix(": ")[:300]
