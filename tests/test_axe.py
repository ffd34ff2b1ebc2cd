"""What axe-core finds on every page of the app, of a human test and of a report: `make browser`, which fetches it.

Nothing that it calls serious or critical may be there, on a phone and a desk, light and dark. Screenshots go to
build/browser.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import counterfeit as cf
from app_cases import ids, served
from counterfeit.human.design import Design
from human_cases import drawn_test
from test_app_browser import until
from test_browser import SCREENS, chromium, report  # noqa: F401 - fixtures

pytestmark = pytest.mark.browser
AXE = Path(__file__).parent.parent / "build" / "axe" / "package" / "axe.min.js"
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
GRAVE = ("serious", "critical")
# By the name of a page, its path and what is done on it before it is looked at; then an expression holds.
READY = "document.documentElement.dataset.ready === 'yes'"
PAGES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "runs": ("/", (), "true"),
    "run": ("/runs/{vae}", (), "document.querySelector('#charts svg')"),
    "run-without-samples": ("/runs/{cvae}", (), "true"),
    "lesson": ("/runs/{gan}", ("#step-1",), "document.querySelectorAll('#batch-fake img').length > 8"),
    "explore": ("/explore", (), "true"),
    "explore-vae": ("/explore/{vae}", ("#real",), "document.querySelectorAll('#near figure').length > 8"),
    "explore-cvae": ("/explore/{cvae}", ("#sheet button",), "document.querySelectorAll('#near figure').length > 8"),
    "explore-gan": ("/explore/{gan}", (), READY),
    "compare-choose": ("/compare", (), "true"),
    "compare": ("/compare?run={vae}&run={cvae}&run={gan}", (".compared .sort",), "true"),
    "judge": ("/judge", (), "true"),
    "judge-invite": ("/judge/of/FULL", (), "true"),
    "judge-results": ("/judge/of/FULL/results", (), "true"),
    "judge-no-results": ("/judge/of/EMPTY/results", (), "true"),
    "judge-raters": ("/judge/how-many", (), "true"),
    "rate": ("/rate/EMPTY", (), "true"),
    "rate-task": ("/rate/EMPTY", ("#begin",), "!document.getElementById('image').hidden"),
    "lost": ("/nowhere", (), "true"),
}
FOUND = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(one =>
  [one.impact, one.id, ...one.nodes.slice(0, 4).map(node => `${node.html.slice(0, 160)}: ${node.failureSummary}`)]))"""


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is missing: `make browser` fetches it with npm")
    return AXE.read_text()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of an app with runs of all kinds, and human tests; the ids of the runs."""
    home = tmp_path_factory.mktemp("axe") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        for name in ("vae", "cvae", "gan"):
            run = cf.train(name, "mnist5k", out=home / name, epochs=2, quiet=True, device="cpu")
            if name != "gan":
                cf.score(run, metrics=["fid"], n=200)
        for picture in (home / "cvae" / "samples").iterdir():
            picture.unlink()
        for code, raters in (("FULL", 4), ("EMPTY", 0)):
            judged(home / ".app" / "tests" / f"{code}.sqlite", raters)
        server, address = served(home)
    yield address, ids(home)
    server.terminate()
    server.wait()


def judged(path: Path, raters: int) -> None:
    """A human test of two models, and raters who are wrong in every fifth image."""
    with drawn_test(path, Design(models=2, fakes=10, raters=4, seed=4)) as store:
        for rater in range(raters):
            token = store.join({})
            while (now := store.next(token)) is not None:
                with Image.open(io.BytesIO(store.image(token, now.id))) as image:
                    source = round(np.asarray(image).flat[0] / 60)
                wrong = source != 3 and (now.done + rater) % 5 == 0
                store.answer(token, now.id, "real" if (source == 2) != wrong else "fake", 1.0)


def grave(page: Any, axe: str) -> list[Any]:
    """What axe calls serious or critical. It is run by the debugger: the pages' policy lets no script in."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": axe})
    answer = session.send("Runtime.evaluate", {"expression": FOUND, "awaitPromise": True, "returnByValue": True})
    assert "exceptionDetails" not in answer, answer
    return [one for one in answer["result"]["value"] if one[0] in GRAVE]


def looked_at(page: Any, name: str, axe: str) -> list[Any]:
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"axe-{name}.png", full_page=True)
    return grave(page, axe)


@pytest.fixture(params=[(size, scheme) for size in SIZES for scheme in ("light", "dark")], ids="-".join)
def opened(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Any]]:  # noqa: F811
    """Opens addresses in a browser of a size and a color scheme, of which it has the name."""
    size, scheme = request.param
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)

    def open(address: str) -> Any:
        page = context.new_page()
        page.goto(address)
        return page

    open.__name__ = f"{size}-{scheme}"
    yield open
    context.close()


def test_pages_of_the_app(opened: Callable[[str], Any], app: tuple[str, dict[str, str]], axe: str) -> None:
    address, ids = app
    found = {}
    for name, (path, clicks, holds) in PAGES.items():
        page = opened(address + path.format(**ids))
        if "explore-" in name:
            until(page, READY)
        for place in clicks:
            page.locator(place).first.click()
        until(page, f"Boolean({holds})")
        page.wait_for_timeout(300)
        found[name] = looked_at(page, f"{name}-{opened.__name__}", axe)
        page.close()
    assert {name: what for name, what in found.items() if what} == {}


def test_a_report(opened: Callable[[str], Any], report: Path, axe: str) -> None:  # noqa: F811
    assert looked_at(opened(report.as_uri()), f"report-{opened.__name__}", axe) == []


def test_axe_finds_what_is_wrong(opened: Callable[[str], Any], axe: str) -> None:
    page = opened("data:text/html,<title>x</title><img src='data:,'><p style='color:%23ccc'>pale</p>")
    assert {one[1] for one in grave(page, axe)} >= {"image-alt", "color-contrast", "html-has-lang"}
