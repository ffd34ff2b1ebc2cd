"""Tables and pictures as pieces of HTML. Whatever a run or a receipt says is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

from markupsafe import Markup

from counterfeit.system import reading

MOST_PICTURE = 4 << 20  # bytes
CELL = Markup('style="text-align: {}; font-variant-numeric: tabular-nums; padding: .1em .7em"')


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0,)) -> Markup:
    """A table; the columns `words` are set left, the others right, as numbers are."""
    styles = [CELL.format("left" if i in words else "right") for i in range(len(titles))]

    def line(tag: str, cells: Sequence[str]) -> Markup:
        cell = Markup(f"<{tag} {{}}>{{}}</{tag}>")
        made = (cell.format(how, text) for how, text in zip(styles, cells, strict=True))
        return Markup("<tr>{}</tr>").format(Markup("").join(made))

    body = Markup("").join(line("td", row) for row in rows)
    return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(line("th", titles), body)


def paragraph(text: str) -> Markup:
    return Markup('<p style="max-width: 60em">{}</p>').format(text)


def details(title: str, text: str) -> Markup:
    """Text that is folded until it is asked for."""
    return Markup("<details><summary>{}</summary><pre>{}</pre></details>").format(title, text)


def picture(path: Path, alt: str, width: int) -> Markup:
    """A PNG file within the page; nothing where it cannot be read."""
    try:
        content = reading.content(path, MOST_PICTURE)
    except OSError:
        return Markup("")
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    return Markup('<img src="{}" alt="{}" style="max-width: {}px; margin: .5em">').format(uri, alt, width)
