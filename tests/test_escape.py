"""Names of the world in table.md, table.csv and the HTML page: they are shown, and do nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from counterfeit.comparison import render
from counterfeit.comparison.escape import cell, markdown, paragraph
from counterfeit.report.embed import embed
from report_cases import Page, comparison, page_of, read
from stranger_cases import NAMES


def named(name: str) -> dict[str, Any]:
    """A comparison in which everything that a user may name has this name."""

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            return {put(key) if key in OLD else key: put(one) for key, one in value.items()}
        if isinstance(value, list):
            return [put(one) for one in value]
        return name + value if value in OLD else value

    whole = comparison(models=("vae", "cvae"))
    OLD = {"mnist", "vae", "cvae", "seed grid", "nats", *(run["path"] for run in whole["runs"])}
    for run in whole["runs"]:
        for metric in run["score"]["metrics"].values():
            metric["notes"] = ["nats"]
    whole["failures"] = [{"run": f"{name}lost", "error": f"{name}damaged"}]
    whole["notes"] = [f"{name}of note"]
    return put(whole)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_table_md(name: str) -> None:
    """Every line of a table has as many cells as its head, and nothing is HTML, a link or a picture."""
    whole = named(name)
    lines = render.markdown(read(whole)).splitlines()
    assert sum(line.startswith("#") for line in lines) == 2, "a title, and a data set"
    cells = [line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines if line.startswith("|")]
    assert len(cells) == 5 and len(set(cells)) == 1
    text = "\n".join(lines)
    assert "<" not in text and "](" not in text and "]:" not in text and "![x][" not in text
    assert all(char.isprintable() or char == "\n" for char in text)
    render.markdown(read(whole)).encode()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_table_csv(name: str) -> None:
    whole = named(name)
    rows = list(csv.reader(io.StringIO(render.to_csv(read(whole).runs))))
    assert len(rows) == 1 + len(whole["runs"]) and len({len(row) for row in rows}) == 1
    for row in rows[1:]:
        for title, one in zip(rows[0], row, strict=True):
            if title in ("label", "model", "data", "path"):
                assert one[:1] not in ("=", "+", "-", "@", "\t", "\r"), one
            else:
                assert one == "" or float(one) is not None
    render.to_csv(read(whole).runs).encode()


def test_the_page(tmp_path: Path) -> None:
    """No other elements and attributes than with harmless names; all in one, since a page has many charts to draw."""
    plain, whole = named("a"), named("".join(NAMES))
    Image.new("L", (50, 50)).save(tmp_path / "a.png")
    picture = dict.fromkeys(("samples", "interpolation", "nearest", "random", "real"), tmp_path / "a.png")
    found = []
    for one in (plain, whole):
        drawn = {row["runs"][0]: picture for table in one["tables"] for row in table["rows"]}
        seen = Page(page_of(one, drawn).encode(errors="backslashreplace").decode())
        # A name of several lines is laid out in another way by matplotlib.
        found.append({(tag, *sorted(attrs)) for tag, attrs in seen.elements if tag != "text"})
    assert found[1] - found[0] == set()
    assert "script" not in {tag for tag, *_ in found[1]}


def test_numbers_stay_numbers_and_names_readable() -> None:
    assert render.to_csv(read(comparison()).runs).count("'") == 0
    assert markdown("best FID[mnist-cnn] (n 2,000)") == "best FID[mnist-cnn] (n 2,000)"
    assert paragraph("runs/vae_s0: log_every 3") == "runs/vae_s0: log_every 3"
    assert (cell("-0.5"), cell("runs/a"), markdown("-0.5 ± 0.1")) == ("'-0.5", "runs/a", "-0.5 ± 0.1")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xff" * 30,
    ],
)
def test_a_picture_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    found, (fault,) = embed([tmp_path / "a.png"])
    assert found == {} and "a.png cannot be shown" in fault


def test_a_picture_that_unpacks_to_too_many_pixels(tmp_path: Path) -> None:
    """12,000 x 12,000 gray pixels in 140 kB: refused by its header."""
    Image.new("L", (12_000, 12_000)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 1 << 20
    found, (fault,) = embed([tmp_path / "a.png"])
    assert found == {} and "12000x12000 is more than 134,217,728 pixels" in fault


def test_a_large_picture_keeps_its_size_in_the_page(tmp_path: Path) -> None:
    Image.new("L", (2800, 700)).save(tmp_path / "a.png")
    (one,) = embed([tmp_path / "a.png"])[0].values()
    assert (one.width, one.height, one.small) == (2800, 700, False)
