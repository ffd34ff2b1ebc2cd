"""The pages of the human test: what raters and those who give it see, and what neither can."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import counterfeit as cf
from counterfeit.app.guard import COOKIE
from counterfeit.app.people import CODE, LETTERS, LONG, HumanTests
from counterfeit.app.server import application
from counterfeit.app.shelf import Shelf
from counterfeit.errors import InputError
from counterfeit.human.design import Design
from counterfeit.human.file import Pool
from counterfeit.human.lines import parsed
from counterfeit.human.statistics import results
from counterfeit.human.store import Store

BASE = "http://127.0.0.1:8321"
POST = {"origin": BASE}
MODELS = ["runs/vae-secret", "runs/gan-secret"]


def made(path: Path, fakes: int = 5, exposure: int | None = None) -> Store:
    """A test of images whose pixels say what they are: 0 to 59 for the first model, then 60 more for each source."""
    shown = [
        np.full((60, 1, 8, 8), 60 * i, np.uint8) + np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1) for i in range(4)
    ]
    pools = [Pool(one, None, np.arange(60) % 2 if i == 2 else None) for i, one in enumerate(shown)]
    real = {"name": "mnist", "split": "test", "n": 60, "digest": "0" * 64}
    models = {name: {"digest": "0" * 64, "kind": "run", "name": name} for name in MODELS}
    design = Design(models=2, fakes=fakes, raters=3, exposure=exposure)
    return Store.create(path, design, MODELS, pools, {"models": models, "real": real})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made(tmp_path / ".app" / "tests" / "ABCDEF.sqlite").close()
    return tmp_path


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    app = application(Shelf([home]))
    with TestClient(app, BASE, headers=POST) as client:
        yield client
    app.state.tests.close()


def pixel(content: bytes) -> int:
    return int(np.asarray(Image.open(io.BytesIO(content)))[0, 0])


def take(client: TestClient, path: str = "/rate/ABCDEF", most: int = 1000, wrong: int = 0) -> dict[str, Any]:
    """Join and answer so many images by what they are, of the first ones `wrong` falsely; what was answered last."""
    now = client.post(f"{path}/join", json={"screen": {"scale": 2, "width": "x"}}).json()
    for i in range(most):
        if "finished" in now:
            break
        real = pixel(client.get(f"{path}/image/{now['id']}").content) // 60 == 2
        said = "real" if real != (i < wrong) else "fake"
        now = client.post(f"{path}/answer", json={"id": now["id"], "answer": said, "seconds": 0.5}).json()
    return now


def test_a_rater_judges_to_the_end_and_is_told_then_only(client: TestClient) -> None:
    first = client.post("/rate/ABCDEF/join", json={}).json()
    assert set(first) == {"id", "done", "of"} and (first["done"], first["of"]) == (0, 28)
    then = client.post("/rate/ABCDEF/answer", json={"id": first["id"], "answer": "real", "seconds": 1}).json()
    assert set(then) == {"id", "done", "of"}  # nothing says whether that was right
    end = take(client)
    assert end["finished"] is True and end["right"]["fake"][1] == end["right"]["real"][1] == 10
    assert client.get("/rate/ABCDEF/now").json() == end
    assert client.post("/rate/ABCDEF/join", json={}).json() == end  # the browser is known: no second rater
    (rater,) = results(parsed(client.get("/judge/of/ABCDEF/judgements.jsonl").content.splitlines()), draws=2).raters
    assert (rater.done, rater.of) == (28, 28)


def test_a_reload_goes_on_where_it_was(client: TestClient) -> None:
    assert "Begin" in client.get("/rate/ABCDEF").text
    now = take(client, most=9)
    page = client.get("/rate/ABCDEF").text
    assert '<section id="intro" hidden>' in page
    assert client.post("/rate/ABCDEF/join", json={}).json() == now and now["done"] == 9


def test_what_a_rater_gets_says_nothing_of_the_models(client: TestClient) -> None:
    """Pages, answers and headers of a whole test: no name, number, seed or digest of a run, and images alike but in
    their pixels; the ids are as many as the images, and none comes twice."""
    told: list[str] = [client.get("/rate/ABCDEF").text]
    headers: list[dict[str, str]] = []
    ids = []
    now = client.post("/rate/ABCDEF/join", json={}).json()
    while "finished" not in now:
        ids.append(now["id"])
        image = client.get(f"/rate/ABCDEF/image/{now['id']}")
        headers.append({name: value for name, value in image.headers.items() if name != "content-length"})
        assert image.headers["cache-control"] == "no-store"
        answer = client.post("/rate/ABCDEF/answer", json={"id": now["id"], "answer": "fake", "seconds": 1})
        told.append(answer.text)
        told.append(str(answer.headers))
        now = answer.json()
    assert all(one == headers[0] for one in headers)
    assert len(set(ids)) == len(ids) == 28
    for text in told[:-2]:
        assert not re.search("secret|vae|gan|model|mnist|seed|sqlite|noise|repeat", text, re.IGNORECASE), text[:99]


def test_only_the_image_that_is_judged_now_can_be_had(client: TestClient) -> None:
    assert client.get("/rate/ABCDEF/now").status_code == 404  # nobody has joined here
    now = take(client, most=1)
    assert client.get(f"/rate/ABCDEF/image/{now['id']}").status_code == 200
    for id in ("0", "ABCDEF", "..%2f..%2fABCDEF.sqlite", "a" * 1000):
        assert client.get(f"/rate/ABCDEF/image/{id}").status_code == 404
    for code in ("XXXXXX", "abc", "a" * 40):
        assert client.get(f"/rate/{code}").status_code == 404
        assert client.post(f"/rate/{code}/join", json={}).status_code in (400, 404)


@pytest.mark.parametrize(
    "posted",
    [
        {},
        {"answer": "real", "seconds": 1},
        {"id": "x", "answer": "real", "seconds": 1},
        {"id": "NOW", "answer": "perhaps", "seconds": 1},
        {"id": "NOW", "answer": ["real"], "seconds": 1},
        {"id": "NOW", "answer": "real"},
        {"id": "NOW", "answer": "real", "seconds": "1"},
        {"id": "NOW", "answer": "real", "seconds": True},
        {"id": "NOW", "answer": "real", "seconds": -1},
        {"id": "NOW", "answer": "real", "seconds": 1, "shown_ms": {}},
    ],
)
def test_answers_that_are_none(client: TestClient, posted: dict[str, Any]) -> None:
    now = client.post("/rate/ABCDEF/join", json={}).json()
    values = {name: now["id"] if value == "NOW" else value for name, value in posted.items()}
    answer = client.post("/rate/ABCDEF/answer", json=values)
    assert answer.status_code == 400 and answer.json()["error"]
    assert client.get("/rate/ABCDEF/now").json() == now
    assert client.get("/judge/of/ABCDEF/judgements.jsonl").content == b""


def test_other_sites_cannot_answer(client: TestClient) -> None:
    now = client.post("/rate/ABCDEF/join", json={}).json()
    values = {"id": now["id"], "answer": "real", "seconds": 1}
    assert client.post("/rate/ABCDEF/answer", json=values, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/rate/ABCDEF/now").json() == now
    for path in ("/rate/ABCDEF/answer", "/rate/ABCDEF/join", "/judge/start", "/judge/of/ABCDEF/publish"):
        assert client.get(path).status_code == 405


def test_raters_need_the_code_and_not_the_token(home: Path) -> None:
    """On an address that others reach: the test itself is open to who has its code, all else asks for the token."""
    app = application(Shelf([home]), "0.0.0.0", "word")
    origin = "http://192.168.1.7:8321"
    with TestClient(app, origin, headers={"origin": origin}) as rater, TestClient(app, origin) as teacher:
        assert take(rater)["finished"] is True
        for path in (
            "/judge",
            "/judge/of/ABCDEF",
            "/judge/of/ABCDEF/results",
            "/judge/of/ABCDEF/judgements.jsonl",
            "/",
        ):
            assert rater.get(path).status_code == 401
        assert rater.post("/judge/of/ABCDEF/publish", json={}).status_code == 401
        teacher.cookies.set(COOKIE, "word")
        page = teacher.get("/judge/of/ABCDEF").text
        assert f"{origin}/rate/ABCDEF" in page and "<svg" in page
        assert teacher.get("/judge/of/ABCDEF/judgements.jsonl").content.count(b"\n") == 28
    app.state.tests.close()


def test_the_link_names_this_machine_for_others(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In numbers, since a phone does not know its name, unless it was given; with the port that it was asked at."""
    monkeypatch.setattr("counterfeit.app.people.own_address", lambda: "192.168.1.7")
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    ours = "http://192.168.1.7:8321/rate/ABCDEF"
    for host, base, where in (
        ("0.0.0.0", BASE, ours),
        ("::", BASE, ours),
        ("::", "http://[2001:db8::5]:8321", "http://[2001:db8::5]:8321/rate/ABCDEF"),
        ("0.0.0.0", "http://laptop:8321", ours),
        ("0.0.0.0", "http://laptop", "http://192.168.1.7/rate/ABCDEF"),
        ("0.0.0.0", "http://10.0.0.3:8321", "http://10.0.0.3:8321/rate/ABCDEF"),
        ("lab.example", "http://lab.example:8321", "http://lab.example:8321/rate/ABCDEF"),
        ("lab.example", BASE, "http://lab.example:8321/rate/ABCDEF"),
        ("127.0.0.1", BASE, f"{BASE}/rate/ABCDEF"),
    ):
        token = None if host == "127.0.0.1" else "word"
        app = application(Shelf([home]), host, token)
        with TestClient(app, base) as client:
            client.cookies.set(COOKIE, "word")
            page = client.get("/judge/of/ABCDEF").text
        app.state.tests.close()
        assert f'href="{where}"' in page
        assert ("Only this machine reaches it" in page) == (token is None)


def test_results_are_those_of_the_lines(client: TestClient, home: Path) -> None:
    assert "no rater can be counted yet" in client.get("/judge/of/ABCDEF/results").text.lower()
    for wrong in (3, 5, 7):
        client.cookies.delete("rater")
        take(client, wrong=wrong)
    found = results(parsed(client.get("/judge/of/ABCDEF/judgements.jsonl").content.splitlines()))
    page = client.get("/judge/of/ABCDEF/results").text
    assert found.models
    for one in found.models:
        assert one.hype.interval is not None
        assert f"<b>{100 * one.hype.value:.1f} %</b>" in page and one.model in page
        assert f"{100 * one.hype.interval[0]:.1f} to {100 * one.hype.interval[1]:.1f}" in page
    apart = [one for one in found.raters if one.fault]
    assert all(one.fault in page for one in apart)
    receipt = client.get("/judge/of/ABCDEF/receipt.json").json()
    assert receipt["human"]["screens"][0] == {"rater": 1, "scale": 2}
    assert receipt["human"]["browsers"] == ["testclient"]
    assert "3 joined, 3 finished" in client.get("/judge/of/ABCDEF/progress").text
    assert "ABCDEF" in client.get("/judge").text


def test_a_test_is_set_up_from_the_form(tmp_path: Path) -> None:
    """Trained runs, by the pages alone: prepared, taken, and stored as a score that `compare` finds."""
    for model in ("vae", "gan"):
        cf.train(model, data="mnist5k", holdout=0.2, steps=2, out=tmp_path / model)
    app = application(Shelf([tmp_path]), code="CLASS-7")
    with TestClient(app, BASE, headers=POST) as client:
        ids = re.findall('name="runs" value="([^"]+)"', client.get("/judge").text)
        form = {"fakes": "5", "raters": "2", "seed": "1", "exposure": ""}
        for values, says in (
            ({**form, "runs": []}, "no run is chosen"),
            ({**form, "runs": ["x"]}, "not there"),
            ({**form, "runs": ids, "fakes": "four"}, "fakes: 'four' is not a whole number"),
            ({**form, "runs": ids, "fakes": "4"}, "judges 5 to 250 images"),
            ({**form, "runs": ids, "exposure": "9"}, "250 or 500 ms"),
        ):
            answer = client.post("/judge/start", json=values)
            assert answer.status_code == 400 and says in answer.json()["error"], values
        assert client.post("/judge/start", json={**form, "runs": ids}).json() == {"code": "CLASS-7"}
        assert client.post("/judge/start", json={**form, "runs": ids[:1]}).json() == {"code": "CLASS-7-2"}
        now = client.post("/rate/CLASS-7/join", json={}).json()
        content = client.get(f"/rate/CLASS-7/image/{now['id']}").content
        assert Image.open(io.BytesIO(content)).size == (28, 28)
        assert client.post("/judge/of/CLASS-7/publish", json={}).status_code == 400  # nobody has judged
        with app.state.tests.test("CLASS-7")._open() as db:
            truth = dict(db.execute("SELECT id, source FROM trials").fetchall())
        for i in range(40):
            if "finished" in now:
                break
            real = truth[now["id"]] == 2
            said = "real" if real != (truth[now["id"]] != 3 and i % 3 == 0) else "fake"
            now = client.post("/rate/CLASS-7/answer", json={"id": now["id"], "answer": said, "seconds": 1}).json()
        assert client.post("/judge/of/CLASS-7/publish", json={}).json()["said"].endswith("of 2 runs")
    app.state.tests.close()
    for model in ("vae", "gan"):
        (stored,) = (tmp_path / model / "scores").glob("human-hype-inf-*.json")
        assert list(json.loads(stored.read_text())["metrics"]) == ["human[hype-inf]"]


def test_codes(tmp_path: Path) -> None:
    found = HumanTests(tmp_path)
    assert found.codes() == []
    code, path = found.new()
    assert len(code) == LONG and set(code) <= set(LETTERS) and path == tmp_path / f"{code}.sqlite"
    for wrong in ("abc", "a b c", "ä" * 5, "../../x", "x" * 33):
        assert not CODE.fullmatch(wrong)
        with pytest.raises(InputError, match="it must be 4 to 32 letters, digits and hyphens"):
            HumanTests(tmp_path, wrong)


def test_a_test_whose_file_is_deleted_or_damaged(client: TestClient, home: Path) -> None:
    take(client, most=2)
    folder = home / ".app" / "tests"
    (folder / "BROKEN.sqlite").write_bytes(b"x" * 5000)
    page = client.get("/judge").text
    assert "cannot be read as a human test" in page and "ABCDEF" in page
    (folder / "ABCDEF.sqlite").unlink()
    for path in ("/rate/ABCDEF", "/rate/ABCDEF/now", "/judge/of/ABCDEF", "/judge/of/ABCDEF/results"):
        answer = client.get(path)
        assert answer.status_code == 404 and "no test with this code" in answer.text


def test_timed_mode_says_its_time(tmp_path: Path) -> None:
    made(tmp_path / ".app" / "tests" / "TIMED.sqlite", exposure=250).close()
    app = application(Shelf([tmp_path]))
    with TestClient(app, BASE, headers=POST) as client:
        page = client.get("/rate/TIMED").text
        assert 'data-exposure="250"' in page and "0.25 seconds" in page
        now = client.post("/rate/TIMED/join", json={}).json()
        client.post("/rate/TIMED/answer", json={"id": now["id"], "answer": "real", "seconds": 1, "shown_ms": 249.7})
        (line,) = parsed(client.get("/judge/of/TIMED/judgements.jsonl").content.splitlines())
    app.state.tests.close()
    assert line.shown_ms == 249.7


def test_how_many_raters(client: TestClient) -> None:
    page = client.get("/judge/how-many").text
    assert "40 %" in page and page.count("<table>") == 3


@pytest.fixture
def command_line(home: Path) -> Iterator[list[str]]:
    yield [sys.executable, "-m", "counterfeit", "judge", str(home), "--port", "0"]


def served(words: list[str]) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own, and its address."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    where = process.stdout.readline().strip()
    assert where.startswith("http://127.0.0.1:") and where.endswith("/judge")
    return process, where.removesuffix("/judge")


def asked(base: str, path: str, cookie: str, posted: dict[str, Any] | None = None) -> tuple[dict[str, Any], str]:
    """A request to a real server: the JSON of the answer, and the cookie it sets."""
    headers = {"Origin": base, "Cookie": cookie}
    body = None if posted is None else json.dumps(posted).encode()
    with urllib.request.urlopen(urllib.request.Request(base + path, body, headers), timeout=60) as answer:
        return json.loads(answer.read()), (answer.headers["set-cookie"] or "").partition(";")[0]


def test_a_killed_server_loses_no_answer(command_line: list[str]) -> None:
    """SIGKILL between answers: every one that was acknowledged is there, and the rater goes on."""
    answers, cookie = 0, ""
    for most in (9, 100):
        process, base = served(command_line)
        with process:
            try:
                now, given = asked(base, "/rate/ABCDEF/join", cookie, {})
                cookie = cookie or given
                assert now["done"] == answers
                while "finished" not in now and now["done"] < most:
                    posted = {"id": now["id"], "answer": ("real", "fake")[answers % 2], "seconds": 0.5}
                    now, _ = asked(base, "/rate/ABCDEF/answer", cookie, posted)
                    answers += 1
            finally:
                os.kill(process.pid, signal.SIGKILL)
    assert answers == 28
    with Store(Path(command_line[4]) / ".app" / "tests" / "ABCDEF.sqlite") as test:
        found = test.judgements()
    assert [one.answer for one in found] == [("real", "fake")[i % 2] for i in range(28)]


def test_the_end_of_the_server_leaves_one_file(command_line: list[str]) -> None:
    process, base = served(command_line)
    with process:
        now, cookie = asked(base, "/rate/ABCDEF/join", "", {})
        asked(base, "/rate/ABCDEF/answer", cookie, {"id": now["id"], "answer": "real", "seconds": 0.5})
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    folder = Path(command_line[4]) / ".app" / "tests"
    assert [path.name for path in folder.iterdir()] == ["ABCDEF.sqlite"]


def test_what_the_page_of_a_rater_says_of_trouble_is_seen(client: TestClient) -> None:
    """Also before the first image: its place is in no section, of which all but one are hidden."""
    page = client.get("/rate/ABCDEF").text
    before = page[: page.index('id="trouble"')]
    assert before.count("<section") == before.count("</section>") == 2


def test_a_code_that_is_none_is_said_before_anything_starts(home: Path, command) -> None:
    done = command("judge", home, "--port", 0, "--code", "x y")
    assert (done.code, done.out) == (2, "")
    assert done.err == "counterfeit: --code is 'x y'; it must be 4 to 32 letters, digits and hyphens\n"
