"""The command `report`: an HTML page about finished runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from counterfeit.comparison.compare import comparison_of
from counterfeit.comparison.engines import in_turn
from counterfeit.comparison.grid import Grid, of_runs
from counterfeit.comparison.pictures import of_comparison
from counterfeit.comparison.scored import DRAW, shared_scores
from counterfeit.comparison.shown import Compared
from counterfeit.errors import InputError, RunError
from counterfeit.report import render
from counterfeit.report.records import Comparison
from counterfeit.runs import shared
from counterfeit.settings import ScoreConfig
from counterfeit.system import paths
from counterfeit.system.arguments import checked
from counterfeit.system.isolation import alone
from counterfeit.system.text import utf8


@checked
@alone
def report(
    runs: str | Path | Sequence[str | Path],
    out: str | Path = "report.html",
    *,
    title: str | None = None,
    rank_by: str | None = None,
    **settings: Any,
) -> Compared:
    """Write a report of finished runs; the Python form of `counterfeit report`.

    Args:
        runs: run folders, or a folder of runs. Where all of a data set have been scored in the same way, as `compare`
            leaves them, these scores are taken, and a line says which; else they are scored by the settings.
        out: the HTML file.
        title: of the page; by default it names the runs.
        rank_by: label of the score that ranks; by default FID, or the first where that is not asked for.
        **settings: fields of `ScoreConfig`. n, seed and repeats choose among the scores that are there; with any other
            one, only a score of exactly these settings is taken.

    Returns:
        What it reports: `report.records.Comparison` as plain types.

    Raises:
        InputError: an argument is wrong. Errors of single runs are shown in the report and returned in "failures".
    """
    places = [runs] if isinstance(runs, (str, Path)) else runs
    score, out = ScoreConfig.of(settings), paths.typed(out)
    check_out(Path(out))
    if title is not None and not title.strip():
        raise InputError("--title is empty: give the page one, or leave it out")
    grid = replace(of_runs(places), score=score)
    scores = _there(grid, settings, rank_by)
    comparison = comparison_of(replace(grid, title=title or grid.title), in_turn, rank_by, scores=scores)
    write_report(comparison, out, score.device)
    return Compared.of(comparison)


def _there(grid: Grid, settings: Mapping[str, Any], rank_by: str | None) -> dict[str, Any]:
    """The scores that are there, by the path of the run, where the settings leave it open which."""
    if not settings.keys() <= {*DRAW, "device"}:
        return {}
    draw = {name: getattr(grid.score, name) for name in settings if name in DRAW}
    return shared_scores(grid.members, draw, rank_by, grid.score.device)


@alone
def write_report(comparison: Comparison, out: str, device: str = "auto") -> None:
    """Draw the pictures that a comparison needs, where they are not drawn yet, and write its report.

    Args:
        out: the HTML file, its path or URL.
        device: where the pictures are computed.

    Raises RunError: the file cannot be written.
    """
    with of_comparison(comparison, device) as (drawn, notes):
        page = render(msgspec.structs.replace(comparison, notes=[*comparison.notes, *notes]), drawn)
    shared.write(out, utf8(page))


def check_out(out: Path) -> None:
    """RunError where `out` is no name for an HTML file: found before minutes of scoring, not after."""
    if out.is_dir() or out.suffix.lower() not in (".html", ".htm"):
        raise RunError(f"{out} is {'a folder' if out.is_dir() else 'not an .html file'}: pass --out report.html")
