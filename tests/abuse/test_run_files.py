"""A run folder from somebody else, in which anything may be damaged, swapped or lied about."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ground import attempt, ground, judged
from hypothesis import given
from hypothesis import strategies as st

READERS = {
    "sample": ["sample", "run", "-n", "2", "--out", "out.npz"],
    "score": ["score", "run", "-n", "8", "--metrics", "fid", "--detector", "mnist-cnn"],
    "likelihood": ["likelihood", "run", "-k", "2", "-n", "2"],
    "compare": ["compare", "run", "-n", "8", "--metrics", "fid", "--detector", "mnist-cnn", "--out", "out"],
    "report": ["report", "run", "-n", "8", "--metrics", "fid", "--detector", "mnist-cnn", "--out", "out.html"],
    "resume": ["train", "cvae", "--data", "own.npz", "--out", "run", "--resume", "--epochs", "2"],
}
NUMBERS: list[Any] = [-1, 0, 1.5, 10**18, 10**30, float("nan"), float("inf")]
STRINGS = ["", "x", "../../notes.txt", "/etc/passwd", "a\x00b", "\x1b[2J", "..\\..\\x", "CON", "9" * 5000]
BAD: list[Any] = [None, True, *NUMBERS, *STRINGS, [], {}, [[]], {"a": 1}, [None] * 1000]


def nodes(value: Any, at: tuple = ()) -> list[tuple]:
    """The places of all values in JSON, by key and number."""
    found = [at]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += nodes(inner, (*at, key))
    return found


def put(value: Any, at: tuple, bad: Any) -> Any:
    """The same JSON with another value at a place; `...` takes it out."""
    if not at:
        return None if bad is ... else bad
    inner = value
    for key in at[:-1]:
        inner = inner[key]
    if bad is ...:
        del inner[at[-1]]
    else:
        inner[at[-1]] = bad
    return value


def rewritten(draw: st.DrawFn, path: Path) -> None:
    """Exchange a value, or leave one out, of a JSON file or of a line of log.jsonl."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    which = draw(st.integers(0, len(lines) - 1))
    value = json.loads(lines[which])
    at = draw(st.sampled_from(nodes(value)))
    lines[which] = json.dumps(put(value, at, draw(st.sampled_from([..., *BAD]))))
    path.write_text("\n".join(lines) + "\n")


def torn(draw: st.DrawFn, path: Path) -> None:
    """Cut a file, turn a bit of it, double it, or put something else in its place."""
    content = path.read_bytes()
    place = draw(st.integers(0, max(0, len(content) - 1)))
    how = draw(st.sampled_from(["cut", "flip", "double", "empty", "nest", "binary", "bom"]))
    bit = bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) if content else b""
    new = {
        "cut": content[:place],
        "flip": content[:place] + bit + content[place + 1 :],
        "double": content * 2,
        "empty": b"",
        "nest": b"[" * 100_000,
        "binary": bytes(range(256)),
        "bom": b"\xef\xbb\xbf" + content,
    }[how]
    path.write_bytes(new)


def replaced(draw: st.DrawFn, path: Path) -> None:
    """Another kind of thing in a file's place: nothing, a folder, a pipe, a link to elsewhere or to itself."""
    path.unlink()
    how = draw(st.sampled_from(["nothing", "folder", "pipe", "link", "loop", "device"]))
    if how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how != "nothing":
        path.symlink_to({"link": path.parent.parent / "notes.txt", "loop": path, "device": "/dev/zero"}[how])


@given(data=st.data(), verb=st.sampled_from(list(READERS)))
def test_values_in_json(data, verb, built, tmp_path_factory):
    with ground(built, tmp_path_factory.getbasetemp() / "place") as home:
        files = sorted(p for p in (home / "run").rglob("*.json*") if p.is_file())
        rewritten(data.draw, data.draw(st.sampled_from(files)))
        judged("run files", attempt(READERS[verb], home), ["run", "out", "out.npz", "out.html"])


@given(data=st.data(), verb=st.sampled_from(list(READERS)))
def test_bytes_of_any_file(data, verb, built, tmp_path_factory):
    with ground(built, tmp_path_factory.getbasetemp() / "place") as home:
        files = sorted(p for p in (home / "run").rglob("*") if p.is_file() and p.name != ".lock")
        how = data.draw(st.sampled_from([torn, torn, replaced]))
        how(data.draw, data.draw(st.sampled_from(files)))
        judged("run files", attempt(READERS[verb], home), ["run", "out", "out.npz", "out.html"])
