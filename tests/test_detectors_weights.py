"""Inception weights: where they are looked for, how they are fetched, and what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from counterfeit import detectors
from counterfeit.detectors import inception
from counterfeit.detectors.inception import InceptionV3
from counterfeit.detectors.weights import Weights, weights
from counterfeit.errors import DataError, InputError
from stranger_cases import KINDS, Case, put


def saved(thing: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


# Stands for the standard file, which cannot be had on every machine: its digest is put in the place of the real one.
CONTENT = saved({"fc.bias": torch.arange(4.0)})
SHA256 = hashlib.sha256(CONTENT).hexdigest()
VARIABLE = "COUNTERFEIT_INCEPTION"


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COUNTERFEIT_SOURCES", raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """The two places of the weights, on this machine: a dictionary from path to content, which the test fills."""
    contents: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path not in contents:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(contents[self.path])))
            self.end_headers()
            self.wfile.write(contents[self.path])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        urls = tuple(f"http://127.0.0.1:{server.server_port}/{i}" for i in (0, 1))
        monkeypatch.setattr(inception, "WEIGHTS", replace(inception.WEIGHTS, urls=urls, sha256=SHA256))
        yield contents
        server.shutdown()
        thread.join()


def loaded(path: Path | None, any_weights: bool) -> Weights:
    return weights(inception.WEIGHTS, path, any_weights)


def refusal(path: Path | None, any_weights: bool = False) -> str:
    """The one-line message with which these weights are refused."""
    with pytest.raises(InputError) as error:
        loaded(path, any_weights)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_they_are_fetched_once_then_taken_from_the_cache(server: dict[str, bytes]) -> None:
    assert not inception.WEIGHTS.at_hand(None)
    server["/0"] = CONTENT
    found = loaded(None, any_weights=False)
    assert found.standard and found.tensors["fc.bias"].tolist() == [0, 1, 2, 3]
    server.clear()
    assert inception.WEIGHTS.at_hand(None)
    assert loaded(None, any_weights=False).sha256 == SHA256


def test_the_second_place_is_tried_where_the_first_has_another_file(server: dict[str, bytes]) -> None:
    server["/0"], server["/1"] = b"<html>moved</html>", CONTENT
    assert loaded(None, any_weights=False).standard


def test_a_damaged_file_in_the_cache_is_fetched_again(server: dict[str, bytes], capsys) -> None:
    server["/0"] = CONTENT
    loaded(None, any_weights=False)
    inception.WEIGHTS.cached.write_bytes(CONTENT[:100])
    assert loaded(None, any_weights=False).standard
    assert "is damaged; downloading it again" in capsys.readouterr().err


def test_nothing_reachable_says_how_to_get_them(server: dict[str, bytes]) -> None:
    with pytest.raises(DataError) as error:
        loaded(None, any_weights=False)
    for words in ("cannot be downloaded", "404", "--weights PATH", VARIABLE, str(inception.WEIGHTS.cached), "91 MiB"):
        assert words in str(error.value)
    assert "\n" not in str(error.value) and not inception.WEIGHTS.cached.exists()


def test_sources_without_https(server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    server["/0"] = CONTENT
    monkeypatch.setenv("COUNTERFEIT_SOURCES", "registry")
    assert "COUNTERFEIT_SOURCES does not allow https" in refusal(None)


def test_a_path_goes_before_the_variable(
    server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.pth").write_bytes(CONTENT)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine.pth"))
    assert inception.WEIGHTS.at_hand(None)
    assert loaded(None, any_weights=False).path == tmp_path / "mine.pth"
    assert "--weights" in refusal(tmp_path / "no.pth") and "No such file" in refusal(tmp_path / "no.pth")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "no.pth"))
    assert refusal(None).startswith(f"{VARIABLE} {tmp_path}/no.pth cannot be read")


def test_another_file_is_refused_unless_wanted(tmp_path: Path) -> None:
    """Here the real digest stands."""
    path = tmp_path / "mine.pth"
    path.write_bytes(CONTENT)
    for words in ("damaged or another file", SHA256, inception.WEIGHTS.sha256, "--any-weights"):
        assert words in refusal(path)
    assert not loaded(path, any_weights=True).standard
    assert "--any-weights needs --weights PATH" in refusal(None, any_weights=True)


class Harmful:
    """What unpickling this makes a folder of."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CONTENT[:300], "does not contain PyTorch weights"),
        (b"", "does not contain PyTorch weights"),
        (b"\x89PNG\r\n", "does not contain PyTorch weights"),
        (pickle.dumps(Harmful()), "does not contain PyTorch weights"),
        (saved({"a": Harmful()}), "does not contain PyTorch weights"),
        (saved([torch.zeros(3)]), "holds a list, not a dictionary of tensors"),
        (saved({0: torch.zeros(3)}), "holds a dict, not a dictionary of tensors"),
        (saved({"model": {"a": torch.zeros(3)}}), "holds a dict, not a dictionary of tensors"),
    ],
    ids=["cut", "empty", "a picture", "a pickle", "a pickle inside", "a list", "numbers as names", "nested"],
)
def test_files_without_weights(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(content)
    message = refusal(path, any_weights=True)
    assert str(path) in message and says in message
    assert not Path("harm").exists()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_files_that_are_none(kind: tuple[str, Any], tmp_path: Path) -> None:
    """A pipe or device is not waited for, and 2 GiB of nothing not read."""
    put(tmp_path, Case("mine.pth", kind[0], 2 << 30 if kind[0] == "sparse" else kind[1]))
    for any_weights in (False, True):
        assert "mine.pth cannot be read (it " in refusal(tmp_path / "mine.pth", any_weights)


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    """Through the front door, so that the network is really filled with them."""
    right = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in InceptionV3().state_dict().items()}
    counters = {name for name in right if name.endswith("num_batches_tracked")}
    cases = {
        "its fc.weight is (1000, 2048), expected (1008, 2048)": {**right, "fc.weight": torch.zeros(1000, 2048)},
        "it has no Mixed_6b.branch1x1.bn.bias": {n: t for n, t in right.items() if n != "Mixed_6b.branch1x1.bn.bias"},
        "it also has AuxLogits.fc.bias": {**right, "AuxLogits.fc.bias": torch.zeros(3)},
        "its fc.bias holds NaN or infinity": {**right, "fc.bias": torch.full((1008,), torch.inf)},
        "its fc.bias is torch.float16, expected torch.float32": {**right, "fc.bias": torch.zeros(1008).half()},
        "its fc.bias is torch.float64, expected": {**right, "fc.bias": torch.zeros(1008).double()},
        "its fc.bias is torch.int64, expected": {**right, "fc.bias": torch.zeros(1008).long()},
        "its fc.bias is torch.sparse_coo torch.float32, expected": {**right, "fc.bias": torch.zeros(1008).to_sparse()},
    }
    path = tmp_path / "other.pth"
    for says, tensors in cases.items():
        path.write_bytes(saved(tensors))
        with pytest.raises(InputError) as error:
            detectors.load("inception", weights=path, any_weights=True)
        assert str(path) in str(error.value) and says in str(error.value) and "\n" not in str(error.value)
    path.write_bytes(saved({name: tensor for name, tensor in right.items() if name not in counters}))
    assert detectors.load("inception", weights=path, any_weights=True).dim == 2048
