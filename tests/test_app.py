"""The app: its pages, what it refuses, and what it leaves alone."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.routing import Route
from starlette.testclient import TestClient

from counterfeit.app.address import address as where_of
from counterfeit.app.address import own_address
from counterfeit.app.connections import Bounded
from counterfeit.app.guard import BURST, COOKIE, MOST_BODY
from counterfeit.app.server import ROOMS, application
from counterfeit.app.shelf import Shelf
from counterfeit.app.start import bound

BASE = "http://127.0.0.1:8321"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(application(Shelf([tmp_path])), BASE) as client:
        yield client


def test_the_core_does_not_load_what_the_app_needs() -> None:
    code = (
        "import sys, counterfeit as cf, counterfeit.cli.dispatch, counterfeit.api.train, counterfeit.api.report\n"
        "cf.train; print(*[name for name in sys.modules if name.split('.')[0] in ('starlette', 'uvicorn', 'anyio')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_without_the_extra_one_line_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        "from counterfeit.cli.dispatch import main; main(['app', '--port', '0'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "counterfeit: the app needs starlette, which is missing: pip install 'counterfeit[app]'\n"


@pytest.mark.parametrize(
    "words,said",
    [
        (["--port", "-1"], "--port is -1; it must be 0 to 65535"),
        (["--port", "65536"], "--port is 65536; it must be 0 to 65535"),
        (["--port", "x"], "--port"),
        (["notes.txt"], "notes.txt is not a folder: pass folders of runs"),
        (["--host", "nowhere.invalid"], "pass another --port or --host"),
        (["--host", "a" * 300], "pass another --port or --host"),
    ],
)
def test_what_cannot_be_served_is_said(
    words: list[str], said: str, command: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    outcome = command("app", *words)
    assert outcome.code == 2 and said in outcome.err and outcome.err.count("\n") == 1


def test_a_port_that_is_taken_is_said(command: Callable[..., Any]) -> None:
    with bound("127.0.0.1", 0) as taken:
        outcome = command("app", "--port", taken.getsockname()[1])
    assert outcome.code == 2 and "pass another --port or --host" in outcome.err


def test_a_page_has_the_navigation_and_allows_nothing_of_others(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert 'aria-current="page">Runs' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/style.css", "/static/app.css", "/static/post.js"):
        assert client.get(path).status_code == 200, path


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/x"])
def test_no_path_leads_out(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


@pytest.mark.parametrize(
    "host,code",
    [
        ("127.0.0.1:8321", 200),
        ("localhost:8321", 200),
        ("[::1]:8321", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8321", 421),
        ("192.168.1.2:8321", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_only_names_of_this_machine_are_answered(client: TestClient, host: str, code: int) -> None:
    assert client.get("/", headers={"host": host}).status_code == code


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:8322", "http://localhost:8321"]
)
def test_other_sites_cannot_post(client: TestClient, origin: str | None) -> None:
    answer = client.post("/", headers={} if origin is None else {"origin": origin})
    assert answer.status_code == 403
    assert client.post("/", headers={"origin": BASE}).status_code == 405  # it goes through, and there is no such change


def test_a_route_shows_or_changes_and_never_both() -> None:
    for room in ROOMS:
        for route in room.routes:
            assert isinstance(route, Route)
            assert route.methods in ({"GET", "HEAD"}, {"POST"}), route.path


def test_a_body_is_bounded(client: TestClient) -> None:
    origin = {"origin": BASE}
    assert client.post("/", content=b"x" * (MOST_BODY + 1), headers=origin).status_code == 413
    assert client.post("/", headers={**origin, "content-length": "-1"}).status_code == 413


def test_requests_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfeit.app.guard.RATE", 0.0)
    with TestClient(application(Shelf([tmp_path])), BASE) as client:
        codes = [client.get("/static/post.js").status_code for _ in range(int(BURST) + 5)]
    assert codes == [200] * int(BURST) + [429] * 5


def test_the_printed_address_is_one_that_phones_know(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {socket.AF_INET: "192.168.1.7", socket.AF_INET6: "2001:db8::7"}
    monkeypatch.setattr("counterfeit.app.address.own_address", lambda families: own[families[0]])
    with bound("0.0.0.0", 0) as listening:
        port = listening.getsockname()[1]
        assert where_of(listening, "0.0.0.0") == f"http://192.168.1.7:{port}"
        assert where_of(listening, "lab.example") == f"http://lab.example:{port}"  # as its owner calls it
        assert where_of(listening, "::1") == f"http://[::1]:{port}"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_all_addresses_of_ipv6_are_those_of_ipv4_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfeit.app.address.own_address", lambda families: f"{families[0]}")
    with bound("::", 0) as listening:
        port = listening.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), 10).close()
        assert where_of(listening, "::") == f"http://{socket.AF_INET.value}:{port}"
    with socket.create_server(("::", 0), family=socket.AF_INET6) as only:
        assert where_of(only, "::").startswith(f"http://{socket.AF_INET6.value}:")


def test_the_own_address_is_one_of_the_family() -> None:
    assert ipaddress.ip_address(own_address((socket.AF_INET,))).version == 4
    assert ipaddress.ip_address(own_address((socket.AF_INET6,))).version == 6


def test_an_address_that_others_reach_needs_the_token(tmp_path: Path) -> None:
    base = "http://192.168.1.2:8321"
    with TestClient(application(Shelf([tmp_path]), "0.0.0.0", "secret"), base, follow_redirects=False) as client:
        assert client.get("/").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        assert client.get("/static/app.css").status_code == 200
        assert client.get("/?token=secret", headers={"host": "evil.example"}).status_code == 421
        answer = client.get(f"{base}//evil.example/?token=secret&x=1")
        assert answer.status_code == 303 and answer.headers["location"] == "/evil.example/?x=1"
        assert "httponly" in answer.headers["set-cookie"].lower()
        assert client.cookies[COOKIE] == "secret"
        assert client.get("/").status_code == 200


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server in a thread, whose connections are few and of little patience."""
    monkeypatch.setattr("counterfeit.app.connections.MOST", 20)
    monkeypatch.setattr("counterfeit.app.connections.PATIENCE", 1.0)
    monkeypatch.setattr("counterfeit.app.guard.BODY_SECONDS", 1.0)
    config = uvicorn.Config(application(Shelf([tmp_path])), http=Bounded, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    with bound("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join()


def connected(address: tuple[str, int], text: bytes = b"") -> socket.socket:
    one = socket.create_connection(address, timeout=20)
    one.sendall(text)
    return one


def answer(one: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    found = b""
    with one, contextlib.suppress(ConnectionResetError):
        while part := one.recv(65536):
            found += part
    return found


def test_connections_that_ask_nothing_are_closed_and_block_nobody_for_long(address: tuple[str, int]) -> None:
    idle = [connected(address) for _ in range(60)]
    assert [answer(one) for one in idle] == [b""] * 60
    asking = connected(address, b"GET /static/post.js HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert answer(asking).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("begun", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
def test_a_request_that_comes_slowly_is_cut(address: tuple[str, int], begun: bytes) -> None:
    one = connected(address, begun)
    with one, pytest.raises(OSError):
        for _ in range(60):
            one.sendall(b"x")
            time.sleep(0.1)


def test_a_body_that_comes_slowly_is_cut(address: tuple[str, int]) -> None:
    host = f"127.0.0.1:{address[1]}"
    head = f"POST /start HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Length: 100\r\n\r\n{{"
    assert answer(connected(address, head.encode())).startswith(b"HTTP/1.1 408 ")


def test_a_body_without_a_length_is_bounded_too(address: tuple[str, int]) -> None:
    host = f"127.0.0.1:{address[1]}"
    head = f"POST /start HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    assert answer(connected(address, head.encode() + chunk * 5)).startswith(b"HTTP/1.1 413 ")


def test_a_shelf_shows_what_lies_in_its_folders_only(tmp_path: Path) -> None:
    inside, outside = tmp_path / "runs", tmp_path / "other"
    for path in (inside / "a", inside / "grid" / "b", inside / ".app" / "c", outside / "d"):
        path.mkdir(parents=True)
        (path / "run.json").write_text("{}")
    (inside / "link").symlink_to(outside / "d")
    (inside / "grid" / "link").symlink_to(outside)
    shelf = Shelf([inside])
    assert [run.folder.path.name for run in shelf.runs()] == ["a", "b"]
    assert len({run.id for run in shelf.runs()}) == 2
    assert [run.id for run in Shelf([inside]).runs()] == [run.id for run in shelf.runs()]
    assert shelf.folder(shelf.runs()[1].id).path == inside / "grid" / "b"


def test_answers_are_sent_at_once() -> None:
    """A small answer in two parts would wait for the other side's acknowledgement, 40 ms."""
    with bound("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
