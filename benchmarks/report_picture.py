"""The README's picture of a report: its beginning, as Chromium shows it on a desk.

    python benchmarks/report_picture.py runs/seed/report.html --out docs/images/report.png

Needs the extra `browser` and an installed Chromium, as `make browser` does.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from counterfeit.system.files import write_atomic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--section", default="mnist-0", help="id of the part to show")
    parser.add_argument("--height", type=int, default=1500, help="pixels from its top")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        page.goto(args.report.absolute().as_uri())
        top = page.locator(f"#{args.section}").bounding_box()
        clip = {"x": 0, "y": top["y"], "width": 1280, "height": args.height}
        shot = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))
        browser.close()
    buffer = io.BytesIO()
    shot.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(buffer, "PNG", optimize=True)
    write_atomic(args.out, buffer.getvalue())


if __name__ == "__main__":
    main()
