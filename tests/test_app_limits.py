"""What one address may do to the app: ask, join, guess, listen and hold connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
import uvicorn
from starlette.requests import Request
from starlette.testclient import TestClient

from counterfeit.app import connections, watch
from counterfeit.app.connections import Bounded
from counterfeit.app.limits import MOST_ADDRESSES, Rate, network
from counterfeit.app.people import GUESSES, JOINS
from counterfeit.app.server import application
from counterfeit.app.shelf import Shelf, Shelved
from counterfeit.app.start import bound
from counterfeit.human.design import Design
from counterfeit.runs import RunFolder
from human_cases import drawn_test

BASE = "http://127.0.0.1:8321"


def test_a_bucket_is_emptied_at_once_and_filled_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("counterfeit.app.limits.time", SimpleNamespace(monotonic=lambda: now))
    rate = Rate(0.5, 3)
    assert [rate.take("a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert rate.is_empty("a") and not rate.is_empty("b") and rate.take("b")
    now = 2.0  # half of one a second
    assert not rate.is_empty("a") and rate.take("a") and not rate.take("a")
    now = 1e9
    assert [rate.take("a") for _ in range(4)] == [True] * 3 + [False]


def test_addresses_are_forgotten_before_they_are_too_many() -> None:
    rate = Rate(0, 1)
    for number in range(3 * MOST_ADDRESSES):
        rate.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(rate._buckets) <= MOST_ADDRESSES


@pytest.mark.parametrize(
    "address,of",
    [
        ("192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_ipv6_network_counts_as_one(address: str, of: str) -> None:
    assert network(address) == of


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    drawn_test(tmp_path / ".app" / "tests" / "CLASS.sqlite", Design(models=2, fakes=10, raters=2)).close()
    app = application(Shelf([tmp_path]))
    with TestClient(app, BASE, headers={"origin": BASE}) as client:
        yield client
    app.state.tests.close()


def test_one_address_joins_so_often_only(client: TestClient) -> None:
    most = int(JOINS[1])
    rate = client.app.state.tests.joins  # type: ignore[attr-defined]
    for _ in range(most - 2):
        assert rate.take("testclient")
    codes = []
    for _ in range(4):
        client.cookies.clear()
        codes.append(client.post("/rate/CLASS/join", json={}))
    assert [one.status_code for one in codes] == [200, 200, 429, 429]
    assert "tries again" in codes[2].json()["error"] and codes[2].headers["retry-after"] == "5"
    assert len(client.app.state.tests.test("CLASS").progress()) == 2  # type: ignore[attr-defined]


def test_who_guesses_codes_gets_none_and_a_rater_goes_on(client: TestClient) -> None:
    assert client.post("/rate/CLASS/join", json={}).status_code == 200
    own = {"cookie": f"rater={client.cookies['rater']}"}
    client.cookies.clear()
    codes = Counter(client.get(f"/rate/WRONG-{n}").status_code for n in range(int(GUESSES[1]) + 5))
    assert codes == {404: int(GUESSES[1]), 429: 5}
    assert client.get("/rate/CLASS").status_code == 429  # being right is not told either
    assert client.get("/rate/CLASS", headers={"cookie": "rater=guessed"}).status_code == 429
    assert client.get("/rate/CLASS/now", headers=own).status_code == 200


def test_streams_are_bounded_though_many_ask_at_the_same_moment(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_OF_ONE", 3)
    monkeypatch.setattr(watch, "MOST_STREAMS", 5)
    monkeypatch.setattr(watch, "parts", lambda request, run: {"state": "x"})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    run = Shelved.of(RunFolder(tmp_path / "run"))

    def asked(address: str) -> Request:
        scope = {"type": "http", "app": client.app, "path": "/", "method": "GET", "headers": []}
        return Request({**scope, "client": (address, 1)})

    async def begun() -> list[str]:
        streams = [watch.news(asked(address), run) for address in ["a"] * 5 + ["b"] * 5]
        found = [await anext(stream) for stream in streams]
        for stream in streams:
            await stream.aclose()
        return found

    event, late = "event: state\ndata: x\n\n", "retry: 5000\n\n"
    assert anyio.run(begun) == [event] * 3 + [late] * 2 + [event] * 2 + [late] * 3
    assert not watch._streams


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server in a thread, which one address may have five connections to, and whose clients have to read on."""
    monkeypatch.setattr(connections, "MOST_OF_ONE", 5)
    monkeypatch.setattr(connections, "STALLED", 1.0)
    (tmp_path / "run" / "samples").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    with (tmp_path / "run" / "samples" / "epoch-0001.png").open("wb") as file:
        file.truncate(64 << 20)
    server = uvicorn.Server(
        uvicorn.Config(application(Shelf([tmp_path])), http=Bounded, ws="none", log_level="error", lifespan="off")
    )
    with bound("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join()


def asking(address: tuple[str, int], path: str, source: str, head: str = "") -> socket.socket:
    one = socket.create_connection(address, 20, source_address=(source, 0))
    one.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
    return one


def test_one_address_cannot_take_all_connections(address: tuple[str, int]) -> None:
    held = [asking(address, "/static/post.js", "127.0.0.1") for _ in range(9)]
    time.sleep(0.2)
    answered = []
    for one in held:
        with contextlib.suppress(ConnectionError):
            answered.append(one.recv(1000)[:15])
    assert answered.count(b"HTTP/1.1 200 OK") == 5
    with asking(address, "/static/post.js", "127.0.0.2") as other:
        assert other.recv(1000).startswith(b"HTTP/1.1 200 OK")
    for one in held:
        one.close()


def test_a_client_that_does_not_read_is_cut(address: tuple[str, int], tmp_path: Path) -> None:
    run = Shelved.of(RunFolder(tmp_path / "run"))
    with asking(address, f"/runs/{run.id}/samples/1.png", "127.0.0.1") as one:
        time.sleep(2.0)
        read = 0
        with contextlib.suppress(ConnectionError):
            while part := one.recv(1 << 20):
                read += len(part)
        assert 0 < read < 64 << 20


def test_a_web_socket_is_a_request_like_any_other(address: tuple[str, int]) -> None:
    head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
    with asking(address, "/nowhere", "127.0.0.1", head) as one:
        assert one.recv(1000).startswith(b"HTTP/1.1 404 ")
