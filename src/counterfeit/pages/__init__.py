"""What all HTML pages share: the style, the parts, and how templates are filled in."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from counterfeit.system import words

TEMPLATES = Path(__file__).parent / "templates"


def environment(*folders: Path) -> Environment:
    """The template environment: it escapes everything except our own charts, and undefined names raise an error.

    Templates of `folders` come first, then those that all pages share.
    """
    environment = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "listed": words.listed,
        "command": words.command,
        "mean_and_std": words.mean_and_std,
        "compared_with": words.compared_with,
        "pretty": lambda value: json.dumps(value, indent=1, ensure_ascii=False),
    }
    return environment
