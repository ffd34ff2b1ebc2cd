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
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from counterfeit.system.files import write_atomic

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "images" / "app"
MOST_BYTES = 150_000
DESK, PHONE = {"width": 1180, "height": 900}, {"width": 390, "height": 760}
WIDTH = 1000  # of a picture of a desk in the docs
PATIENCE = 300_000  # milliseconds


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
        shot.quantize(colors, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES:
            break
    else:
        raise RuntimeError(f"{name}.png has {buffer.tell():,} bytes: choose less of the page")
    OUT.mkdir(parents=True, exist_ok=True)
    write_atomic(OUT / f"{name}.png", buffer.getvalue())
    print(name, shot.size, f"{buffer.tell():,} bytes", flush=True)


def draw(desk: Any, phone: Any, base: str, ids: dict[str, str], walk: str, play: str) -> None:
    """All pictures."""
    desk.goto(base)
    until(desk, "[...document.images].every(image => image.complete)")
    keep(desk, "runs", 880)

    desk.goto(f"{base}/runs/{ids[play]}")
    desk.click("#step-1")
    until(desk, "document.querySelectorAll('#batch-fake img').length > 8")
    keep(desk, "lesson", 620, "#lesson")

    desk.goto(f"{base}/compare?" + "&".join(f"run={id}" for id in ids.values()))
    until(desk, "[...document.images].every(image => image.complete)")
    keep(desk, "compare", 900, "h1")

    desk.goto(f"{base}/explore/{ids[walk]}")
    until(desk, "document.documentElement.dataset.ready === 'yes'")
    desk.fill("#paths [name=steps]", "14")
    desk.wait_for_timeout(5000)
    keep(desk, "explore", 1000, "#walk")

    desk.goto(f"{base}/judge")
    for name in (walk, play):
        desk.check(f"[name=runs][value='{ids[name]}']")
    desk.click("button[type=submit]")
    desk.wait_for_url("**/judge/of/*", timeout=PATIENCE)
    keep(desk, "judge", 760)
    phone.goto(desk.locator(".link a").get_attribute("href"))
    phone.click("#begin")
    until(phone, "!document.getElementById('image').hidden")
    keep(phone, "rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--walk", required=True, help="name of the run to explore, which needs an encoder")
    parser.add_argument("--play", required=True, help="name of the run whose lesson is shown")
    args = parser.parse_args()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(args.runs, Path(place) / "runs")
        words = [sys.executable, "-m", "counterfeit", "app", "runs", "--port=0"]
        with (
            subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=place) as server,
            sync_playwright() as playwright,
        ):
            assert server.stdout is not None
            base = server.stdout.readline().strip().rstrip("/")
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            desk, phone = (browser.new_page(viewport=size, color_scheme="light") for size in (DESK, PHONE))
            for page in (desk, phone):
                page.set_default_timeout(PATIENCE)
            draw(desk, phone, base, shelved(desk, base), args.walk, args.play)
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
