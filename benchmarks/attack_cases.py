"""The attacks of benchmarks/attacks.py: what each tries, and what it may get."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from PIL import Image

from counterfeit.app.server import ROOMS

PATIENCE = 90.0  # seconds for an answer
Got = Counter[str]


@dataclass(frozen=True)
class Target:
    """A server, and what an attacker may know of it."""

    SECRET: ClassVar[str] = "the secret outside"
    port: int
    token: str
    run: str
    code: str

    def get(self, path: str, head: str = "", host: str | None = None, cookie: bool = True) -> bytes:
        """A request in bytes, by somebody who knows the token."""
        return self._head("GET", path, head, host, cookie)

    def post(self, path: str, body: bytes, origin: str | None = "own", head: str = "") -> bytes:
        named = f"http://127.0.0.1:{self.port}" if origin == "own" else origin
        head += f"Origin: {named}\r\n" if named is not None else ""
        if "Content-Length" not in head and "Transfer-Encoding" not in head:
            head += f"Content-Length: {len(body)}\r\n"
        return self._head("POST", path, head, None, True) + body

    def picture(self, content: bytes) -> bytes:
        """A picture to encode, in a request."""
        text = base64.b64encode(content).decode()
        return self.post("/explore/encode", json.dumps({"run": self.run, "picture": text}).encode())

    def _head(self, method: str, path: str, head: str, host: str | None, cookie: bool) -> bytes:
        host = f"127.0.0.1:{self.port}" if host is None else host
        known = f"Cookie: counterfeit={self.token}\r\n" if cookie else ""
        return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{known}{head}\r\n".encode("latin-1")


@dataclass(frozen=True)
class Attack:
    """A kind of attack.

    Attributes:
        name: in the table.
        tries: what is tried; how often it got what.
        allowed: beginnings of what it may get.
        most: how often it may get something.
    """

    name: str
    tries: Callable[[Target], Awaitable[Got]]
    allowed: tuple[str, ...]
    most: dict[str, int] = field(default_factory=dict)

    def holds(self, got: Got) -> bool:
        """Whether it got nothing that it must not get."""
        return all(what.startswith(self.allowed) and n <= self.most.get(what, n) for what, n in got.items())


async def ask(
    target: Target, raw: bytes, source: str, rest: Iterable[bytes] = (), pause: float = 0.0, reads: bool = True
) -> str:
    """A status in words, of a request whose `rest` comes after it piece by piece."""
    begun = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port, local_addr=(source, 0))
    except OSError:
        return "closed at once"
    try:
        answer = asyncio.create_task(reader.read(4096 if reads else 1))
        with contextlib.suppress(OSError):
            writer.write(raw)
            await writer.drain()
            for piece in rest:
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), 5)
                await asyncio.sleep(pause)
                if answer.done():
                    break
        if not reads:  # it stays until the other side has had enough
            await asyncio.sleep(90)
            size = 0
            with contextlib.suppress(OSError):
                while part := await asyncio.wait_for(reader.read(1 << 20), 30):
                    size += len(part)
            return "cut" if size < (64 << 20) - 4096 else "all of it"
        found = await asyncio.wait_for(answer, PATIENCE)
        if not found:
            return closed(begun)
        more = await asyncio.wait_for(reader.read(1 << 16), PATIENCE) if b"text/event-stream" not in found else b""
        if Target.SECRET.encode() in found + more or b"root:" in found + more:
            return "the secret"
        return found[9:12].decode("latin-1")
    except (OSError, asyncio.TimeoutError):
        return closed(begun)
    finally:
        with contextlib.suppress(OSError):
            writer.transport.abort()


def closed(begun: float) -> str:
    seconds = time.perf_counter() - begun
    return "closed at once" if seconds < 5 else f"closed after {5 * round(seconds / 5)} s"


async def each(target: Target, raws: Iterable[bytes], source: str, at_once: int = 20) -> Got:
    """What single requests get, some of them at a time."""
    room = asyncio.Semaphore(at_once)

    async def one(raw: bytes) -> str:
        async with room:
            return await ask(target, raw, source)

    return Counter(await asyncio.gather(*(one(raw) for raw in raws)))


async def traversal(target: Target) -> Got:
    static = ("../guard.py", "%2e%2e/guard.py", "..%2fguard.py", "%252e%252e/guard.py", "....//guard.py", "/etc/passwd")
    static += (
        "%00",
        "..\\guard.py",
        "%c0%ae%c0%ae/guard.py",
        "../../../../../../../etc/passwd",
        "app.css/../../guard.py",
    )
    of_run = ("samples/../run.json", "samples/..%2frun.json", "samples/9.png", "samples/-1.png", "../run.json")
    paths = [f"/static/{one}" for one in static] + [f"/runs/{target.run}/{one}" for one in of_run]
    paths += [f"/{room}/{way}" for room in ("runs", "explore", "rate", "judge/of") for way in WAYS]
    return await each(target, [target.get(path) for path in paths], "127.2.0.1")


WAYS = (
    "..",
    "../..",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%2f..%2foutside",
    "link",
    "/etc/passwd",
    "outside-0123456789",
)


async def foreign_posts(target: Target) -> Got:
    origins = (None, "null", "http://evil.example", "https://evil.example", "http://127.0.0.1:1", "file://")
    origins += (f"http://localhost:{target.port}", f"http://127.0.0.1:{target.port}.evil.example")
    paths = [route.path for room in ROOMS for route in room.routes if "POST" in route.methods]  # type: ignore[attr-defined]
    paths = [path.replace("{code}", target.code).replace("{id}", target.run) for path in paths]
    simple = "Content-Type: text/plain\r\n"  # which a form of another site may send without asking
    return await each(target, [target.post(p, b"{}", o, simple) for p in paths for o in origins], "127.2.0.2")


async def other_hosts(target: Target) -> Got:
    hosts = ("evil.example", f"evil.example:{target.port}", "127.0.0.1.evil.example", "localhost.evil.example", "")
    hosts += (
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "[::1",
        "xn--127",
        "0x7f000001",
        "127.1",
        "localhost.",
    )
    raws = [target.get("/", host=host) for host in hosts]
    raws += [target.get("/", head="Host: evil.example\r\n"), target.get("http://evil.example/", host="evil.example")]
    return await each(target, raws, "127.2.0.3")


async def tokens(target: Target) -> Got:
    raws = [target.get(f"/?token={n:022x}", cookie=False) for n in range(500)]
    raws += [target.get("/", f"Cookie: counterfeit={target.token[:-1]}{n}\r\n", cookie=False) for n in range(10)]
    return await each(target, raws, "127.2.0.4")


async def codes(target: Target) -> Got:
    guesses = [f"/rate/{n:06X}" for n in range(400)] + [f"/rate/{target.code}"]  # the right one comes last
    return await each(target, [target.get(path, cookie=False) for path in guesses], "127.2.0.5", 1)


async def large_bodies(target: Target) -> Got:
    declared = [target.post(p, b"", head="Content-Length: 1000000000000\r\n") for p in ("/start", "/explore/encode")]
    head = target.post("/start", b"", head="Transfer-Encoding: chunked\r\n")
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    streamed = [ask(target, head, "127.2.0.6", (chunk for _ in range(200))) for _ in range(20)]
    return await each(target, declared * 10, "127.2.0.6") + Counter(await asyncio.gather(*streamed))


async def large_fields(target: Target) -> Got:
    fields = [
        {"model": "vae", "data": "mnist", name: "9" * 60_000} for name in ("name", "seed", "epochs", "lr", "data")
    ]
    fields += [{"model": "vae", "data": "mnist", **{f"f{n}": "x" for n in range(5000)}}, {"model": "x" * 60_000}]
    points = [[0.0] * 100_000, [1e300] * 15, [float("nan")] * 15, ["x"] * 15, [0.0] * 14]
    raws = [target.post("/start", json.dumps(one).encode()) for one in fields]
    raws += [target.post("/explore/point", json.dumps(_at(target, z)).encode()) for z in points]
    return await each(target, [*raws, *map(target.picture, bombs())], "127.2.0.7")


def _at(target: Target, z: list[object]) -> dict[str, object]:
    return {"run": target.run, "center": {"is": "code", "z": z}}


def bombs() -> list[bytes]:
    """Pictures that are small as files: 900 million pixels, and none at all."""
    buffer = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(buffer, "PNG")
    return [buffer.getvalue(), b"", bytes(1000), b"GIF89a" + bytes(100), b"\x89PNG\r\n\x1a\n" + bytes(50)]


async def malformed(target: Target) -> Got:
    bodies = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"\xff\xfe",
        b'{"a":' * 20_000,
        b"[" * 60_000,
        b'{"run": ' + b"9" * 5000,
    ]
    bodies += [
        b'{"run": NaN}',
        b'{"run": 1e999}',
        b'{"run": {"run": []}}',
        b'{"run": "\\ud800"}',
        b"{}",
        b'{"run": null}',
    ]
    paths = ("/stop", "/resume", "/score", "/lesson/step", "/explore/point", "/explore/morph", "/judge/start")
    paths += (f"/rate/{target.code}/answer", "/compare/score")
    return await each(target, [target.post(path, body) for path in paths for body in bodies], "127.2.0.8")


async def no_http(target: Target) -> Got:
    whole = target.get("/")
    raws = [b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 100, b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1000]
    raws += [
        target.post("/stop", b"{}", head=f"Content-Length: {n}\r\n") for n in ("-1", "1e3", "2\r\nContent-Length: 3")
    ]
    both = "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"
    raws += [target.post("/stop", b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n", head=both), whole.replace(b"GET", b"G\x00T")]
    return await each(target, raws, "127.2.0.9")


async def large_heads(target: Target) -> Got:
    whole, large = target.get("/"), b"x" * (2 << 20)
    raws = [whole[:-2] + b"X: " + large + b"\r\n\r\n", whole.replace(b"GET / ", b"GET /" + large + b" ")]
    return await each(target, raws * 10, "127.2.1.0")


async def slow_heads(target: Target) -> Got:
    tries = (ask(target, target.get("/")[:-2] + b"X: ", "127.2.1.1", (b"x" for _ in range(60)), 1) for _ in range(200))
    return Counter(await asyncio.gather(*tries))


async def slow_bodies(target: Target) -> Got:
    raw = target.post("/start", b"", head="Content-Length: 1000\r\n")
    return Counter(
        await asyncio.gather(*(ask(target, raw, "127.2.1.2", (b"x" for _ in range(60)), 1) for _ in range(200)))
    )


async def slow_readers(target: Target) -> Got:
    raw = target.get(f"/runs/{target.run}/samples/8.png")
    return Counter(await asyncio.gather(*(ask(target, raw, "127.2.1.3", reads=False) for _ in range(50))))


async def connections(target: Target) -> Got:
    return Counter(await asyncio.gather(*(ask(target, b"", "127.2.1.4") for _ in range(1000))))


async def connections_of_ten(target: Target) -> Got:
    return Counter(await asyncio.gather(*(ask(target, b"", f"127.2.2.{n % 10}") for n in range(1000))))


async def listeners(target: Target) -> Got:
    """Pages of a run that stay open: those that hear of it, and those that are told to come later."""
    raw, ears = target.get(f"/runs/{target.run}/events"), []

    async def listen(source: str) -> str:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port, local_addr=(source, 0))
            ears.append(writer)
            writer.write(raw)
            found = b""
            while part := await asyncio.wait_for(reader.read(4096), 20):
                found += part
                if b"event: state" in found:
                    return "200, hears"
        except (OSError, asyncio.TimeoutError):
            return "closed at once"
        return "200, to come later" if b"retry: " in found else found[9:12].decode("latin-1")

    got = Counter(await asyncio.gather(*(listen(f"127.2.3.{n % 4}") for n in range(300))))
    for writer in ears:
        writer.transport.abort()
    await asyncio.sleep(2)
    return got


async def joins(target: Target) -> Got:
    raw = target.post(f"/rate/{target.code}/join", b"{}")
    return await each(target, [raw] * 1000, "127.2.4.1")


async def flood(target: Target) -> Got:
    return await each(target, [target.get("/static/post.js")] * 3000, "127.2.4.2", 50)


async def heavy(target: Target) -> Got:
    """Planes of 121 images each, for 200 pages that have a name of their own."""
    axes = [{"is": "axis", "kind": "random", "axis": axis} for axis in (0, 1)]
    asked = {"run": target.run, "steps": 11, "across": axes[0], "down": axes[1]}
    bodies = [json.dumps({**asked, "client": str(n)}).encode() for n in range(200)]
    return await each(target, [target.post("/explore/plane", body) for body in bodies], "127.2.4.3", 200)


CLOSED = ("closed",)
ATTACKS = (
    Attack("paths that lead out of the runs", traversal, ("404", "400")),
    Attack("posts of other sites", foreign_posts, ("403",)),
    Attack("other names in Host (DNS rebinding)", other_hosts, ("421", "400")),
    Attack("guessed tokens", tokens, ("401", "429")),
    Attack("guessed codes of a test", codes, ("404", "429"), {"404": 21}),
    Attack("bodies of 200 MB and more", large_bodies, ("413", "429", *CLOSED)),
    Attack("huge fields, pictures of 900 million pixels", large_fields, ("200", "204", "400", "413")),
    Attack("malformed JSON", malformed, ("400", "404", "413")),
    Attack("what is not HTTP, or two requests in one", no_http, ("400", "403", "421", *CLOSED)),
    Attack("heads of 2 MB", large_heads, ("400", *CLOSED)),
    Attack("200 heads, a byte a second", slow_heads, CLOSED),
    Attack("200 bodies, a byte a second", slow_bodies, ("408", *CLOSED)),
    Attack("50 answers of 64 MB that nobody reads", slow_readers, ("cut",)),
    Attack("1,000 connections of one address", connections, CLOSED),
    Attack("1,000 connections of ten addresses", connections_of_ten, CLOSED),
    Attack("300 pages that listen, of four addresses", listeners, ("200", "503", "429", *CLOSED), {"200, hears": 60}),
    Attack("1,000 joins of one address", joins, ("200", "429"), {"200": 150}),
    Attack("3,000 requests at once", flood, ("200", "429")),
    Attack("200 planes of 121 images at once", heavy, ("200", "204", "503", "429")),
)
