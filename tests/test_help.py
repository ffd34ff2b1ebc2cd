"""Help pages fit the terminal: whatever its width, lines are full and none is too long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from counterfeit.cli.dispatch import VERBS, parse
from counterfeit.cli.options import Score
from counterfeit.models import MODELS

PAGES = [[], *([verb] for verb in VERBS), *(["train", name] for name in MODELS)]


def paragraphs(page: str) -> Iterator[tuple[list[str], int]]:
    """The help text of each option as its lines, and the width that they may have."""
    for box in page.split("╭")[1:]:
        lines = [line[2:-2] for line in box.split("╰")[0].splitlines()[1:]]
        indents = {len(line) - len(line.lstrip()) for line in lines if line.startswith(" ")}
        assert len(indents) <= 1, f"help texts begin in several columns: {indents}"
        start = max(indents, default=len(lines[0]))
        above = lines.index(rule) if (rule := "─" * len(lines[0])) in lines else 0
        yield [line.rstrip() for line in lines[:above]], len(lines[0])
        text: list[str] = []
        for line in lines[above:]:
            if not line.startswith(" "):
                yield text, len(line) - start
                text = [line[start:].rstrip()] if line[:start].endswith("  ") else []
            else:
                text.append(line[start:].rstrip())
        yield text, len(lines[0]) - start


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("words", PAGES, ids=lambda words: " ".join(words) or "overview")
def test_lines_of_help_are_full_and_fit_the_terminal(words: list[str], width: int, command, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    page = command(*words, "--help").out
    assert max(map(len, page.splitlines())) <= width
    for lines, room in paragraphs(page):
        for line, after in zip(lines, lines[1:], strict=False):
            assert len(f"{line} {after.split()[0]}") > room, f"ends early, {room} columns:\n{line}\n{after}"


@pytest.mark.parametrize("option", ["metrics", "real", "detector"])
def test_options_that_python_gives_other_types_are_read_as_text(option: str) -> None:
    asked = parse(Score, ["run", f"--{option}", "mnist"])
    assert str(getattr(asked.scoring, option)).strip("[']") == "mnist"
