"""The report in a real browser, on a phone and on a desk, light and dark: `make browser`.

Screenshots go to build/browser. COUNTERFEIT_REPORT names a report to look at in place of the one made here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from report_cases import comparison, draw_pictures, page_of

pytestmark = pytest.mark.browser
SCREENS = Path(__file__).parent.parent / "build" / "browser"
SIZES = {"phone": (390, 844), "narrow": (360, 740), "desk": (1280, 900)}
MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "COUNTERFEIT_REPORT" in os.environ:
        return Path(os.environ["COUNTERFEIT_REPORT"]).absolute()
    folder = tmp_path_factory.mktemp("report")
    whole = comparison(models=["ae", "vae", "cvae", "gan", "lsgan", "dcgan"], data=["mnist", "cifar10"], seeds=3)
    path = folder / "report.html"
    path.write_text(page_of(whole, draw_pictures(whole, folder)))
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """An installed Chromium, driven by playwright, which downloads nothing."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[browser]'")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.fail("no Chromium here: install Debian's package `chromium`, or Chrome", pytrace=False)
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_is_whole_and_fits(chromium: Any, report: Path, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{size}-{scheme}.png", full_page=True)

    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert (
        page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth || !i.alt.trim()).length") == 0
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is open on click has to fit as well.
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_every_line_and_letter_can_be_seen(chromium: Any, report: Path) -> None:
    """Text has the contrast that WCAG asks for, 4.5 to 1, in both schemes."""
    for scheme in ("light", "dark"):
        page = chromium.new_page(color_scheme=scheme)
        page.goto(report.as_uri())
        weak = page.evaluate(CONTRAST)
        assert weak == []
        page.close()


def test_it_prints(chromium: Any, report: Path) -> None:
    page = chromium.new_page()
    page.goto(report.as_uri())
    pdf = page.pdf(
        path=SCREENS / "print.pdf", format="A4", margin={side: "12mm" for side in ("top", "bottom", "left", "right")}
    )
    assert pdf.startswith(b"%PDF")
    page.close()


def test_it_is_small(report: Path) -> None:
    assert report.stat().st_size < MOST_BYTES


# Of every element with text of its own: its color against that of the page, as WCAG's relative luminance has it.
CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const weak = new Set();
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = getComputedStyle(e);
    const own = light(e instanceof SVGElement ? style.fill : style.color);
    const ratio = (Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05);
    if (ratio < 4.5) weak.add(e.tagName + ' ' + e.className + ' ' + ratio.toFixed(1));
  }
  return [...weak];
}"""
