"""The command `compare`: a table over seeds of finished runs, or of a grid of models, data sets and seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from counterfeit.api.report import write_report
from counterfeit.comparison.compare import comparison_of, write
from counterfeit.comparison.engines import chosen
from counterfeit.comparison.grid import Grid, of_runs, read_grid
from counterfeit.comparison.shown import Compared
from counterfeit.errors import InputError, RunError
from counterfeit.report.records import Failure
from counterfeit.runs import shared
from counterfeit.settings import ScoreConfig
from counterfeit.system import paths
from counterfeit.system.arguments import checked
from counterfeit.system.isolation import alone, refuse_import_of_main


@checked
@alone
def compare(
    sources: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    rank_by: str | None = None,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    cpus_per_run: int = 1,
    **settings: Any,
) -> Compared:
    """Train, score and compare; the Python form of `counterfeit compare`.

    Args:
        sources: a grid file (.toml, see `comparison.grid.read_grid`), or run folders, or a folder of runs. Missing
            runs of a grid are trained and unfinished ones continued; runs given by path must be finished.
        out: folder, or a URL such as s3://bucket/mine, for comparison.json, table.md, table.csv and report.html; by
            default the grid's own, or `comparison`.
        rank_by: label of the score to rank by; by default FID, or the first metric if FID is not computed.
        workers: number of runs to train or score at the same time, each in its own process; 1 uses this process.
        engine, address, cpus_per_run: "ray" for a Ray cluster, where it is, and a run's share of it; see
            `comparison.engines.chosen`.
        **settings: fields of `ScoreConfig`, on top of the grid's own.

    Returns:
        The contents of comparison.json: `report.records.Comparison` as plain types, a dict with `plot()` beside.

    Raises:
        InputError: an argument is wrong. Errors of single runs, and of writing `out` at the end, are returned in
            "failures" instead.
        KeyboardInterrupt: Ctrl-C; the same call continues from there.
    """
    refuse_import_of_main()
    works = chosen(engine, workers, address, cpus_per_run)
    grid = described(sources)
    home = paths.typed(out or grid.home)
    if Path(home).is_file():
        raise InputError(f"{home} is a file, not a folder: pass another --out")
    check_writable(home)
    score = ScoreConfig.of({**grid.score.keywords(), **settings})
    comparison = comparison_of(replace(grid, score=score), works, rank_by, here=engine == "local")
    try:
        write(comparison, home)
        write_report(comparison, shared.joined(home, "report.html"), score.device)
    except RunError as error:  # hours of work must not be lost because `out` cannot be written
        unwritten = Failure(run=home, error=str(error))
        comparison = msgspec.structs.replace(comparison, failures=[*comparison.failures, unwritten])
    return Compared.of(comparison)


def check_writable(home: str) -> None:
    """RunError where nothing can be written to a folder, which need not be there yet, or a URL cannot be reached."""
    shared.check(home)
    if not paths.is_url(home):
        place = next(path for path in (Path(home).absolute(), *Path(home).absolute().parents) if path.exists())
        if not os.access(place, os.W_OK):
            raise RunError(f"{home} cannot be written to: pass another --out")


def described(sources: str | Path | Sequence[str | Path]) -> Grid:
    """What is to be compared. Raises InputError where a grid file or a run cannot be used."""
    places = [sources] if isinstance(sources, (str, Path)) else sources
    files = [path for path in map(Path, map(paths.typed, places)) if path.suffix.lower() == ".toml"]
    if files and len(places) > 1:
        raise InputError(
            f"{files[0]} is a grid file, which must be the only argument: leave out the {len(places) - 1} other paths"
        )
    return read_grid(files[0]) if files else of_runs(places)
