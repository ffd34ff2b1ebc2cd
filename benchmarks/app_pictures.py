"""The pictures of the app in docs: pages of a folder of trained runs, as Chromium shows them.

    python benchmarks/app_pictures.py runs/frontier --walk conv-vae-mnist-s0 --play wgan-gp-mnist-s0

The runs are copied first, so that nothing is written to them; they must be of one data set with a test split, and
`--play` one with a discriminator or critic. Needs the extras `app` and `browser` and an installed Chromium, as `make
browser` does. Writes docs/images/app/*.png, each of at most 150 KB.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from counterfeit.system.files import write_atomic

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "images" / "app"
MOST_BYTES = 150_000
DESK: Any = {"width": 1180, "height": 900}
PHONE: Any = {"width": 390, "height": 760}
WIDTH = 1000  # of a picture of a desk in the docs
PATIENCE = 300_000  # milliseconds


FILLED = """(canvas => {{ const empty = document.createElement('canvas');
  [empty.width, empty.height] = [canvas.width, canvas.height];
  return canvas.toDataURL() !== empty.toDataURL(); }})(document.getElementById('{}'))"""


@dataclass(frozen=True)
class Place:
    """An app: its address, the ids of its runs by their names, and which of them to walk in and to play with."""

    base: str
    ids: dict[str, str]
    walk: str
    play: str


def until(page: Any, holds: str) -> None:
    """Wait until an expression holds; the pages' policy forbids Playwright's own way."""
    late = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(f"Boolean({holds})"):
        if time.monotonic() > late:
            raise RuntimeError(f"in vain: {holds}")
        page.wait_for_timeout(200)


def keep(page: Any, name: str, height: int | None = None, above: str | None = None) -> None:
    """Store the page, or `height` pixels of it from an element on, in few colors."""
    page.wait_for_timeout(500)
    width = page.viewport_size["width"]
    top = page.locator(above).bounding_box()["y"] - 20 + page.evaluate("window.scrollY") if above else 0
    clip = {"clip": {"x": 0, "y": max(0, top), "width": width, "height": height}, "full_page": True} if height else {}
    shot = Image.open(io.BytesIO(page.screenshot(**clip))).convert("RGB")
    if width > WIDTH:
        shot = shot.resize((WIDTH, round(shot.height * WIDTH / width)), Image.Resampling.LANCZOS)
    for colors in (128, 64, 32):
        buffer = io.BytesIO()
        # The usual method would take rare colors away, such as that of links.
        few = shot.quantize(colors, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES:
            break
    else:
        raise RuntimeError(f"{name}.png has {buffer.tell():,} bytes: choose less of the page")
    OUT.mkdir(parents=True, exist_ok=True)
    write_atomic(OUT / f"{name}.png", buffer.getvalue())
    print(name, shot.size, f"{buffer.tell():,} bytes", flush=True)


def draw_runs(desk: Any, phone: Any, at: Place) -> None:
    desk.goto(at.base)
    until(desk, "[...document.images].every(image => image.complete)")
    desk.evaluate("document.querySelector('.lead code').textContent = 'runs'")  # and not that of a copy
    keep(desk, "runs", 880)


def draw_compare(desk: Any, phone: Any, at: Place) -> None:
    desk.goto(f"{at.base}/compare?" + "&".join(f"run={id}" for id in at.ids.values()))
    until(desk, "[...document.images].every(image => image.complete || image.loading === 'lazy')")
    keep(desk, "compare", 900, ".compared")


def draw_explore(desk: Any, phone: Any, at: Place) -> None:
    desk.goto(f"{at.base}/explore/{at.ids[at.walk]}")
    until(desk, "document.documentElement.dataset.ready === 'yes'")
    for canvas in ("plane", "strip"):
        until(desk, FILLED.format(canvas))
    keep(desk, "explore", 1000, "#walk")


def draw_judge(desk: Any, phone: Any, at: Place) -> None:
    desk.goto(f"{at.base}/judge")
    for name in (at.walk, at.play):
        desk.check(f"[name=runs][value='{at.ids[name]}']")
    desk.click("button[type=submit]")
    desk.wait_for_url("**/judge/of/*", timeout=PATIENCE)
    desk.evaluate(
        "document.querySelector('.lead').textContent = document.querySelector('.lead').textContent"
        ".replaceAll(/\\S*\\/runs\\//g, 'runs/')"
    )  # and not those of a copy
    keep(desk, "judge", 760)
    phone.goto(desk.locator(".link a").get_attribute("href"))
    phone.click("#begin")
    until(phone, "!document.getElementById('image').hidden")
    keep(phone, "rate")


def draw_lesson(desk: Any, phone: Any, at: Place) -> None:
    desk.goto(f"{at.base}/runs/{at.ids[at.play]}")
    desk.click("#step-1")
    until(desk, "document.querySelectorAll('#batch-fake img').length > 8")
    keep(desk, "lesson", 620, "#lesson")


PICTURES = {
    "runs": draw_runs,
    "compare": draw_compare,
    "explore": draw_explore,
    "judge": draw_judge,
    "lesson": draw_lesson,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--walk", required=True, help="name of the run to explore, which needs an encoder")
    parser.add_argument("--play", required=True, help="name of the run whose lesson is shown")
    parser.add_argument("--only", nargs="*", choices=PICTURES)
    args = parser.parse_args()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(args.runs, Path(folder) / "runs")
        words = [sys.executable, "-m", "counterfeit", "app", "runs", "--port=0"]
        with (
            subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=folder) as server,
            sync_playwright() as playwright,
        ):
            assert server.stdout is not None
            base = server.stdout.readline().strip().rstrip("/")
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            desk, phone = (browser.new_page(viewport=size, color_scheme="light") for size in (DESK, PHONE))
            for page in (desk, phone):
                page.set_default_timeout(PATIENCE)
            place = Place(base, shelved(desk, base), args.walk, args.play)
            for name in args.only or PICTURES:
                PICTURES[name](desk, phone, place)
            browser.close()
            server.terminate()


def shelved(page: Any, base: str) -> dict[str, str]:
    """The ids of the runs by their names, as the app has them."""
    page.goto(base)
    found: dict[str, str] = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('li.run')].map(run => [run.dataset.name, run.id.slice(4)]))"
    )
    return found


if __name__ == "__main__":
    main()
