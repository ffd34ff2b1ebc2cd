"""log.jsonl: a type for each kind of row, and losses that not every row has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib.axes
import pytest

import counterfeit as cf
from counterfeit.comparison.collect import MOST_POINTS, losses
from counterfeit.models.base import Stage
from counterfeit.models.plan import Plan
from counterfeit.runs import RunFolder, log
from counterfeit.runs.curves import draw_curves, draw_on, layout
from counterfeit.runs.log import EpochScore, OnTestSet, Steps, Trouble
from counterfeit.system.drawing import figure
from report_cases import Page, comparison, page_of

LINES = {
    '{"epoch": 1, "step": 4, "loss": 2.5, "kl": 1, "images_per_s": 10.0}': Steps(1, 4, {"loss": 2.5, "kl": 1}, 10.0),
    '{"epoch": 2, "step": 8, "FID[mnist-cnn]": 3.5}': EpochScore(2, 8, "FID[mnist-cnn]", 3.5),
    '{"epoch": 2, "step": 8, "test_loss": 2.0, "test_kl": 1.5}': OnTestSet(2, 8, {"loss": 2.0, "kl": 1.5}),
    '{"epoch": 2, "step": 8, "trouble": "dead codes", "used": 9, "codes": 64}': Trouble(
        2, 8, "dead codes", {"used": 9, "codes": 64}
    ),
}
# A penalty that is there from the second row on, and a loss that the last two rows lack.
GAPS = [
    Steps(1, 1, {"loss": 4.0}, 9.0),
    Steps(1, 2, {"loss": 3.0, "penalty": 0.5}, 9.0),
    Steps(2, 3, {"penalty": 0.25}, 9.0),
    Steps(2, 4, {"penalty": 0.125}, 9.0),
]


def plan_of(per_epoch: int) -> Plan:
    """Two epochs of so many steps each."""
    return Plan.of([Stage(lambda *_: {})], per_epoch, 1, 2)


@pytest.mark.parametrize("line", LINES)
def test_a_row_is_read_as_its_kind_and_written_as_it_was(line: str) -> None:
    row = log.parsed(line.encode())
    assert row == LINES[line] and json.dumps(row.to_json()) == line


@pytest.mark.parametrize(
    "rest", ["", ', "loss": 1', ', "images_per_s": 1', ', "test_loss": 1, "FID[a]": 2', ', "FID[a]": 1, "KID[a]": 2']
)
def test_a_row_of_no_kind_is_refused(rest: str) -> None:
    with pytest.raises(log.Malformed, match="neither the losses of steps"):
        log.parsed(f'{{"epoch": 1, "step": 1{rest}}}'.encode())


def test_a_loss_that_only_some_rows_have_is_kept_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    for row in GAPS:
        folder.append_log(row)
    assert folder.log_rows() == GAPS
    columns = losses(GAPS, plan_of(2))
    assert columns == {
        "epoch": [0.5, 1.0, 1.5, 2.0],
        "loss": [4.0, 3.0, None, None],
        "penalty": [None, 0.5, 0.25, 0.125],
    }

    drawn: list[list[float]] = []
    plot = matplotlib.axes.Axes.plot

    def noted(axes, *args, **options):
        drawn.append([list(arg) for arg in args if isinstance(arg, list | tuple)])
        return plot(axes, *args, **options)

    monkeypatch.setattr(matplotlib.axes.Axes, "plot", noted)
    draw_curves(tmp_path / "curves.png", GAPS, "gaps", "")
    assert drawn == [[[1, 2], [4.0, 3.0]], [[2, 3, 4], [0.5, 0.25, 0.125]]]
    drawn.clear()
    whole = comparison(models=["vae"], seeds=1)
    whole["runs"][0].update(losses=columns, test_losses={"penalty": 0.2})
    page = Page(page_of(whole))
    assert [[1.0, 1.5, 2.0], [0.5, 0.25, 0.125]] in drawn and [[0.5, 1.0], [4.0, 3.0]] in drawn
    assert any("loss 3, penalty 0.125" in (attrs.get("aria-label") or "") for _, attrs in page.elements)


@pytest.mark.parametrize(
    "scores", [[], [[2000.0, 100.0, 3.0]], [[200.0, 100.0, 9.0], [1e-4, 3e-5, -2e-6], [31.0, 30.0, 29.5]]]
)
def test_all_of_the_curves_is_on_the_sheet_and_its_numbers_are_plain(scores: list[list[float]]) -> None:
    """What each panel takes with its title, axes' labels and numbers is on the sheet, and apart from the others'."""
    rows: list[log.LogRow] = [Steps(1, step, {"loss": 1e5 * step}, 9.0) for step in range(1, 10)]
    for i, values in enumerate(scores):
        rows += [EpochScore(epoch, epoch, f"FID{i}[mnist-cnn] of 2,000", v) for epoch, v in enumerate(values, 1)]
    with figure("png", **layout(rows)) as sheet:
        draw_on(sheet, rows, "vae on mnist", "nats per image")
        sheet.canvas.draw()
        boxes = [axes.get_tightbbox() for axes in sheet.axes]
        labels = [[tick.get_text() for tick in axes.get_yticklabels()] for axes in sheet.axes]
        scales = [axes.get_yscale() for axes in sheet.axes]
    assert len(boxes) == 1 + len(scores)
    for upper, lower in zip(boxes, boxes[1:], strict=False):
        assert upper.y0 > lower.y1
    assert min(box.x0 for box in boxes) > 0 and max(box.x1 for box in boxes) < sheet.bbox.x1
    assert boxes[-1].y0 > 0 and boxes[0].y1 < sheet.bbox.y1
    assert scales == ["linear", *("log" if min(v) > 0 and max(v) > 8 * min(v) else "linear" for v in scores)]
    for numbers in labels:
        assert len(numbers) > 2 and all(re.fullmatch("[-\N{MINUS SIGN}]?[0-9,.]+(e-[0-9]+)?", one) for one in numbers)


def test_a_single_row_is_seen_and_a_long_title_keeps_its_beginning() -> None:
    with figure("png", **layout([])) as sheet:
        draw_on(sheet, [Steps(1, 4, {"loss": 2.0}, 9.0)], "conv-vae on " + 40 * "photos ", 20 * "nats per image ")
        (axes,) = sheet.axes
        (line,) = axes.get_lines()
        sheet.canvas.draw()
        assert line.get_marker() == "o" and axes.get_tightbbox().x0 > 0 and axes.get_tightbbox().x1 < sheet.bbox.x1
        assert axes.get_title().startswith("conv-vae on photos") and axes.get_title().endswith("…")


def test_what_was_seen_in_the_middle_of_an_epoch_goes_when_the_epoch_goes_on(tmp_path: Path) -> None:
    """The end of 10 steps was no end of an epoch of 4: a whole run has its scores and troubles at 8 and 12."""
    folder = RunFolder(tmp_path)
    rows = [
        row
        for step in (8, 10)
        for row in (
            Steps(step // 4, step, {"loss": 4.0}, 9.0),
            EpochScore(step // 4, step, "FID[mnist-cnn]", 3.5),
            Trouble(step // 4, step, "dead codes", {"used": 9, "codes": 64}),
        )
    ]
    for row in rows:
        folder.append_log(row)
    folder.cut_log(10, lambda step: step % 4 == 0)
    assert folder.log_rows() == rows[:4]


def test_a_rare_loss_is_not_thinned_away() -> None:
    rows = [Steps(1, i, {"loss": float(i)} | ({"rare": 1.0} if i % 100 == 99 else {}), 9.0) for i in range(1000)]
    columns = losses(rows, plan_of(1000))
    assert columns["rare"].count(1.0) == 10 and len(columns["epoch"]) <= MOST_POINTS + 10
    assert losses([Steps(1, row.step, {"loss": 1.0}, 9.0) for row in rows], plan_of(1000))["epoch"][-1] == 0.999


def test_a_run_gives_its_log_as_the_file_has_it(digits, tmp_path: Path) -> None:
    run = cf.train("vae", digits[0][:128], epochs=1, batch_size=64, out=tmp_path / "run", quiet=True)
    lines = (tmp_path / "run/log.jsonl").read_text().splitlines()
    assert run.log == [json.loads(line) for line in lines]
    assert {type(row) for row in run.folder.log_rows()} >= {Steps}
