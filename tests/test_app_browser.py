"""The app in a real browser, on a phone and a desk, light and dark: `make browser`. Screenshots go to build/browser."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app_cases import served
from test_browser import CONTRAST, SCREENS, SIZES, chromium  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def base(
    tmp_path_factory: pytest.TempPathFactory, test_cache: Path, done: tuple[Path, dict[str, Any]]
) -> Iterator[str]:
    """The address of an app with the small grid's runs."""
    home = tmp_path_factory.mktemp("app") / "runs"
    shutil.copytree(done[0] / "runs" / "small", home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        server, address = served(home)
    yield address
    server.terminate()
    server.wait()


@pytest.fixture
def opened(chromium: Any, base: str) -> Iterator[Callable[..., Any]]:  # noqa: F811
    """Opens pages, of which none may say anything on its console, or ask another server."""
    pages, said, asked = [], [], []

    def open(path: str, **options: Any) -> Any:
        page = chromium.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(base + path)
        pages.append(page)
        return page

    yield open
    for page in pages:
        page.close()
    assert said == []
    assert [url for url in asked if not url.startswith((base, "data:"))] == []


def until(page: Any, holds: str) -> None:
    """Wait until an expression holds. Playwright's own way is an eval in the page, which our policy forbids."""
    patience = time.monotonic() + 120
    while not page.evaluate(holds):
        assert time.monotonic() < patience, holds
        page.wait_for_timeout(100)


def paths(opened: Callable[..., Any]) -> dict[str, str]:
    """The pages there are, by what they are called in file names."""
    runs = opened("/").evaluate("[...document.querySelectorAll('#cards h2 a')].map(a => a.getAttribute('href'))")
    chosen = "&".join(f"run={run.removeprefix('/runs/')}" for run in runs)
    return {"runs": "/", "run": runs[0], "choose": "/compare", "compare": f"/compare?{chosen}", "lost": "/nowhere"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_are_whole_fit_and_can_be_read(opened: Callable[..., Any], base: str, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    SCREENS.mkdir(parents=True, exist_ok=True)
    for name, path in paths(opened).items():
        if name == "lost":
            continue
        page = opened(path, viewport={"width": width, "height": height}, color_scheme=scheme)
        page.wait_for_timeout(300)
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        until(page, "[...document.images].every(i => i.complete && i.naturalWidth)")
        page.screenshot(path=SCREENS / f"app-{name}-{size}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate("[...document.images].filter(i => !i.hasAttribute('alt')).length") == 0
        assert page.evaluate(UNNAMED) == [], name
        assert page.evaluate(CONTRAST.replace("e.childNodes", OWN)) == [], name


def test_a_training_is_started_stopped_resumed_and_watched_to_its_end(opened: Callable[..., Any]) -> None:
    page = opened("/")
    page.select_option("#f-data", "mnist5k")
    page.fill("#f-epochs", "many")
    page.keyboard.press("Enter")
    page.wait_for_selector("#f-epochs-fault:not(:empty)")
    assert page.inner_text("#f-epochs-fault") == "--epochs is 'many'; it must be a whole number"
    assert page.evaluate("document.activeElement.id") == "f-epochs"
    page.fill("#f-epochs", "40")
    page.fill("#f-name", "mine")
    page.click("button[type=submit]")
    card = page.locator("li.run[data-name=mine]")
    card.get_by_role("link", name="mine").click(timeout=120_000)
    page.wait_for_selector(".state[data-state=training]", timeout=120_000)
    until(page, "JSON.parse(document.getElementById('epoch').max) >= 1")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".state[data-state=stopped]", timeout=120_000)
    before = int(page.get_attribute("#epoch", "max"))
    page.get_by_role("button", name="Resume").click()
    page.wait_for_selector(".state[data-state=finished]", timeout=300_000)
    until(page, f"document.getElementById('epoch').max > {before}")
    assert page.inner_text("#epoch-shown") == "epoch 40"


def test_the_slider_goes_over_the_epochs_by_keyboard_and_plays(opened: Callable[..., Any]) -> None:
    page = opened(paths(opened)["run"])
    page.focus("#epoch")
    shown = [page.get_attribute("#grid", "src")]
    page.keyboard.press("ArrowLeft")
    shown.append(page.get_attribute("#grid", "src"))
    assert len(set(shown)) == 2
    page.keyboard.press("Tab")
    page.focus("#play")
    page.keyboard.press("Enter")
    until(page, f"document.getElementById('grid').src.endsWith({shown[0]!r})")
    until(page, "document.getElementById('play').textContent == 'Play'")


def test_tables_are_sorted_filtered_and_hidden(opened: Callable[..., Any]) -> None:
    page = opened(paths(opened)["compare"])
    before = page.evaluate(LABELS)
    head = page.locator(".compared thead th").nth(3).locator("button")
    head.click()
    values = [page.evaluate(LABELS)]
    head.click()
    values.append(page.evaluate(LABELS))
    assert values[0] == values[1][::-1] and sorted(values[0]) == sorted(before)
    page.fill("#filter", "gan")
    assert page.evaluate(LABELS) and all("gan" in label for label in page.evaluate(LABELS))
    page.click("#show-all")
    page.locator("button.hide").first.click()
    assert len(page.evaluate(LABELS)) == len(before) - 1
    page.click("#show-all")
    assert len(page.evaluate(LABELS)) == len(before)


def test_a_page_whose_server_has_ended_says_so(chromium: Any, tmp_path: Path) -> None:  # noqa: F811
    server, address = served(tmp_path / "runs")
    page = chromium.new_page()
    page.goto(address)
    server.kill()
    server.wait()
    page.wait_for_selector("body.lost", timeout=10_000)
    page.close()


LABELS = """[...document.querySelectorAll('.compared tbody tr:not(.floor)')].filter(row => !row.hidden)
  .map(row => row.querySelector('.label').textContent.trim())"""
# What has no name for those who do not see the page.
UNNAMED = """[...document.querySelectorAll('button, input, select, a, [role=region], [role=img], progress')].filter(e =>
  !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.length || e.textContent.trim() ||
    e.closest('[aria-hidden=true], svg'))).map(e => e.outerHTML)"""
# Elements on the ground of their own are left to the eye: a button that is dark on light, a notice.
OWN = "(getComputedStyle(e).backgroundColor === 'rgba(0, 0, 0, 0)' && !e.closest('button') ? e : {childNodes: []})"
OWN += ".childNodes"
