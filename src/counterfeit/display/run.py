"""A run as HTML, by what lies in its folder, and its curves as a figure."""

from __future__ import annotations

from markupsafe import Markup

from counterfeit.display import html
from counterfeit.runs import RunFolder, RunRecord
from counterfeit.runs.curves import draw_on, layout
from counterfeit.runs.log import Steps, curve, score_names
from counterfeit.system.drawing import Sheet, sheet
from counterfeit.system.words import number


def card(folder: RunFolder, record: RunRecord) -> Markup:
    """The last sample grid, the curves, the last losses and scores. The weights are not read."""
    grids = sorted(folder.samples.glob("epoch-*.png"), key=lambda path: (len(path.name), path.name))
    title = f"{record.model} on {record.data.name}, seed {record.config.seed}"
    state = "finished" if record.finished else "not finished"
    rows = folder.log_rows()
    last = next((row for row in reversed(rows) if isinstance(row, Steps)), None)
    said = [] if last is None else [(name, number(value)) for name, value in last.losses.items()]
    said += [(name, number(curve(rows, name)[-1][1])) for name in score_names(rows)]
    epoch = f", epoch {last.epoch}, step {last.step:,}" if last else ""
    return Markup("").join(
        [
            Markup("<div><strong>{}</strong> <code>{}</code> ({}{})</div>").format(title, str(folder), state, epoch),
            html.picture(grids[-1], "samples", 330) if grids else Markup(""),
            html.picture(folder.curves, "curves", 520),
            html.table(("", "last value"), said) if said else Markup(""),
        ]
    )


def figure(folder: RunFolder, record: RunRecord) -> Sheet:
    """Losses over the steps and scores over the epochs, as in curves.png. RunError if the log cannot be read."""
    rows = folder.log_rows()
    with sheet(**layout(rows)) as made:
        draw_on(made, rows, f"{record.model} on {record.data.name}", record.config.unit)
    return made
