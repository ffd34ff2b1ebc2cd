"""The verb `compare`: a grid of models, data sets and seeds, or runs that are there, as a table over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterfeit.comparison.compare import comparison_of, write
from counterfeit.comparison.grid import Grid, Member, of_runs, read_grid
from counterfeit.config import ScoreConfig
from counterfeit.errors import InputError
from counterfeit.verbs.report import write_report
from counterfeit.verbs.train import fit


def compare(
    sources: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    rank_by: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train, score and compare; the Python form of `counterfeit compare`.

    Args:
        sources: a grid file (.toml, see `comparison.grid.read_grid`), or run folders, or a folder of runs. A grid's
            missing runs are trained and its unfinished ones continued; of runs that are named all must be finished.
        out: folder for comparison.json, table.md, table.csv and report.html; by default the
            grid's own, or `comparison`.
        rank_by: label of the score that ranks; by default FID, or the first where that is not asked for.
        **settings: fields of `ScoreConfig`, on top of the grid's own.

    Returns:
        What comparison.json holds: see `comparison.compare.comparison_of`.

    Raises:
        InputError: something given is wrong. What goes wrong in one member is in "failures" instead.
        KeyboardInterrupt: Ctrl-C; the same call goes on from there.
    """
    grid = described(sources)
    home = Path(out) if out else grid.home
    if home.exists() and not home.is_dir():
        raise InputError(f"{home} is a file, not a folder: pass another --out")
    score = ScoreConfig.of({**vars(grid.score), **settings})
    comparison = comparison_of(replace(grid, score=score), _train if grid.trains else None, rank_by)
    write(comparison, home)
    write_report(comparison, home / "report.html", score.device)
    return comparison


def described(sources: str | Path | Sequence[str | Path]) -> Grid:
    """What is to be compared. Raises InputError where a grid file or a run cannot be used."""
    paths = [Path(path) for path in ([sources] if isinstance(sources, (str, Path)) else sources)]
    files = [path for path in paths if path.suffix.lower() == ".toml"]
    if files and len(paths) > 1:
        raise InputError(f"{files[0]} is a grid file, which stands alone: leave out the {len(paths) - 1} other paths")
    return read_grid(files[0]) if files else of_runs(paths)


def _train(member: Member, resume: bool) -> None:
    fit(member.model, member.config, out=member.folder.path, resume=resume)
