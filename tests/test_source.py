"""The digest of our source: what is done counts, what is said of it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.comparison.table import protocol
from counterfeit.runs import source

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
    monkeypatch.setattr(source, "PACKAGE", tmp_path)
    (tmp_path / "nets").mkdir()
    digests = []
    for text in (CODE, CODE.replace("# twice", "# two times"), CODE.replace("2 * x", "3 * x")):
        (tmp_path / "nets" / "double.py").write_text(text, encoding="utf-8")
        source.digest.cache_clear()
        source._read.cache_clear()
        digests.append(source.digest("nets"))
    source.digest.cache_clear()
    assert digests[0] == digests[1] != digests[2]


def test_what_is_not_there_has_no_digest() -> None:
    """After a move, a part named by its old path would else be a part that never changes."""
    for part in ("no_such_module.py", "no_such_room"):
        with pytest.raises(FileNotFoundError):
            source.digest(part)


def test_all_that_trains_and_samples_is_there() -> None:
    assert all((source.PACKAGE / part).exists() for part in source.TRAINING)


def test_a_run_of_other_code_is_not_continued_and_stands_in_another_table(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, _ = digits
    run = cf.train("ae", images[:200], epochs=1, out=tmp_path / "run", quiet=True)
    settings = {"real": images[200:400], "detector": "mnist-cnn", "metrics": "fid", "n": 100}
    receipts = [run.score(**settings).receipt]
    record = json.loads((run.path / "run.json").read_text())
    assert record["made_by"]["training_code"] == source.digest(*source.TRAINING)
    record["made_by"]["training_code"] = "0" * 64
    (run.path / "run.json").write_text(json.dumps(record))
    receipts.append(cf.load(run.path).score(**settings).receipt)
    assert protocol(receipts[0]) != protocol(receipts[1])
    with pytest.raises(cf.InputError, match="was trained by different code"):
        cf.train("ae", images[:200], epochs=2, out=run.path, resume=True, quiet=True)
