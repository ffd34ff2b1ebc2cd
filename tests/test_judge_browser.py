"""The human test in a real browser: simulated raters answer by keyboard and touch, the server is killed between.

Screenshots go to build/browser.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from counterfeit.human.design import Design
from counterfeit.human.lines import parsed
from counterfeit.human.statistics import Results, results
from human_cases import drawn_test, shapes
from test_browser import SCREENS, chromium  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
DESIGN = Design(models=2, fakes=10, raters=3, seed=4)


class Server:
    """`counterfeit judge` on a port that stays the same when it is killed and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        words = [sys.executable, "-m", "counterfeit", "judge", str(self.home), "--port", str(self.port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == f"{self.base}/judge"

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.__exit__(None, None, None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("judged")
    for code, design in (("CLASS", DESIGN), ("TIMED", Design(models=2, fakes=5, exposure=250)), ("EMPTY", DESIGN)):
        drawn_test(home / ".app" / "tests" / f"{code}.sqlite", design).close()
    served = Server(home)
    yield served
    served.kill()


def listening(page: Any, base: str) -> tuple[list[str], list[str]]:
    """What the page says in the console, and which addresses beyond the server it asks."""
    said: list[str] = []
    beyond: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    ours = (f"{base}/", f"blob:{base}/", "data:")
    page.on("request", lambda request: None if request.url.startswith(ours) else beyond.append(request.url))
    return said, beyond


def wait(page: Any, done: int) -> None:
    page.wait_for_function(
        "n => document.querySelector('#bar').value === n && !document.querySelector('#image').hidden "
        "&& document.querySelector('#real').getAttribute('aria-disabled') === 'false'",
        arg=done,
        timeout=60_000,
    )


def source(page: Any) -> int:
    """What the image on the screen is, by its own pixels: canvas reads what the rater sees."""
    return page.evaluate(
        """() => { const c = document.createElement('canvas'); const i = document.querySelector('#image');
        c.width = i.naturalWidth; c.height = i.naturalHeight; const d = c.getContext('2d'); d.drawImage(i, 0, 0);
        return Math.round(d.getImageData(0, 0, 1, 1).data[0] / 60); }"""
    )


def said_real(page: Any, wrong: bool) -> bool:
    """What a rater says who knows what the image is, is wrong on purpose, and never takes noise for real."""
    of = source(page)
    return (of == 2) != (wrong and of != 3)


def judge(page: Any, wrong: set[int], begin: int = 0, end: int = 1000, keys: tuple[str, str] = ("f", "r")) -> int:
    """Answer by keyboard, those at `wrong` falsely; the number of answers."""
    of = int(page.evaluate("document.body.dataset.of"))
    for done in range(begin, min(end, of)):
        wait(page, done)
        page.keyboard.press(keys[said_real(page, done in wrong)])
    return min(end, of) - begin


def lines_of(server: Server, code: str) -> bytes:
    import urllib.request

    with urllib.request.urlopen(f"{server.base}/judge/of/{code}/judgements.jsonl", timeout=60) as answer:
        return bytes(answer.read())


def numbers(lines: bytes) -> Results:
    return results(parsed(lines.splitlines()))


def test_three_raters_by_keyboard_and_a_server_that_is_killed(chromium: Any, server: Server) -> None:  # noqa: F811
    """Every answer is there, the numbers on the page are those of the lines, and by hand those of the answers."""
    mistakes = [set(range(0, 50, 5)), set(range(1, 50, 7)), set(range(2, 50, 4))]
    for rater, wrong in enumerate(mistakes):
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        said, beyond = listening(page, server.base)
        page.goto(f"{server.base}/rate/CLASS")
        page.click("#begin")
        keys = ("ArrowLeft", "ArrowRight") if rater == 0 else ("f", "r")
        if rater == 1:
            judge(page, wrong, 0, 12, keys)
            wait(page, 12)
            page.reload()  # the same rater goes on
            judge(page, wrong, 12, 20, keys)
            wait(page, 20)
            server.kill()
            page.keyboard.press(keys[said_real(page, 20 in wrong)])
            page.wait_for_function("() => document.querySelector('#trouble').textContent.includes('does not answer')")
            server.start()
            judge(page, wrong, 21, 1000, keys)
        else:
            judge(page, wrong, keys=keys)
        page.wait_for_selector("#end:not([hidden])")
        assert page.inner_text("#own").startswith("You were right about ")
        assert beyond == [] and [text for text in said if "ERR_CONNECTION" not in text] == []
        context.close()
    lines = lines_of(server, "CLASS")
    found = [json.loads(line) for line in lines.splitlines()]
    of = DESIGN.shown
    assert [(one["rater"], one["position"]) for one in found] == [(r, p) for r in (1, 2, 3) for p in range(of)]
    for one in found:
        wrong = one["role"] != "noise" and one["position"] in mistakes[one["rater"] - 1]
        assert (one["real"] != (one["answer"] == "real")) == wrong
        assert 0 < one["seconds"] < 60 and one["shown_ms"] is None
    counted = numbers(lines)
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{server.base}/judge/of/CLASS/results")
    assert counted.counted == (1, 2, 3) and len(counted.models) == 2
    for model in counted.models:
        row = page.inner_text(f"tr:has(th:text-is('{model.model}'))")
        assert f"{100 * model.hype.value:.1f} %" in row
        by_hand = []
        for rater in counted.counted:
            own = [one for one in found if one["rater"] == rater and one["role"] == "judged"]
            fakes = [one["answer"] == "real" for one in own if one["model"] == model.model]
            reals = [one["answer"] == "fake" for one in own if one["real"]]
            by_hand.append((sum(fakes) / len(fakes) + sum(reals) / len(reals)) / 2)
        assert model.hype.value == pytest.approx(sum(by_hand) / len(by_hand))
    page.close()


def test_timed_mode_shows_an_image_for_its_time(chromium: Any, server: Server) -> None:  # noqa: F811
    """The log says for how long each was shown: 250 ms to a few frames, as a busy machine draws them."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    said, _ = listening(page, server.base)
    page.goto(f"{server.base}/rate/TIMED")
    page.click("#begin")
    for done in range(6):
        page.wait_for_function(
            "n => document.querySelector('#bar').value === n && "
            "document.querySelector('#real').getAttribute('aria-disabled') === 'false'",
            arg=done,
            timeout=60_000,
        )
        assert page.is_hidden("#image") and page.is_hidden("#mask")  # it is gone before it can be judged
        page.keyboard.press("r")
    page.wait_for_function("() => document.querySelector('#bar').value === 6")
    shown = [one.shown_ms for one in parsed(lines_of(server, "TIMED").splitlines())]
    assert len(shown) == 6 and all(ms is not None and 245 <= ms <= 450 for ms in shown)
    assert said == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_and_are_seen(chromium: Any, server: Server, size: str, scheme: str) -> None:  # noqa: F811
    """No page is wider than the screen; images are enlarged four times or more; fingers find the buttons."""
    width, height = SIZES[size]
    options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, "has_touch": size == "phone"}
    context = chromium.new_context(**options)
    page = context.new_page()
    said, beyond = listening(page, server.base)
    SCREENS.mkdir(parents=True, exist_ok=True)
    paths = {
        "judge": "/judge",
        "invite": "/judge/of/CLASS",
        "results": "/judge/of/CLASS/results",
        "none": "/judge/of/EMPTY/results",
        "raters": "/judge/how-many",
        "rate": "/rate/EMPTY",
    }
    for name, path in paths.items():
        page.goto(server.base + path)
        page.screenshot(path=SCREENS / f"judge-{name}-{size}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.click("#begin")
    wait(page, 0)
    page.screenshot(path=SCREENS / f"judge-task-{size}-{scheme}.png")
    box = page.locator("#image").bounding_box()
    assert box["width"] >= 4 * 28 and box["width"] % 28 == 0 and box["height"] == box["width"]
    assert page.evaluate("getComputedStyle(document.querySelector('#image')).imageRendering") == "pixelated"
    for name in ("#fake", "#real"):
        button = page.locator(name).bounding_box()
        assert button["height"] >= 48 and 0 <= button["y"] and button["y"] + button["height"] <= height
    page.locator("#real").tap() if size == "phone" else page.locator("#real").click()
    wait(page, 1)
    assert said == [] and beyond == []
    context.close()


def test_who_cannot_join_reads_why_and_may_try_again(chromium: Any, server: Server) -> None:  # noqa: F811
    page = chromium.new_context().new_page()
    page.goto(f"{server.base}/rate/EMPTY")
    full = {"status": 400, "content_type": "application/json", "body": '{"error": "this test is full"}'}
    page.route("**/join", lambda route: route.fulfill(**full))
    page.click("#begin")
    page.wait_for_selector("text=this test is full")
    page.unroute("**/join")
    page.click("#begin")
    wait(page, 0)
    page.context.close()


def test_two_tabs_of_one_rater_go_on_together(chromium: Any, server: Server) -> None:  # noqa: F811
    """What one tab has judged, the other does not ask again; no answer is taken twice."""
    context = chromium.new_context()
    one, two = context.new_page(), context.new_page()
    one.goto(f"{server.base}/rate/EMPTY")
    one.click("#begin")
    wait(one, 0)
    two.goto(f"{server.base}/rate/EMPTY")
    wait(two, 0)
    one.keyboard.press("f")
    wait(one, 1)
    two.keyboard.press("r")  # judged already: the first answer stands
    wait(two, 1)
    two.keyboard.press("r")
    wait(two, 2)
    one.keyboard.press("f")
    wait(one, 2)
    context.close()
    with closing(sqlite3.connect(server.home / ".app" / "tests" / "EMPTY.sqlite")) as db:
        last = db.execute("SELECT MAX(number) FROM raters").fetchone()[0]
        found = db.execute("SELECT answer FROM judgements WHERE rater = ? ORDER BY position", (last,)).fetchall()
    assert found == [("fake",), ("real",)]


def test_what_is_drawn_is_what_was_stored() -> None:
    """The pictures of this test are told apart by one pixel, which survives PNG."""
    for kind in range(4):
        buffer = io.BytesIO()
        Image.fromarray(shapes(kind, 1)[0, 0]).save(buffer, "PNG")
        assert np.asarray(Image.open(buffer))[0, 0] == 60 * kind
