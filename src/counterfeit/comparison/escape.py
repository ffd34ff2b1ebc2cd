"""Escape names and messages for a Markdown page or a cell of a CSV file."""

from __future__ import annotations

import html
import re

from counterfeit.system.text import harmless

# Characters to escape with a backslash in Markdown. Underscores within words and single brackets have no meaning and
# are kept, so that the file is easy to read as it is: `FID[mnist-cnn]`, `log_every`.
_MARKS = re.compile(r"[\\`*|]|(?<![^\W_])_|_(?![^\W_])|(?<=\])[(\[:]|(?<=~)~|~(?=~)")
_AT_START = re.compile(r"^(?=[#+=-])|^(\d+)(?=[.)])")  # heading, quote, list, rule
# Spreadsheets evaluate cells that begin with one of these.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def markdown(text: str) -> str:
    """Escape text for a Markdown heading or table cell: no HTML, links, images, formatting or line breaks."""
    return html.escape(_MARKS.sub(r"\\\g<0>", " ".join(_visible(text).split())), quote=False)


def paragraph(text: str) -> str:
    """Escape text for a line of a Markdown paragraph, whose beginning could also have a meaning."""
    return _AT_START.sub(lambda found: f"{found[1] or ''}\\", markdown(text))


def cell(text: str) -> str:
    """Escape text for a cell of a CSV file, so that it is not evaluated, whatever it begins with."""
    shown = _visible(text)
    return f"'{shown}" if text.startswith(FORMULA) or shown.startswith(FORMULA) else shown


def _visible(text: str) -> str:
    """The text made harmless, with all white space as spaces: a line break would end the table row."""
    return harmless("".join(" " if char.isspace() else char for char in text))
