"""The tree is readable: few modules at the top, and rooms that say what they hold.

Which room may import which, and that nothing is imported in a circle, import-linter checks (`make lint`).
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import counterfeit

PACKAGE = Path(counterfeit.__file__).parent
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def test_few_modules_lie_loose() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 10


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(PACKAGE).as_posix())
def test_a_room_says_in_one_line_what_it_holds(room: Path) -> None:
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    assert said and len(said.partition("\n")[0]) <= 120


def test_every_module_begins_with_what_it_is() -> None:
    without = [path for path in PACKAGE.rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not without
