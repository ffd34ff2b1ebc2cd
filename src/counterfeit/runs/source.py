"""Digests of our own source, to record which code computed a number.

Comments, docstrings and blank lines do not count.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# The code that determines a run's weights and samples, given settings and images. Any change to it, even one that keeps
# the numbers, makes it different code: only a new run can show that published results still hold.
TRAINING = (
    "data/batches.py",
    "data/binarize.py",
    "data/pixels.py",
    "models",
    "nets",
    "samplers",
    "sampling.py",
    "system/noise.py",
    "training/loop.py",
    "training/optimizers.py",
    "training/precision.py",
    "training/state.py",
)


@cache
def digest(*parts: str) -> str:
    """SHA-256 (hex) of our modules and packages, given by their paths below `counterfeit`."""
    found = []
    for part in parts:
        path = PACKAGE / part
        files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        if not files:
            raise FileNotFoundError(f"no module in {path}")
        found += [(file.relative_to(PACKAGE).as_posix(), _read(file)) for file in files]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


@cache  # read once: this process does not run code that is edited later
def _read(file: Path) -> list[str]:
    return bare(file.read_text(encoding="utf-8"))


def bare(text: str) -> list[str]:
    """The lines of Python source without comments, docstrings and blank lines."""
    lines: list[str | None] = list(text.split("\n"))
    for token in tokenize.generate_tokens(io.StringIO(text).readline) if "#" in text else ():
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = token.line[:column]
    for node in _statements(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines[node.lineno - 1 : node.end_lineno] = [None] * ((node.end_lineno or 0) - node.lineno + 1)
    return [line.rstrip() for line in lines if line is not None and line.strip()]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node, without looking into expressions, which are most of a tree."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(node, field, ()):
            yield statement
            yield from _statements(statement)
