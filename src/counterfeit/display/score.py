"""A score as HTML: the table that the command line prints, and its receipt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from counterfeit.display import html


def page(titles: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str], receipt: Mapping[str, Any]) -> str:
    """The table, what a reader has to know, and the receipt, folded."""
    parts = [html.table(titles, rows, words=(0, len(titles) - 1)), *map(html.paragraph, notes)]
    return str(Markup("").join([*parts, html.details("receipt", json.dumps(receipt, indent=2))]))
