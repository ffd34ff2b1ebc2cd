"""Names and messages of the world as text of a Markdown page or a cell of a CSV file."""

from __future__ import annotations

import html
import re

from counterfeit.system.text import harmless

# In Markdown: a backslash takes the meaning of these. Underscores within words and single brackets mean nothing, and
# stay, so that the file reads well as it is: `FID[mnist-cnn]`, `log_every`.
_MARKS = re.compile(r"[\\`*|]|(?<![^\W_])_|_(?![^\W_])|(?<=\])[(\[:]|(?<=~)~|~(?=~)")
_AT_START = re.compile(r"^(?=[#+=-])|^(\d+)(?=[.)])")  # heading, quote, list, rule
# Spreadsheets compute cells that begin with one of these.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def markdown(text: str) -> str:
    """The text in a heading or in a cell of a table of Markdown: no HTML, links, pictures, formatting or new lines."""
    return html.escape(_MARKS.sub(r"\\\g<0>", " ".join(_visible(text).split())), quote=False)


def paragraph(text: str) -> str:
    """The text as a line of a paragraph of Markdown, where its beginning could mean something too."""
    return _AT_START.sub(lambda found: f"{found[1] or ''}\\", markdown(text))


def cell(text: str) -> str:
    """A cell of a CSV file that is text, whatever it begins with."""
    shown = _visible(text)
    return f"'{shown}" if text.startswith(FORMULA) or shown.startswith(FORMULA) else shown


def _visible(text: str) -> str:
    """The text with all white space as spaces: a line end would end the row, and the rest made harmless."""
    return harmless("".join(" " if char.isspace() else char for char in text))
