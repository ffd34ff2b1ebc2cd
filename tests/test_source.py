"""The digest of our source: what is done counts, what is said of it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfeit import source

CODE = '''"""A module."""

def double(x):  # twice
    """Return 2 x.

    Always.
    """
    text = "# no comment"
    return 2 * x
'''


def test_comments_docstrings_and_empty_lines_do_not_count() -> None:
    assert source.bare(CODE) == ["def double(x):", '    text = "# no comment"', "    return 2 * x"]


def test_a_change_of_code_is_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "HERE", tmp_path)
    (tmp_path / "nets").mkdir()
    digests = []
    for text in (CODE, CODE.replace("# twice", "# two times"), CODE.replace("2 * x", "3 * x")):
        (tmp_path / "nets" / "double.py").write_text(text, encoding="utf-8")
        source.digest.cache_clear()
        digests.append(source.digest("nets"))
    source.digest.cache_clear()
    assert digests[0] == digests[1] != digests[2]


def test_all_that_trains_and_samples_is_there() -> None:
    assert all((source.HERE / part).exists() for part in source.TRAINING)
