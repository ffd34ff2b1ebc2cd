"""Explore in a real browser, on a phone and on a desk, light and dark: `make browser`. Screenshots: build/browser."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

import counterfeit as cf
from counterfeit.app.server import application
from counterfeit.app.shelf import Shelf
from test_browser import CONTRAST, SCREENS, SIZES
from test_browser import chromium as chromium

pytestmark = pytest.mark.browser
PIXELS = "id => document.getElementById(id).toDataURL()"
# Whether something was painted on a canvas.
FILLED = """id => { const canvas = document.getElementById(id), blank = document.createElement('canvas');
  [blank.width, blank.height] = [canvas.width, canvas.height]; return canvas.toDataURL() !== blank.toDataURL(); }"""


@pytest.fixture(scope="module")
def address(tmp_path_factory, test_cache) -> Iterator[str]:
    """The app in a thread of its own, with a VAE and a conditional one of an epoch or two."""
    home = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFEIT_CACHE", str(test_cache))
        for name in ("vae", "cvae"):
            cf.train(name, "mnist5k", out=home / name, epochs=2, quiet=True, device="cpu")
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = uvicorn.Server(uvicorn.Config(application(Shelf([home])), log_level="error", lifespan="off"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            server.should_exit = True
            thread.join(20)


class Page:
    """A page of the app, and what it said and asked for."""

    def __init__(self, chromium: Any, address: str, run: str, **options: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = chromium.new_page(**options)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(f"{address}/explore")
        self.page.get_by_role("link", name=f"/{run}").click()
        self.page.wait_for_selector("html[data-ready]")
        for canvas in ("plane", "view", "strip"):
            self.page.wait_for_function(FILLED, arg=canvas)

    def pixels(self, canvas: str) -> str:
        return str(self.page.evaluate(PIXELS, canvas))

    def changes(self, canvas: str, before: str) -> None:
        self.page.wait_for_function(f"before => ({PIXELS})('{canvas}') !== before", arg=before)

    def close(self, address: str) -> None:
        assert self.said == []
        assert [url for url in self.asked if not url.startswith((address, "data:", "blob:"))] == []
        self.page.close()


def test_dragging_changes_the_image_and_answers_come_one_after_another(chromium, address) -> None:
    found = Page(chromium, address, "vae")
    box = found.page.locator("#pad").bounding_box()
    before, answers = found.pixels("view"), []
    found.page.on("response", lambda answer: answers.append(answer) if answer.url.endswith("/point") else None)
    found.page.mouse.move(box["x"] + 20, box["y"] + 20)
    found.page.mouse.down()
    for i in range(60):
        found.page.mouse.move(box["x"] + 20 + 5 * i, box["y"] + 20 + 4 * i)
        time.sleep(0.01)
    found.page.mouse.up()
    found.changes("view", before)
    found.page.wait_for_timeout(500)
    assert 2 <= len(answers) <= 61
    # The last place is what is shown: the same place by keyboard and sliders gives the same pixels.
    where = found.page.inner_text("#where")
    last = found.pixels("view")
    found.page.reload()
    found.page.wait_for_function(FILLED, arg="view")
    box = found.page.locator("#pad").bounding_box()
    found.page.mouse.click(box["x"] + 20 + 5 * 59, box["y"] + 20 + 4 * 59)
    found.page.wait_for_timeout(1000)
    assert found.page.inner_text("#where") == where and found.pixels("view") == last
    found.close(address)


def test_the_keyboard_alone_walks(chromium, address) -> None:
    found = Page(chromium, address, "cvae")
    before = found.pixels("view")
    found.page.focus("#pad")
    for _ in range(4):
        found.page.keyboard.press("Shift+ArrowRight")
    assert "across 2.00, down 0.00" in found.page.inner_text("#where")
    found.changes("view", before)
    moved = found.pixels("view")
    found.page.keyboard.press("Home")
    found.changes("view", moved)
    found.page.wait_for_function(f"before => ({PIXELS})('view') === before", arg=before)
    found.page.locator("#sliders input").first.focus()
    for _ in range(20):
        found.page.keyboard.press("ArrowRight")
    found.changes("view", before)
    found.page.select_option("[name=label]", "7")
    found.page.wait_for_timeout(300)
    strip = found.pixels("strip")
    found.page.select_option("#paths [name=path]", "spherical")
    found.changes("strip", strip)
    found.close(address)


def test_a_drawn_digit_is_encoded_reconstructed_and_walked_from(chromium, address) -> None:
    found = Page(chromium, address, "vae")
    found.page.locator("#paper").scroll_into_view_if_needed()
    box = found.page.locator("#paper").bounding_box()
    found.page.mouse.move(box["x"] + 140, box["y"] + 40)
    found.page.mouse.down()
    for y in range(50, 240, 10):
        found.page.mouse.move(box["x"] + 140, box["y"] + y)
    found.page.mouse.up()
    for canvas in ("seen", "again"):
        found.page.wait_for_function(FILLED, arg=canvas, timeout=60_000)
    # A stroke from top to bottom is a 1, as soon as the answer to the whole of it is there.
    found.page.wait_for_function(ONES, timeout=60_000)
    found.page.click("#drawn-a")
    found.page.wait_for_function("() => document.getElementById('name-a').textContent === 'my image'")
    before = found.pixels("view")
    found.page.click("#from-here")
    found.changes("view", before)
    with found.page.expect_download() as download:
        found.page.click("#save")
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    found.close(address)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desk"])
def test_it_fits_and_can_be_read(chromium, address, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    view = {"width": width, "height": height}
    found = Page(chromium, address, "cvae", viewport=view, color_scheme=scheme, reduced_motion="reduce")
    found.page.click("#real")
    found.page.wait_for_selector("#near figure:nth-child(9)", timeout=60_000)
    SCREENS.mkdir(parents=True, exist_ok=True)
    found.page.screenshot(path=SCREENS / f"explore-{size}-{scheme}.png", full_page=True)
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    assert found.page.evaluate(CONTRAST) == []
    assert found.page.evaluate(UNNAMED) == []
    found.close(address)


ONES = """() => [...document.querySelectorAll('#near figcaption')]
  .filter(caption => caption.textContent.startsWith('1, ')).length >= 6"""
# Controls without a name that a screen reader would say.
UNNAMED = """() => [...document.querySelectorAll('button, select, input, a, [role=img], [tabindex="0"]')].filter(e =>
  !(e.getAttribute('aria-label') || e.textContent.trim() || (e.labels && e.labels.length)
    || e.querySelector('[aria-label]'))).map(e => e.outerHTML.slice(0, 80))"""
