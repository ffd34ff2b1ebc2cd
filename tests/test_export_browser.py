"""`counterfeit export --to web` in a real browser, from disk and from a host of files: `make browser`."""

from __future__ import annotations

import functools
import http.server
import threading
from typing import Any

import numpy as np
import pytest

import counterfeit as cf
from counterfeit.models import MODELS
from test_browser import CONTRAST, SCREENS, SIZES
from test_browser import chromium as chromium
from test_explore_browser import UNNAMED

pytestmark = pytest.mark.browser
MODELS_SHOWN = (
    "vae",
    "cvae",
    "gan",
    "ae",
)  # latents that are normal, with labels, uniform, and drawn in a way of its own
PIXELS = "id => document.getElementById(id).toDataURL()"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, test_cache) -> dict[str, cf.Run]:
    """Runs with their pages."""
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    home, made = tmp_path_factory.mktemp("exported"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        for name in MODELS_SHOWN:
            made[name] = cf.train(
                name, "mnist5k", out=home / name, epochs=2, quiet=True, device="cpu", **MODELS[name].small
            )
            made[name].export("web")
    return made


class Page:
    """An exported page, and what it said and asked for."""

    def __init__(self, chromium: Any, run: cf.Run, address: str | None = None, **options: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = chromium.new_page(**options)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.home = address or (run.path / "exports" / "web").as_uri()
        self.page.goto(f"{self.home}/index.html", timeout=120_000)
        self.page.wait_for_selector("html[data-ready='0']", timeout=120_000)

    def images(self, seed: int, n: int, label: int = -1) -> np.ndarray:
        found = self.page.evaluate(f"async () => Array.from(await counterfeit.images({seed}n, {n}, {label}))")
        return np.array(found, np.uint8)

    def changes(self, canvas: str, before: str) -> None:
        self.page.wait_for_function(f"before => ({PIXELS})('{canvas}') !== before", arg=before)

    def close(self) -> None:
        assert self.said == []
        assert [url for url in self.asked if not url.startswith((f"{self.home}/", "blob:", "data:"))] == []
        self.page.close()


@pytest.mark.parametrize("name", MODELS_SHOWN)
def test_a_seeds_images_are_ours(chromium, runs, name: str, record_property) -> None:
    run, found = runs[name], Page(chromium, runs[name])
    for seed, n in ((0, 64), (7, 200), (2**63 - 1, 130)) if name != "ae" else ((0, 200),):
        ours = run.sample(n, seed=seed)
        apart = np.abs(found.images(seed, n).reshape(ours.shape).astype(int) - ours)
        record_property(f"{name}, seed {seed}", f"{apart.max()} levels, {(apart > 0).mean():.2g} of pixels")
        print(f"{name}, seed {seed}: {apart.max()} levels in {(apart > 0).mean():.2g} of pixels of {n} images")
        assert apart.max() <= 1 and ours.std() > 1
    if run.model.classes:
        ours = run.sample(10, seed=3, labels=7)
        assert np.abs(found.images(3, 10, 7).reshape(ours.shape).astype(int) - ours).max() <= 1
    found.close()


def test_from_a_host_of_files(chromium, runs) -> None:
    served = functools.partial(http.server.SimpleHTTPRequestHandler, directory=runs["vae"].path / "exports" / "web")
    served.log_message = lambda *of: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = Page(chromium, runs["vae"], f"http://127.0.0.1:{server.server_port}")
        ours = runs["vae"].sample(64)
        assert np.abs(found.images(0, 64).reshape(ours.shape).astype(int) - ours).max() <= 1
        found.close()
        server.shutdown()


def test_the_controls(chromium, runs) -> None:
    found = Page(chromium, runs["cvae"])
    page = found.page
    before = page.evaluate(PIXELS, "view")
    page.focus("#slider-0")
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    found.changes("view", before)
    page.click("#reset")
    page.wait_for_function(f"before => ({PIXELS})('view') === before", arg=before)
    page.select_option("#class-view", "4")
    found.changes("view", before)
    page.click("#sheet button:nth-child(9)")
    assert page.inner_text("#chosen") == "sample 8"
    between = page.evaluate(PIXELS, "between")
    page.click("#play")
    found.changes("between", between)
    page.click("#play")
    page.fill("#seed", "12")
    page.wait_for_selector("html[data-ready='12']")
    page.fill("#seed", "-1")
    assert page.get_attribute("#seed", "aria-invalid") == "true"
    page.click("#another")
    page.wait_for_selector("html[data-ready='13']")
    page.select_option("#class", "3")
    page.wait_for_function("document.querySelector('#sheet button').getAttribute('aria-label').endsWith('class 3')")
    found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desk"])
def test_it_fits_and_can_be_read(chromium, runs, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    found = Page(chromium, runs["cvae"], viewport={"width": width, "height": height}, color_scheme=scheme)
    SCREENS.mkdir(parents=True, exist_ok=True)
    found.page.wait_for_timeout(500)
    found.page.screenshot(path=SCREENS / f"export-{size}-{scheme}.png", full_page=True)
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    assert found.page.evaluate(CONTRAST) == []
    assert found.page.evaluate(UNNAMED) == []
    found.close()
