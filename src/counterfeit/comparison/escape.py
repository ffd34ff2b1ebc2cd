"""Names and messages of the world as text of a Markdown page or a cell of a CSV file."""

from __future__ import annotations

import re

# In Markdown: a backslash takes the meaning of these. Underscores within words and single brackets mean nothing, and
# stay, so that the file reads well as it is: `FID[mnist-cnn]`, `log_every`.
_MARKS = re.compile(r"[\\`*|]|(?<![^\W_])_|_(?![^\W_])|(?<=\])[(\[:]|(?<=~)~|~(?=~)")
_AT_START = re.compile(r"^(?=[#+=-])|^(\d+)(?=[.)])")  # heading, quote, list, rule
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Spreadsheets compute cells that begin with one of these.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def markdown(text: str) -> str:
    """The text in a heading or in a cell of a table of Markdown: no HTML, links, pictures, formatting or new lines."""
    line = _MARKS.sub(r"\\\g<0>", " ".join(visible(text).split()))
    return "".join(_HTML.get(char, char) for char in line)


def paragraph(text: str) -> str:
    """The text as a line of a paragraph of Markdown, where its beginning could mean something too."""
    return _AT_START.sub(lambda found: f"{found[1] or ''}\\", markdown(text))


def cell(text: str) -> str:
    """A cell of a CSV file that is text, whatever it begins with."""
    shown = visible(text)
    return f"'{shown}" if text.startswith(FORMULA) or shown.startswith(FORMULA) else shown


def visible(text: str) -> str:
    """The text with line ends and tabs as spaces, and what else cannot be printed or encoded as an escape, `\\x1b`."""
    return "".join(char if char.isprintable() else " " if char.isspace() else ascii(char)[1:-1] for char in text)
