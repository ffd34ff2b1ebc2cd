"""Downloads against a real server on this machine: whole, resumed, cut, ignored ranges, wrong content."""

import hashlib
import random
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from counterfeit.data.download import download
from counterfeit.errors import DataError

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; the switches are how it may misbehave. `ranges` records each request's Range header."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.content = CONTENT
        self.cut_after = [len(CONTENT)] * 9  # bytes sent before the connection is closed, by request
        self.honors_ranges = True
        self.says_length = True
        self.status = 200
        self.encoding: str | None = None
        self.url = f"http://127.0.0.1:{self.server_port}/weights.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, asked = self.server, self.headers["Range"]
        server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.honors_ranges else 0
        size = len(server.content)
        if server.status != 200:
            self.send_error(server.status)
            return
        if start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if server.says_length:
            self.send_header("Content-Length", str(size - start))
        if server.encoding:
            self.send_header("Content-Encoding", server.encoding)
        self.end_headers()
        self.wfile.write(server.content[start:][: server.cut_after[len(server.ranges) - 1]])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "cache" / "weights.bin"


def part(path: Path) -> Path:
    return path.with_name("weights.bin.part")


def test_whole_file(server, path):
    download(server.url, path, size=len(CONTENT), sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["weights.bin"]
    assert server.ranges == [None]


def test_cut_connection_is_taken_up_again_at_once(server, path):
    server.cut_after[:3] = [1_000_000, 700_000, 1]
    download(server.url, path, size=len(CONTENT), sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-", "bytes=1700000-", "bytes=1700001-"]


def test_what_arrived_is_kept_for_the_next_call(server, path):
    server.cut_after[:2] = [1_000_000, 0]
    with pytest.raises(DataError, match="cut the connection after 1,000,000 bytes"):
        download(server.url, path, sha256=SHA256)
    assert not path.exists()
    assert part(path).read_bytes() == CONTENT[:1_000_000]
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=1000000-"


def test_gives_up_after_a_few_cuts(server, path):
    server.cut_after = [10] * 9
    with pytest.raises(DataError, match="cut the connection after 50 bytes"):
        download(server.url, path)
    assert len(server.ranges) == 5


def test_server_that_ignores_ranges(server, path):
    server.honors_ranges = False
    path.parent.mkdir()
    part(path).write_bytes(CONTENT[:500_000])
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=500000-"]


def test_part_that_is_complete_already(server, path):
    path.parent.mkdir()
    part(path).write_bytes(CONTENT)
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"x" * 500_000, CONTENT + b"more"])
def test_part_of_another_file_is_fetched_afresh(server, path, left):
    path.parent.mkdir()
    part(path).write_bytes(left)
    download(server.url, path, size=len(CONTENT), sha256=SHA256)
    assert path.read_bytes() == CONTENT


def test_wrong_content_after_cuts_is_named_as_such(server, path):
    server.cut_after[:4] = [10, 10, 10, 10]
    with pytest.raises(DataError, match="has SHA-256"):
        download(server.url, path, sha256="0" * 64)
    assert list(path.parent.iterdir()) == []


def test_without_a_length(server, path):
    server.says_length = False
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


def test_content_encoding_is_left_alone(server, path):
    server.encoding = "gzip"  # as some servers label a .gz file
    download(server.url, path, sha256=SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("expected", "message"),
    [({"size": 5}, "has 3,000,000 bytes, expected 5"), ({"sha256": "0" * 64}, f"{SHA256}, expected 0000")],
)
def test_wrong_content_is_refused_and_not_kept(server, path, expected, message):
    with pytest.raises(DataError, match=message):
        download(server.url, path, **expected)
    assert list(path.parent.iterdir()) == []
    assert len(server.ranges) == 1


def test_an_older_file_stays_until_the_new_one_is_complete(server, path):
    path.parent.mkdir()
    path.write_bytes(b"old")
    server.status = 503
    with pytest.raises(DataError, match="responded 503"):
        download(server.url, path)
    assert path.read_bytes() == b"old"
    server.status = 200
    download(server.url, path)
    assert path.read_bytes() == CONTENT


def raises_one_line(call: Callable[[], None], *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_errors_name_the_host(server, path):
    server.status = 404
    raises_one_line(lambda: download(server.url, path), f"127.0.0.1:{server.server_port}", "404 Not Found")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but it does not listen
        port = unused.getsockname()[1]
        raises_one_line(lambda: download(f"http://127.0.0.1:{port}/x", path), f"127.0.0.1:{port} cannot be reached")
    raises_one_line(lambda: download("https://no.such.host.invalid/x", path), "no.such.host.invalid cannot be reached")
    raises_one_line(lambda: download(f"https://127.0.0.1:{server.server_port}/x", path), "127.0.0.1")  # no TLS there
