"""The command `report`: an HTML page about finished runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterfeit.comparison.compare import comparison_of
from counterfeit.comparison.engines import in_turn
from counterfeit.comparison.grid import of_runs
from counterfeit.comparison.pictures import of_comparison
from counterfeit.errors import RunError
from counterfeit.report import render
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
    rank_by: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Write a report of finished runs; the Python form of `counterfeit report`.

    Args:
        runs: run folders, or a folder of runs. Runs without scores for these settings are scored first.
        out: the HTML file to write.
        rank_by: label of the score to rank by; by default FID, or the first metric if FID is not computed.
        **settings: fields of `ScoreConfig`.

    Returns:
        The comparison that the report shows: see `comparison.compare.comparison_of`.

    Raises:
        InputError: an argument is wrong. Errors of single runs are shown in the report and returned in "failures".
    """
    places = [runs] if isinstance(runs, (str, Path)) else runs
    score, out = ScoreConfig.of(settings), paths.typed(out)
    check_out(Path(out))
    comparison = comparison_of(replace(of_runs(places), score=score), in_turn, rank_by)
    write_report(comparison, out, score.device)
    return comparison


@alone
def write_report(comparison: Mapping[str, Any], out: str, device: str = "auto") -> None:
    """Draw the pictures that a comparison needs, where they are not drawn yet, and write its report.

    Args:
        comparison: as `comparison.compare.comparison_of` gives it.
        out: the HTML file, its path or URL.
        device: where the pictures are computed.

    Raises RunError: the file cannot be written.
    """
    with of_comparison(comparison, device) as (drawn, notes):
        page = render({**comparison, "notes": [*comparison["notes"], *notes]}, drawn)
    shared.write(out, utf8(page))


def check_out(out: Path) -> None:
    """RunError where `out` is no name for an HTML file: found before minutes of scoring, not after."""
    if out.is_dir() or out.suffix.lower() not in (".html", ".htm"):
        raise RunError(f"{out} is {'a folder' if out.is_dir() else 'not an .html file'}: pass --out report.html")
