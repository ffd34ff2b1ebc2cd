"""What the site has beside the pages of docs: the files of the checkout's root, the reference, and math as MathML."""

from __future__ import annotations

import html
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

import counterfeit

ROOT = Path(__file__).parent.parent
PAGES = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
MATH = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: object) -> Files:
    """Add the pages that are no files of docs."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=moved((ROOT / source).read_text(encoding="utf-8"))))
    files.append(File.generated(config, "reference.md", content=reference()))
    return files


def moved(text: str) -> str:
    """A page of the root as a page of docs: its links lead to the pages where they are now."""
    text = text.replace("](docs/", "](").replace("](CONTRIBUTING.md", "](contributing.md")
    return text.replace("](CHANGELOG.md", "](changelog.md")


def reference() -> str:
    """A page with every public name, in the order in which one meets them."""
    first = ["train", "load", "Run", "sample", "score", "Score", "compare", "report"]
    names = [*first, *(name for name in counterfeit._HOMES if name not in first)]
    places = [".".join(counterfeit._HOMES[name]) for name in names]
    head = "# Python\n\n`import counterfeit as cf`, then `cf.train` and so on.\n\n"
    return head + "\n\n".join(f"::: {place}" for place in places) + "\n"


def on_page_content(content: str, **_: object) -> str:
    """LaTeX becomes MathML, which browsers draw without a script."""

    def drawn(found: re.Match[str]) -> str:
        latex, block = html.unescape(found[2]), found[1] == "div"
        made = convert(latex, display="block" if block else "inline")
        return f'<div style="overflow-x: auto">{made}</div>' if block else made  # on a phone, within its place

    return MATH.sub(drawn, content)
