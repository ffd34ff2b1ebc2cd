"""The report: whole, self-contained HTML whatever a comparison lacks."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from counterfeit.report.embed import embed
from counterfeit.report.svg import Style
from counterfeit.system import words
from loop_cases import KINDS
from report_cases import Page, comparison, draw_pictures, page_of


def checked(whole: dict[str, Any], drawn: dict[str, dict[str, Path]] | None = None) -> Page:
    """The page, after what has to hold for every one."""
    text = page_of(whole, drawn)
    page = Page(text)
    assert len(text.encode()) < 5_000_000
    without_pictures = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?://|//[a-z]|url\((?!#)|@import|javascript:", without_pictures)
    assert not page.all("script") and not page.all("iframe") and not page.all("object")
    for tag, attrs in page.elements:
        for name in ("src", "href"):
            assert re.match(r"data:|#", attrs.get(name) or "#"), (tag, attrs)
        assert not any(name.startswith("on") for name in attrs)
    assert all((image["alt"] or "").strip() for image in page.all("img"))
    assert all((attrs["aria-label"] or "").strip() for _, attrs in page.elements if attrs.get("role") == "img")
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.all("a")} <= {f"#{name}" for name in ids}
    assert page.all("h1") and "None" not in page.text and "nan" not in page.text.split()
    return page


def test_models_are_shown_with_their_numbers_pictures_and_where_they_came_from(tmp_path: Path) -> None:
    """Pictures that cannot be compressed; `checked` sees to the size."""
    whole = comparison(models=KINDS, data=["mnist"], seeds=2)
    page = checked(whole, draw_pictures(whole, tmp_path))
    for run in whole["runs"]:
        assert run["path"] in page.text
        assert words.command(run["command"]) in page.text
    for table in whole["tables"]:
        for row in table["rows"]:
            for column in ("FID", "IS", "Coverage"):
                assert words.plus_minus(row["metrics"][f"{column}[{table['data']}-cnn]"]) in page.text
            assert words.plus_minus(row["curve"]["best"]) in page.text
    alts = [image["alt"] or "" for image in page.all("img")]
    assert len(alts) == len(set(alts)) and "left out" not in page.text
    for word in ("cvae", "runs/gan-mnist-s0", "FID[mnist-cnn]", "Real images"):
        assert any(word in alt for alt in alts)
    assert "1=" in page.text and "class 9" in page.text and "3" * 64 in page.text
    assert "counterfeit compare grid.toml" in page.text and "SHA-256" in page.text


def _one_seed(whole: dict[str, Any]) -> None:
    whole.update(comparison(seeds=1))


def _no_curves(whole: dict[str, Any]) -> None:
    for one in [*whole["runs"], *(row for table in whole["tables"] for row in table["rows"])]:
        one["curve"] = None


def _one_curve(whole: dict[str, Any]) -> None:
    whole["tables"][0]["rows"][0]["curve"] = whole["runs"][0]["curve"] = None


def _no_floors(whole: dict[str, Any]) -> None:
    whole["tables"][0]["floors"] = dict.fromkeys(whole["tables"][0]["columns"])


def _only_fid(whole: dict[str, Any]) -> None:
    table = whole["tables"][0]
    table["columns"] = table["columns"][:1]
    for run in whole["runs"]:
        run["score"]["metrics"] = {name: run["score"]["metrics"][name] for name in table["columns"]}
    for row in table["rows"]:
        row["metrics"] = {name: row["metrics"][name] for name in table["columns"]}


def _nothing_ranks(whole: dict[str, Any]) -> None:
    whole["tables"][0]["ranked_by"] = None


def _a_row_lacks_scores(whole: dict[str, Any]) -> None:
    whole["tables"][0]["rows"][0]["metrics"] = {}
    whole["runs"][0]["score"]["metrics"] = {}


def _no_losses(whole: dict[str, Any]) -> None:
    for run in whole["runs"]:
        run.update(losses={"epoch": []}, command=[], images_per_s=None)
    whole["made_by"]["code_revision"] = None


def _negative_and_zero(whole: dict[str, Any]) -> None:
    for row in whole["tables"][0]["rows"]:
        row["metrics"]["KID[mnist-cnn]"].update(mean=-1e-5, values=[-1e-5, 0.0])


def _nothing_at_all(whole: dict[str, Any]) -> None:
    whole.update(tables=[], runs=[])


@pytest.mark.parametrize(
    "lack",
    [
        *(_one_seed, _no_curves, _one_curve, _no_floors, _only_fid, _nothing_ranks, _a_row_lacks_scores, _no_losses),
        *(_negative_and_zero, _nothing_at_all),
    ],
)
def test_what_is_not_there_is_left_out(lack: Callable[[dict[str, Any]], None]) -> None:
    whole = comparison()
    lack(whole)
    checked(whole)


def test_of_one_seed_nothing_is_said_that_takes_several() -> None:
    one, several = checked(comparison(seeds=1)), checked(comparison(seeds=2))
    assert "on mnist, seed 0: 2 runs" in one.text and "on mnist, seeds 0, 1: 4 runs" in several.text
    assert "Seeds" not in one.text and "Rank Seeds" in " ".join(several.text.split())
    assert any("10 epochs, seed 0;" in (attrs.get("aria-label") or "") for _, attrs in one.elements)
    for told in ("Tukey", "standard deviation over seeds", "the others faint"):
        assert told not in one.text and told in several.text


def test_the_legend_has_a_dashed_line_where_a_chart_has_one() -> None:
    """Not where there is no value of real images, nor where it is an arrow, so far away as it is."""
    whole = comparison()
    legend = 'stroke-dasharray="5 3"/></svg>real images'
    assert legend in page_of(whole)
    (table,) = whole["tables"]
    table["floors"] = {name: 1e-6 if name.startswith(("FID", "KID")) else None for name in table["columns"]}
    page = page_of(whole)
    assert legend not in page and "far to the left" in page


def test_failures_flags_and_notes_are_shown() -> None:
    whole = comparison()
    whole["failures"] = [{"run": "runs/broken", "error": "the loss is not finite"}]
    whole["notes"] = ["mnist: scores are in 2 tables"]
    near = whole["runs"][2]["score"]["metrics"]["Near-copies[mnist-cnn]"]
    near.update(notes=["flagged: more near-copies than there should be"])
    near["extras"]["flagged"] = 1.0
    text = checked(whole).text
    for told in ("1 of 5 runs failed", "runs/broken", "the loss is not finite", "mnist: scores are in 2 tables"):
        assert told in text
    assert "Flagged: gan (Near-copies, 1 of 2 seeds)" in text and "more near-copies than there should be" in text
    assert "No model is flagged" not in text and "No model is flagged" in checked(comparison()).text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    evil = "runs/<script>alert(1)</script>\"' onload=x $\\frac{1}{"
    whole = comparison(models=["gan", "vae"], home=evil)
    whole["title"] = whole["notes"] = whole["tables"][0]["data"] = evil
    whole["notes"] = [evil]
    whole["failures"] = [{"run": evil, "error": evil}]
    for one in (whole["runs"][0], whole["tables"][0]["rows"][0]):
        one["label"] = "_" + evil + "文字"
    page = checked(whole, draw_pictures(whole, tmp_path))
    assert page.text.count("<script>alert(1)</script>") > 10


def test_two_tables_of_one_data_set_are_told_apart() -> None:
    whole = comparison()
    other = copy.deepcopy(whole["tables"][0])
    other["protocol"].update(n=2000)
    whole["tables"].append(other)
    page = checked(whole)
    assert "mnist, 2,000 samples by mnist-cnn against mnist" in page.text


def test_the_same_comparison_gives_the_same_bytes() -> None:
    assert page_of(comparison()) == page_of(comparison())


def test_no_tensor_reaches_it() -> None:
    code = "import sys, counterfeit.report; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    below = ("torch", "counterfeit.models", "counterfeit.nets", "counterfeit.detectors", "counterfeit.run")
    assert not [name for name in below if name in loaded]


def test_styles_and_words() -> None:
    assert len({(s.color, s.marker) for s in map(Style.of, range(56))}) == 56
    spreads = [(131.276, 1.792), (0.02391, 0.0004), (13207.1, 250.0), (5.0, None), (1.0, 0.0), (0.0, 1e-12)]
    assert [words.plus_minus({"mean": m, "std": s}) for m, s in spreads] == [
        *("131.3 ± 1.8", "0.02391 ± 0.00040", "13,207 ± 250", "5", "1", "0 ± 1e-12"),
    ]
    assert [words.number(v) for v in (None, 0.00004144, 0.0, 12345.6, -3.0)] == ["–", "0.000041", "0", "12,346", "-3"]
    assert words.command(["__main__.py", "train", "a b"]) == "counterfeit train 'a b'"
    assert [words.seeds(s) for s in ([0, 1, 2], range(10), [0, 1, 2, 3, 17])] == ["0, 1, 2", "0 … 9", "0, 1, 2, 3, 17"]
    assert words.listed([]) == "" and words.listed("abc") == "a, b and c"


def test_pictures_shrink_to_the_room_there_is_and_damaged_ones_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file in files:
        Image.fromarray(rng.integers(0, 256, (200, 300, 3), np.uint8)).save(file)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG not really")
    for room in (1_000_000, 200_000, 60_000, 10_000):
        shown, faults = embed([*files, bad], room)
        assert sum(len(one.uri) for one in shown.values()) <= room
        assert (shown[files[0]].width, shown[files[0]].height) == (300, 200)
        assert len(faults) == 1 and str(bad) in faults[0]
    shown, faults = embed(files, 1000)
    assert not shown and "too large" in faults[0]
